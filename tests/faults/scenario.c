#include "scenario.h"
#include "calls.h"
#include "open_descriptors.h"
#include <async/loop.h>
#include <base/bytes.h>
#include <base/clock.h>
#include <base/log.h>
#include <certificate.h>
#include <config/config.h>
#include <fake_broker.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where each message is. */
static struct message_state {
    bool acked;
    struct fake_link *link; /* where it is outstanding; NULL: in its queue */
    unsigned channel;
    uint64_t tag;
} states[LIFE_MESSAGES];

static struct {
    const struct life *kind;
    struct fake_broker *broker;
    struct certificate authority, certificate;
    struct tls_peer_options tls;
    struct loop *loop;
    struct worker *worker;
    const struct config *config;
    struct posted stop;
    char file[256];
    double deadline;
} life;

void scenario_check(bool fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "broken promise: %s\n", what);
    _exit(SCENARIO_WRONG);
}

/* --- Turning --------------------------------------------------------------------------------------------*/

static void stop_loop(struct posted *posted)
{
    (void)posted;
    loop_stop(life.loop);
}

static void send_heartbeats(void)
{
    static double last;
    if (clock_monotonic() < last + 0.3)
        return;
    last = clock_monotonic();
    for (size_t i = 0; i < life.broker->link_count; i++)
        if (life.broker->links[i]->is_open)
            wire_heartbeat(&life.broker->links[i]->out);
}

static void turn_broker(void)
{
    calls_shield(true);
    send_heartbeats();
    if (!fake_broker_poll(life.broker) && !scheduler_busy(loop_scheduler(life.loop)))
        fake_broker_wait(life.broker, 1);
    calls_shield(false);
    scenario_check(fake_broker_breach(life.broker) == NULL, "the broker's books");
}

static void turn(const char *waiting_for)
{
    scheduler_post(loop_scheduler(life.loop), &life.stop);
    loop_run(life.loop);
    turn_broker();
    scenario_check(clock_monotonic() < life.deadline, waiting_for);
}

static void begin_wait(void)
{
    const char *factor = getenv("WHIPPET_TEST_PATIENCE");
    life.deadline = clock_monotonic() + 60 * (factor != NULL ? strtod(factor, NULL) : 1.0);
}

/* --- Configurations -------------------------------------------------------------------------------------*/

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    scenario_check(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0, "files of the test's own");
}

static void use_double_quotes(char *text)
{
    while ((text = strchr(text, '\'')) != NULL)
        *text = '"';
}

/* The queues, with their first prefetch. */
static void write_queues(char *text, size_t size, int prefetch)
{
    static const char MARK[] = "%d";
    const char *queues = life.kind->queues, *mark = strstr(queues, MARK);
    snprintf(text, size, "%.*s%d%s", (int)(mark - queues), queues, prefetch, mark + strlen(MARK));
}

static void write_configuration(const char *folder, int prefetch)
{
    char text[4096], queues[2048], secret[300], tls[400] = "";
    const char *plugins = getenv("WHIPPET_TEST_PLUGINS"), *processors = getenv("WHIPPET_PROCESSORS");
    snprintf(secret, sizeof secret, "%s/password", folder);
    write_file(secret, "secret\n");
    write_queues(queues, sizeof queues, prefetch);
    if (life.kind->tls)
        snprintf(tls, sizeof tls, "'tls':{'ca':'%s/ca.pem'},", folder);
    snprintf(text, sizeof text,
             "{'amqp':{'url':'amqp%s://guest@127.0.0.1:%u/','password_file':'%s','heartbeat':'1s',%s"
             "'connect_timeout':'2s','reconnect':{'min':'10ms','max':'50ms'}},"
             "'processor_path':['%s','%s'],'shutdown_timeout':'10s','queues':[%s]}",
             life.kind->tls ? "s" : "", life.broker->port, secret, tls, plugins, processors, queues);
    use_double_quotes(text);
    snprintf(life.file, sizeof life.file, "%s/whippet.json", folder);
    write_file(life.file, text);
}

/* An error has a text, whatever it is. */
static void expect_text(struct config_errors *errors)
{
    scenario_check(errors->count > 0 && errors->items[0].text[0] != '\0', "an error says what is wrong");
    calls_shield(true);
    config_errors_print(errors, life.file, stderr);
    calls_shield(false);
    config_errors_destroy(errors);
}

/* --- Messages -------------------------------------------------------------------------------------------*/

static size_t message_count(void)
{
    size_t count = 0;
    while (count < LIFE_MESSAGES && life.kind->messages[count].queue != NULL)
        count++;
    return count;
}

static void look_after(const struct life_message *message, struct message_state *state)
{
    if (state->acked)
        return;
    if (state->link != NULL) {
        const struct fake_channel *channel = &state->link->channels[state->channel];
        bool is_known = channel->delivered >= state->tag;
        enum fake_tag tag =
            is_known ? fake_tag_state(state->link, state->channel, state->tag) : FAKE_TAG_REQUEUED;
        state->acked = tag == FAKE_TAG_ACKED;
        state->link = tag == FAKE_TAG_OUTSTANDING ? state->link : NULL;
        return;
    }
    struct fake_link *link = fake_link_named(life.broker, "consume");
    unsigned channel = fake_consumer(link, message->queue);
    if (channel == 0)
        return;
    state->link = link;
    state->channel = channel;
    state->tag = fake_deliver(life.broker, link, channel, NULL, message->body, strlen(message->body));
}

