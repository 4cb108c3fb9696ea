#include "trial.h"

#include "account.h"
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double PATIENCE = 90; /* seconds without any progress */

static struct trial {
    struct trial_plan plan;
    struct worker *worker;
    struct proxy *proxy;
    struct journal journal;
    struct account account;
    const char *user, *password;
    unsigned published;
    uint64_t acknowledged; /* by the broker's own count, at the start */
} trial;

static void fill_in(struct trial_plan *plan)
{
    plan->type = plan->type ? plan->type : "quorum";
    plan->messages = plan->messages ? plan->messages : 10000;
    plan->queues = plan->queues ? plan->queues : 1;
    plan->prefetch = plan->prefetch ? plan->prefetch : 100;
    plan->reject_every = plan->reject_every ? plan->reject_every : 50;
    plan->delay = plan->delay ? plan->delay : "100ms";
    plan->patience = plan->patience ? plan->patience : "500ms";
    plan->settings = plan->settings ? plan->settings : "";
    plan->amqp = plan->amqp ? plan->amqp : "'heartbeat': '20s'";
}

/* --- Queues and messages --------------------------------------------------------------------------------*/

const char *trial_queue(unsigned number)
{
    char word[64];

    snprintf(word, sizeof(word), "%s.%u", trial.plan.name, number);
    return stage_name(word);
}

static const char *dead_queue(unsigned number)
{
    static char name[256];

    snprintf(name, sizeof(name), "%s.dead", trial_queue(number));
    return name;
}

/* Of those from `first` on, before `last`, as many as can go together: of one size, and no more than a batch.
 */
static unsigned batch_from(unsigned first, unsigned last)
{
    enum {
        BATCH = 500
    };
    unsigned every = trial.plan.large_every, count = last - first < BATCH ? last - first : BATCH;

    if (every == 0) {
        return count;
    }
    unsigned small = every - 1 - first % every;
    return small == 0 ? 1 : small < count ? small : count;
}

static size_t size_of(unsigned number)
{
    unsigned every = trial.plan.large_every;

    return every > 0 && number % every == every - 1 ? trial.plan.large_size : trial.plan.size;
}

void trial_publish(unsigned count)
{
    unsigned share = (count + trial.plan.queues - 1) / trial.plan.queues, end = trial.published + count;

    journal_expect(&trial.journal, end);
    for (unsigned i = 0; i < trial.plan.queues; i++) {
        unsigned last = trial.published + share < end ? trial.published + share : end;
        while (trial.published < last) {
            unsigned batch = batch_from(trial.published, last);
            client_send_numbered(stage_client(), trial_queue(i), trial.published, batch,
                                 size_of(trial.published));
            trial.published += batch;
        }
    }
}

/* What the broker says it holds for consumers and has not had settled, over all queues; -1 when it can't say.
 */
static long held_by_broker(void)
{
    const char **names = calloc(trial.plan.queues, sizeof(*names));
    long held;

    for (unsigned i = 0; i < trial.plan.queues; i++) {
        names[i] = trial_queue(i);
    }
    held = broker_messages(stage_broker(), names, trial.plan.queues);
    free(names);
    return held;
}

/* What the broker has counted as acknowledged since it started. */
static uint64_t acknowledged_by_broker(void)
{
    const char *count =
        broker_eval(stage_broker(), "lists:sum([maps:get(messages_acknowledged_total, M, 0) || "
                                    "{_, M} <- maps:to_list(rabbit_global_counters:overview())])");

    cr_assert_str_neq(count, "", "the broker does not say what was acknowledged");
    return strtoull(count, NULL, 10);
}

void trial_open(const struct trial_plan *plan)
{
    trial.plan = *plan;
    fill_in(&trial.plan);
    trial.user = trial.password = "guest";
    trial.journal.path = stage_path("journal");
    if (trial.plan.proxied) {
        trial.proxy = proxy_start(broker_port(stage_broker()));
    }
    if (trial.plan.alone) {
        trial.acknowledged = acknowledged_by_broker();
    }
    for (unsigned i = 0; i < trial.plan.queues; i++) {
        client_declare(stage_client(), trial_queue(i), trial.plan.type);
    }
    trial_publish(trial.plan.messages);
}

/* --- The worker -----------------------------------------------------------------------------------------*/

static char *write_amqp(void)
{
    const char *port = trial.proxy ? proxy_port(trial.proxy) : broker_port(stage_broker());
    char own[256], *text = NULL;

    snprintf(own, sizeof(own), "'amqp://%s:%s@127.0.0.1:%s/'", trial.user, trial.password, port);
    cr_assert_geq(asprintf(&text,
                           "'amqp': {'url': %s, 'connect_timeout': '2s',"
                           "  'reconnect': {'min': '50ms', 'max': '%s'}, %s}",
                           trial.plan.urls ? trial.plan.urls : own, trial.plan.patience, trial.plan.amqp),
                  0, "out of memory");
    return text;
}

