/* A whole worker in the test's own process, against a fake broker, with processors that are functions of the
 * test: it turns when the test says so, and after each turn its books are compared with its lists and with
 * the broker's. */
#ifndef UNIT_WORKER_TESTING_H
#define UNIT_WORKER_TESTING_H

#include "../../src/worker/worker_internal.h"
#include "io_testing.h"

enum {
    WORK_QUEUES = 4,
    WORK_STARTS = 20000,
};

/* One attempt that has begun. */
struct work_start {
    char body[16];
    unsigned attempt;
    double at;
    unsigned running; /* inside process() at that moment, of its queue, this one included */
};

/* One that waits for the test's word. */
struct work_held {
    struct list link;
    char body[16];
    struct waiter waiter;
};

static struct {
    struct config *config;
    struct worker *worker;
    struct plugin plugins[WORK_QUEUES];
    struct processor replaced[WORK_QUEUES];
    unsigned inside[WORK_QUEUES];
    unsigned most_inside[WORK_QUEUES];
    struct work_start starts[WORK_STARTS];
    size_t start_count;
    size_t end_count;
    struct list held;
} work;

/* --- The processor --------------------------------------------------------------------------------------*/

static inline whippet_verdict work_hold(whippet_task *task, const char *body)
{
    struct work_held held;
    snprintf(held.body, sizeof held.body, "%s", body);
    waiter_init(&held.waiter);
    list_append(&work.held, &held.link);
    int verdict = waiter_wait(task, &held.waiter, INFINITY, "held by the test");
    list_remove(&held.link);
    return verdict < 0 ? WHIPPET_RETRY : (whippet_verdict)verdict;
}

/* The body's first letter says what to do: (a)ck, (r)etry, retry after a (p)ause of 0.2 s or a long one
 * (P), rejec(x)t, (s)leep a little and ack, (S)leep a
 * little and retry, (h)old until the test says what, (t)ime out. */
static inline whippet_verdict work_perform(whippet_task *task, const char *body)
{
    switch (body[0]) {
    case 'r': return whippet_retry_later(task, "the test said so (%s)", body);
    case 'p': return whippet_retry_after(task, 0.2, "after a while (%s)", body);
    case 'P': return whippet_retry_after(task, 1e5, "tomorrow (%s)", body);
    case 'x': return whippet_reject(task, "no good: %s", body);
    case 's': return whippet_sleep(task, 0.005) == 0 ? WHIPPET_ACK : WHIPPET_RETRY;
    case 'S': whippet_sleep(task, 0.002); return WHIPPET_RETRY;
    case 'h': return work_hold(task, body);
    case 't': whippet_sleep(task, 1000); return WHIPPET_RETRY;
    default: return WHIPPET_ACK;
    }
}

static inline whippet_verdict work_process(whippet_task *task, const whippet_message *message, void *state)
{
    size_t queue = (size_t)(uintptr_t)state;
    char body[16] = "";
    whippet_bytes bytes = whippet_body(message);
    memcpy(body, bytes.data, bytes.len < sizeof body ? bytes.len : sizeof body - 1);
    if (++work.inside[queue] > work.most_inside[queue])
        work.most_inside[queue] = work.inside[queue];
    if (work.start_count < WORK_STARTS) {
        struct work_start *start = &work.starts[work.start_count++];
        *start = (struct work_start){
            .attempt = whippet_attempt(message), .at = clock_monotonic(), .running = work.inside[queue]};
        memcpy(start->body, body, sizeof body);
    }
    whippet_verdict verdict = work_perform(task, body);
    work.inside[queue]--;
    work.end_count++;
    return verdict;
}

/* How many attempts have begun with that body (NULL: any). */
static inline size_t work_starts(const char *body)
{
    size_t count = 0;
    for (size_t i = 0; i < work.start_count; i++)
        count += body == NULL || strcmp(work.starts[i].body, body) == 0;
    return count;
}

static inline size_t work_held_count(void)
{
    size_t count = 0;
    list_each (link, &work.held)
        count++;
    return count;
}

