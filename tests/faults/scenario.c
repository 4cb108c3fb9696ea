#include "scenario.h"
#include "calls.h"
#include <async/loop.h>
#include <base/bytes.h>
#include <base/clock.h>
#include <base/log.h>
#include <config/config.h>
#include <dirent.h>
#include <fake_broker.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <worker/worker.h>

/* Each queue's processor does what the body says (tests/plugins/deeds.c); the last runs a command. */
static const char QUEUES[] =
    "{\"name\":\"loop\",\"processor\":\"deeds\",\"prefetch\":%d,\"retry\":{\"attempts\":3,\"delay\":\"1ms\"}}"
    ","
    "{\"name\":\"thread\",\"processor\":\"deeds\",\"run\":\"thread\",\"retry\":{\"delay\":\"1ms\"}},"
    "{\"name\":\"exec\",\"processor\":\"exec\",\"settings\":{\"command\":[\"cat\"]},"
    "\"retry\":{\"delay\":\"1ms\",\"attempts\":5}}";

static struct message_state {
    const char *queue, *body;
    bool is_dead_lettered; /* is to be, rather than done */
    bool acked;
    struct fake_link *link; /* where it is outstanding; NULL: in its queue */
    unsigned channel;
    uint64_t tag;
} messages[] = {
    {.queue = "loop", .body = "ack"},
    {.queue = "loop", .body = "third"},
    {.queue = "loop", .body = "reject", .is_dead_lettered = true},
    {.queue = "thread", .body = "ack"},
    {.queue = "thread", .body = "reject", .is_dead_lettered = true},
    {.queue = "exec", .body = "text"},
};

static struct {
    struct fake_broker *broker;
    struct loop *loop;
    struct worker *worker;
    const struct config *config;
    struct posted stop;
    char file[256];
    double deadline;
} life;

static void check(bool fine, const char *what)
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
    check(fake_broker_breach(life.broker) == NULL, "the broker's books");
}

static void turn(const char *waiting_for)
{
    scheduler_post(loop_scheduler(life.loop), &life.stop);
    loop_run(life.loop);
    turn_broker();
    check(clock_monotonic() < life.deadline, waiting_for);
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
    check(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0, "files of the test's own");
}

static void write_configuration(const char *folder, int prefetch)
{
    char text[4096], queues[2048], secret[300];
    const char *plugins = getenv("WHIPPET_TEST_PLUGINS"), *processors = getenv("WHIPPET_PROCESSORS");
    snprintf(secret, sizeof secret, "%s/password", folder);
    write_file(secret, "secret\n");
    snprintf(queues, sizeof queues, QUEUES, prefetch);
    snprintf(text, sizeof text,
             "{\"amqp\":{\"url\":\"amqp://guest@127.0.0.1:%u/"
             "\",\"password_file\":\"%s\",\"heartbeat\":\"1s\",\"connect_timeout\":\"2s\","
             "\"reconnect\":{\"min\":\"10ms\",\"max\":\"50ms\"}},\"processor_path\":[\"%s\",\"%s\"],"
             "\"shutdown_timeout\":\"10s\",\"queues\":[%s]}",
             life.broker->port, secret, plugins, processors, queues);
    snprintf(life.file, sizeof life.file, "%s/whippet.json", folder);
    write_file(life.file, text);
}

/* An error has a text, whatever it is. */
static void expect_text(struct config_errors *errors)
{
    check(errors->count > 0 && errors->items[0].text[0] != '\0', "an error says what is wrong");
    calls_shield(true);
    config_errors_print(errors, life.file, stderr);
    calls_shield(false);
    config_errors_destroy(errors);
}

/* --- Messages -------------------------------------------------------------------------------------------*/

static void look_after(struct message_state *message)
{
    if (message->acked)
        return;
    if (message->link != NULL) {
        const struct fake_channel *channel = &message->link->channels[message->channel];
        bool is_known = channel->delivered >= message->tag;
        enum fake_tag state =
            is_known ? fake_tag_state(message->link, message->channel, message->tag) : FAKE_TAG_REQUEUED;
        message->acked = state == FAKE_TAG_ACKED;
        message->link = state == FAKE_TAG_OUTSTANDING ? message->link : NULL;
        return;
    }
    struct fake_link *link = fake_link_named(life.broker, "consume");
    unsigned channel = fake_consumer(link, message->queue);
    if (channel == 0)
        return;
    message->link = link;
    message->channel = channel;
    message->tag = fake_deliver(life.broker, link, channel, NULL, message->body, strlen(message->body));
}

static bool all_are_acked(void)
{
    bool all = true;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        look_after(&messages[i]);
        all &= messages[i].acked;
    }
    return all;
}

/* What comes back to its queue is delivered again, as a broker does; so in the end all must be acked. */
static void do_messages(void)
{
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        messages[i].acked = false;
        messages[i].link = NULL;
    }
    begin_wait();
    while (!all_are_acked())
        turn("every message comes to its end");
}

/* Of what is acked and was to be dead-lettered there are copies. */
static void check_dead_letters(unsigned rounds)
{
    unsigned copies = 0, wanted = 0;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
        wanted += messages[i].is_dead_lettered ? rounds : 0;
    for (size_t i = 0; i < life.broker->publish_count; i++) {
        const struct fake_publish *copy = &life.broker->publishes[i];
        copies += copy->whole && copy->body.length == 6 && memcmp(copy->body.data, "reject", 6) == 0;
    }
    check(copies >= wanted, "nothing is acked as a dead letter that no queue has");
}

/* --- Its life -------------------------------------------------------------------------------------------*/

static enum scenario_end start(void)
{
    struct config_errors errors = {0};
    struct whippet_failure failure = {0};
    life.loop = loop_create(64 * 1024, &failure);
    if (life.loop == NULL) {
        check(failure.error != 0 && failure.text[0] != '\0', "a failure says what is wrong");
        return SCENARIO_REFUSED;
    }
    life.config = config_load(life.file, &errors);
    if (life.config != NULL)
        life.worker = worker_create(life.loop, life.config, "0.0", &errors);
    if (life.worker == NULL) {
        expect_text(&errors);
        return SCENARIO_REFUSED;
    }
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
    while (!worker_has_ended(life.worker) || loop_scheduler(life.loop)->tasks > 0)
        turn("the worker stops");
    worker_log_summary(life.worker);
    return true;
}

static void tear_down(void)
{
    worker_destroy(life.worker);
    config_destroy(life.config);
    loop_destroy(life.loop);
    calls_arm(NULL, 0, 0);
    fake_broker_destroy(life.broker);
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

enum scenario_end scenario_run(const char *folder)
{
    calls_shield(true);
    size_t descriptors = open_descriptors();
    life.stop.function = stop_loop;
    life.broker = fake_broker_create();
    life.broker->heartbeat = 1;
    write_configuration(folder, 10);
    calls_shield(false);
    enum scenario_end end = start();
    if (end == SCENARIO_DONE) {
        do_messages();
        reload(folder);
        do_messages();
        check_dead_letters(2);
        if (!stop())
            return SCENARIO_GAVE_UP;
    }
    tear_down();
    check(open_descriptors() == descriptors, "no descriptor is left open");
    return end;
}