static char *write_queues(void)
{
    const struct trial_plan *plan = &trial.plan;
    char *text = NULL;
    size_t size;
    FILE *list = open_memstream(&text, &size);

    for (unsigned i = 0; i < plan->queues; i++) {
        fprintf(list,
                "%s{'name': '%s', 'type': '%s', 'processor': 'journal', 'concurrency': %u, 'prefetch': %u,"
                "  'settings': {'path': '%s', 'delay': '%s', 'reject_every': %u%s%s}}",
                i ? "," : "", trial_queue(i), plan->type, plan->prefetch, plan->prefetch, trial.journal.path,
                plan->delay, plan->reject_every, *plan->settings ? ", " : "", plan->settings);
    }
    fclose(list);
    return text;
}

void trial_start_worker(void)
{
    char *amqp = write_amqp(), *queues = write_queues();

    trial.worker = worker_start(amqp, "[%s]", queues);
    free(amqp);
    free(queues);
    for (unsigned i = 0; i < trial.plan.queues; i++) {
        worker_await_consuming(trial.worker, trial_queue(i));
    }
}

struct worker *trial_worker(void)
{
    return trial.worker;
}

struct proxy *trial_proxy(void)
{
    return trial.proxy;
}

void trial_set_login(const char *user, const char *password)
{
    trial.user = user;
    trial.password = password;
}

/* --- Progress -------------------------------------------------------------------------------------------*/

unsigned trial_handled(void)
{
    journal_read(&trial.journal);
    return trial.journal.handled;
}

void trial_await(unsigned count)
{
    double deadline = patience_deadline(PATIENCE);

    for (unsigned before = 0, now; (now = trial_handled()) < count; before = now) {
        cr_assert(worker_runs(trial.worker), "the worker ended by itself after %u messages", now);
        if (now > before) {
            deadline = patience_deadline(PATIENCE);
        }
        cr_assert(patience_now() < deadline, "nothing has happened for %g s; %u of %u messages are done with",
                  PATIENCE, now, count);
        patience_pause();
    }
}

void trial_await_all_but(unsigned count)
{
    trial_await(trial.published - count);
}

void trial_await_settled(void)
{
    trial_await_all_but(trial.account.destroyed + trial.account.damages);
    await(PATIENCE, worker_in_flight(trial.worker) == 0, "the worker to have nothing in flight");
    await(PATIENCE, held_by_broker() == 0,
          "the broker to have all messages settled; %ld are not, of which %ld are ready", held_by_broker(),
          client_ready(stage_client(), trial_queue(0)));
    trial_handled();
}

/* --- What is noted --------------------------------------------------------------------------------------*/

void trial_fault(void)
{
    trial.account.faults++;
}

void trial_kill_worker(void)
{
    worker_signal(trial.worker, SIGKILL);
    worker_await_end(trial.worker, 10, 128 + SIGKILL);
    trial.account.kills++;
    trial_fault();
}

void trial_destroyed(unsigned count)
{
    trial.account.destroyed += count;
}

void trial_damaged(unsigned count)
{
    trial.account.damages += count;
}

void trial_remark(const char *format, ...)
{
    char *end = trial.account.remarks + strlen(trial.account.remarks);
    va_list list;

    va_start(list, format);
    size_t room = sizeof(trial.account.remarks) - (size_t)(end - trial.account.remarks);
    int length = snprintf(end, room, "; ");
    vsnprintf(end + length, room - (size_t)length, format, list);
    va_end(list);
}

double trial_seconds(double usual, double in_a_long_run)
{
    return getenv("WHIPPET_CHAOS_LONG") ? in_a_long_run : usual;
}

void trial_last(double seconds)
{
    poll(NULL, 0, (int)(seconds * 1000));
}

/* --- The end --------------------------------------------------------------------------------------------*/

/* The queues must be empty once nobody holds anything of them any more. */
static void take_queue(unsigned number)
{
    const char *queue = trial_queue(number);
    long ready = client_ready(stage_client(), queue);
    struct client_message *dead;

    cr_expect_eq(ready, 0, "%s holds %ld messages at the end", queue, ready);
    while (client_ready(stage_client(), dead_queue(number)) >= 0 &&
           (dead = client_get(stage_client(), dead_queue(number))) != NULL) {
        account_take_dead_letter(&trial.account, dead);
        client_message_destroy(dead);
    }
    client_delete(stage_client(), queue);
    client_delete(stage_client(), dead_queue(number));
}

void trial_close(void)
{
    struct account *account = &trial.account;

    trial_await_settled();
    worker_stop(trial.worker, 30);
    account->name = trial.plan.name;
    account->in_flight = trial.plan.prefetch * trial.plan.queues;
    account->copying = trial.plan.reject_every ? account->in_flight / trial.plan.reject_every + 1 : 0;
    account->worker = workers_counts();
    account->journal = &trial.journal;
    if (trial.plan.alone) {
        account->acknowledged = acknowledged_by_broker() - trial.acknowledged;
        account->knows_acknowledged = true;
    }
    account_expect(account, trial.published);
    for (unsigned i = 0; i < trial.plan.queues; i++) {
        take_queue(i);
    }
    account_draw_up(account);
    account_print(account);
    account_check(account);
    if (trial.proxy) {
        proxy_end(trial.proxy);
    }
    account_destroy(account);
    journal_destroy(&trial.journal);
}