/* Ends the first held attempt with that body (NULL: the oldest). */
static inline void work_release(const char *body, whippet_verdict verdict)
{
    list_each (link, &work.held) {
        struct work_held *held = list_entry(link, struct work_held, link);
        if ((body != NULL && strcmp(held->body, body) != 0) || held->waiter.woken)
            continue;
        waiter_wake(&held->waiter, (int)verdict);
        return;
    }
    cr_assert_fail("nothing is held: %s", body != NULL ? body : "");
}

/* The one of the queue with that index. */
static inline struct subscription *work_subscription(size_t index)
{
    struct subscription *subscription = subscription_after(work.worker, &work.worker->subscriptions);
    for (; index > 0; index--)
        subscription = subscription_after(work.worker, &subscription->link);
    return subscription;
}

/* --- The books ------------------------------------------------------------------------------------------*/

static inline uint64_t work_count(size_t queue, enum delivery_outcome outcome)
{
    return counter_get(&work_subscription(queue)->stats.counters.outcomes[outcome]);
}

static inline uint64_t work_failures(size_t queue, enum failure_reason reason)
{
    return counter_get(&work_subscription(queue)->stats.counters.failures[reason]);
}

static inline uint64_t list_length(const struct list *list)
{
    uint64_t length = 0;
    list_each (link, list)
        length++;
    return length;
}

static inline void work_check_books(const struct subscription *subscription)
{
    const struct queue_counters *counters = &subscription->stats.counters;
    uint64_t ended = 0;
    for (int i = 0; i < OUTCOME_COUNT; i++)
        ended += counter_get(&counters->outcomes[i]);
    uint64_t failed = 0;
    for (int i = 0; i < FAILURE_REASON_COUNT; i++)
        failed += counter_get(&counters->failures[i]);
    cr_assert_eq(failed,
                 counter_get(&counters->outcomes[OUTCOME_DEAD_LETTERED]) +
                     counter_get(&counters->outcomes[OUTCOME_DISCARDED]),
                 "failed for good: %llu", (unsigned long long)failed);
    uint64_t consumed = counter_get(&counters->consumed), in_flight = queue_counters_in_flight(counters);
    uint64_t running = counter_get(&counters->phases[PHASE_RUNNING]),
             waiting = counter_get(&counters->phases[PHASE_WAITING]);
    uint64_t retrying = counter_get(&counters->phases[PHASE_RETRYING]);
    cr_assert_eq(consumed, ended + in_flight, "consumed %llu, ended %llu, in flight %llu",
                 (unsigned long long)consumed, (unsigned long long)ended, (unsigned long long)in_flight);
    cr_assert_eq(in_flight, running + waiting + retrying, "in flight %llu, but %llu + %llu + %llu",
                 (unsigned long long)in_flight, (unsigned long long)running, (unsigned long long)waiting,
                 (unsigned long long)retrying);
    cr_assert_eq(running, list_length(&subscription->at_work), "%llu running", (unsigned long long)running);
    cr_assert_eq(waiting, list_length(&subscription->waiting), "%llu waiting", (unsigned long long)waiting);
    cr_assert_eq(retrying, list_length(&subscription->retrying), "%llu retrying",
                 (unsigned long long)retrying);
    cr_assert_leq(subscription->running, subscription->config->concurrency, "%u slots taken",
                  subscription->running);
    cr_assert(!subscription->dispatching);
    cr_assert(waiting == 0 || subscription->running == subscription->config->concurrency ||
                  !list_empty(&subscription->turn) || work.worker->stopping,
              "%llu wait although a slot is free", (unsigned long long)waiting);
}

static inline void work_check(void)
{
    each_subscription (subscription, work.worker)
        work_check_books(subscription);
    const char *breach = fake_broker_breach(rig.broker);
    cr_assert_null(breach, "the broker says: %s", breach);
}

/* --- Coming and going -----------------------------------------------------------------------------------*/