static bool all_are_acked(void)
{
    bool all = true;
    for (size_t i = 0; i < message_count(); i++) {
        look_after(&life.kind->messages[i], &states[i]);
        all &= states[i].acked;
    }
    return all;
}

/* What comes back to its queue is delivered again, as a broker does; so in the end all must be acked. */
static void do_messages(void)
{
    memset(states, 0, sizeof states);
    begin_wait();
    while (!all_are_acked())
        turn("every message comes to its end");
}

/* Of what is acked and was to be dead-lettered there are copies. */
static void check_dead_letters(unsigned rounds)
{
    unsigned copies = 0, wanted = 0;
    for (size_t i = 0; i < message_count(); i++)
        wanted += life.kind->messages[i].is_dead_lettered ? rounds : 0;
    for (size_t i = 0; i < life.broker->publish_count; i++) {
        const struct fake_publish *copy = &life.broker->publishes[i];
        copies += copy->whole && copy->body.length == 6 && memcmp(copy->body.data, "reject", 6) == 0;
    }
    scenario_check(copies >= wanted, "nothing is acked as a dead letter that no queue has");
}

/* --- Its life -------------------------------------------------------------------------------------------*/

static enum scenario_end start(void)
{
    struct config_errors errors = {0};
    struct whippet_failure failure = {0};
    life.loop = loop_create(64 * 1024, &failure);
    if (life.loop == NULL) {
        scenario_check(failure.error != 0 && failure.text[0] != '\0', "a failure says what is wrong");
        return SCENARIO_REFUSED;
    }
    life.config = config_load(life.file, &errors);
    if (life.config != NULL)
        life.worker = worker_create(life.loop, life.config, "0.0", &errors);
    if (life.worker == NULL) {
        expect_text(&errors);
        return SCENARIO_REFUSED;
    }
    if (life.kind->begin != NULL && !life.kind->begin(life.worker))
        return SCENARIO_REFUSED;
    loop_refresh_now(life.loop);
    return worker_start(life.worker) && worker_observe(life.worker) ? SCENARIO_DONE : SCENARIO_REFUSED;
}

/* Whether it succeeds or not, messages are done as before. */
static void reload(const char *folder)
{
    struct config_errors errors = {0};
    calls_shield(true);
    write_configuration(folder, 7);
    calls_shield(false);
    const struct config *config = config_load(life.file, &errors);
    if (config == NULL || !worker_reload(life.worker, config, &errors))
        expect_text(&errors);
    config_destroy(config);
}

static bool stop(void)
{
    worker_log_in_flight(life.worker);
    worker_stop(life.worker);
    if (loop_scheduler(life.loop)->tasks == 0 && !worker_has_ended(life.worker))
        return false;
    begin_wait();
    while (!worker_has_ended(life.worker) || loop_scheduler(life.loop)->tasks > 0 ||
           loop_offloaded(life.loop) > 0)
        turn("the worker stops");
    worker_log_summary(life.worker);
    return true;
}

static void tear_down(void)
{
    if (life.kind->end != NULL)
        life.kind->end();
    worker_destroy(life.worker);
    config_destroy(life.config);
    loop_destroy(life.loop);
    calls_arm(NULL, 0, 0);
    fake_broker_destroy(life.broker);
    if (life.kind->tls) {
        certificate_destroy(&life.certificate);
        certificate_destroy(&life.authority);
    }
}

/* Only where there is a LeakSanitizer. */
__attribute__((weak)) void __lsan_disable(void);
__attribute__((weak)) void __lsan_enable(void);

/* OpenSSL keeps a generator for each thread, where LeakSanitizer does not look. */
static void begin_chance(void)
{
    unsigned char byte;
    if (__lsan_disable != NULL)
        __lsan_disable();
    scenario_check(RAND_bytes(&byte, 1) == 1 && RAND_priv_bytes(&byte, 1) == 1, "chance of the test's own");
    if (__lsan_enable != NULL)
        __lsan_enable();
}

static void make_certificates(const char *folder)
{
    char file[256];
    begin_chance();
    life.authority = certificate_authority("CA of the test");
    life.certificate = certificate_valid(&life.authority, "IP:127.0.0.1");
    life.tls.certificate = &life.certificate;
    life.broker->tls = &life.tls;
    snprintf(file, sizeof file, "%s/ca.pem", folder);
    certificate_write(&life.authority, file);
}

static void prepare(const char *folder)
{
    life.stop.function = stop_loop;
    life.broker = fake_broker_create();
    life.broker->heartbeat = 1;
    if (life.kind->tls)
        make_certificates(folder);
    if (life.kind->prepare != NULL)
        life.kind->prepare();
    write_configuration(folder, 10);
}

static void live(const char *folder)
{
    do_messages();
    reload(folder);
    do_messages();
    check_dead_letters(2);
    if (life.kind->look != NULL)
        life.kind->look();
}

enum scenario_end scenario_run(const struct life *kind, const char *folder)
{
    calls_shield(true);
    size_t descriptors = open_descriptors();
    life.kind = kind;
    prepare(folder);
    calls_shield(false);
    enum scenario_end end = start();
    if (end == SCENARIO_DONE) {
        live(folder);
        if (!stop())
            return SCENARIO_GAVE_UP;
    }
    tear_down();
    scenario_check(open_descriptors() == descriptors, "no descriptor is left open");
    return end;
}