/* A worker for the queues, as in the configuration's list: the members of each but its processor. */
static inline void work_make(const char *queues)
{
    char text[4096];
    struct config_errors errors = {0};
    const char *plugins = getenv("WHIPPET_TEST_PLUGINS");
    snprintf(text, sizeof text,
             "{\"amqp\":{\"url\":\"amqp://guest:guest@127.0.0.1:%u/\",\"heartbeat\":0,"
             "\"reconnect\":{\"min\":\"10ms\",\"max\":\"50ms\"}},"
             "\"processor_path\":[\"%s\"],\"shutdown_timeout\":\"2s\",\"queues\":[%s]}",
             rig.broker->port, plugins != NULL ? plugins : "plugins", queues);
    work.config = config_parse(text, "work.json", &errors);
    if (work.config != NULL)
        work.worker = worker_create(rig.loop, work.config, "0.0", &errors);
    cr_assert_not_null(work.worker, "%s: %s", errors.count > 0 ? errors.items[0].path : "",
                       errors.count > 0 ? errors.items[0].text : "");
    config_errors_destroy(&errors);
    for (size_t i = 0; i < work.config->queue_count; i++) {
        struct processor *processor = &work_subscription(i)->processor;
        work.plugins[i].descriptor = (whippet_processor){.name = "work", .process = work_process};
        work.replaced[i] = *processor;
        *processor = (struct processor){.plugin = &work.plugins[i], .state = (void *)(uintptr_t)i};
    }
}

static inline bool work_is_consuming(void)
{
    each_subscription (subscription, work.worker)
        if (subscription->state != SUBSCRIPTION_CONSUMING)
            return false;
    return publisher_is_ready(work.worker->dead_letters);
}

static inline void work_open(const char *queues)
{
    rig_open();
    memset(&work, 0, sizeof work);
    list_init(&work.held);
    work_make(queues);
    rig.check = work_check;
    loop_refresh_now(rig.loop);
    cr_assert(worker_start(work.worker));
    rig_until(work_is_consuming());
}

static inline void work_destroy(void)
{
    for (size_t i = 0; i < work.config->queue_count; i++)
        work_subscription(i)->processor = work.replaced[i];
    worker_destroy(work.worker);
    config_destroy(work.config);
    work.worker = NULL;
}

/* Stops the worker in the normal way, and looks whether the books are closed. */
static inline void work_close(void)
{
    memory_permit = NULL;
    if (work.worker == NULL)
        return;
    worker_stop(work.worker);
    rig_until(work.worker->ended);
    rig_until(loop_scheduler(rig.loop)->tasks == 0);
    cr_assert(worker_has_ended(work.worker), "something is still in flight");
    rig.check = NULL;
    work_destroy();
    rig_close();
}

/* Has the first queue go as a reload does that leaves it out. */
static inline void work_retire(void)
{
    work_subscription(0)->processor = work.replaced[0];
    subscription_retire(work_subscription(0));
}

/* In place of work_close, where the only queue was retired and has gone. */
static inline void work_close_retired(void)
{
    cr_assert(list_empty(&work.worker->subscriptions), "the old subscription never goes");
    worker_stop(work.worker);
    rig_until(work.worker->ended && loop_scheduler(rig.loop)->tasks == 0);
    worker_destroy(work.worker);
    config_destroy(work.config);
    work.worker = NULL;
    rig_close();
}

/* --- The broker's end -----------------------------------------------------------------------------------*/

static inline void work_raise_alarm(void)
{
    amqp_connection_blocked_t alarm = {.reason = amqp_cstring_bytes("low on memory")};
    wire_method(&fake_link_named(rig.broker, "publish")->out, 0, AMQP_CONNECTION_BLOCKED_METHOD, &alarm);
    rig_until(connection_is_blocked(work.worker->publish));
}

static inline void work_end_alarm(void)
{
    amqp_connection_unblocked_t end = {0};
    wire_method(&fake_link_named(rig.broker, "publish")->out, 0, AMQP_CONNECTION_UNBLOCKED_METHOD, &end);
    rig_until(!connection_is_blocked(work.worker->publish));
}

static inline struct fake_link *work_consume_link(void)
{
    return fake_link_named(rig.broker, "consume");
}

static inline unsigned work_channel(const char *queue)
{
    unsigned channel = fake_consumer(work_consume_link(), queue);
    cr_assert_neq(channel, 0, "nobody consumes %s", queue);
    return channel;
}

static inline uint64_t work_deliver(const char *queue, const char *body)
{
    return fake_deliver(rig.broker, work_consume_link(), work_channel(queue), NULL, body, strlen(body));
}

/* Bytes of which no two pieces are alike. To be freed. */
static inline char *work_pattern(size_t size)
{
    char *bytes = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 31 + i / 251);
    return bytes;
}

#endif
