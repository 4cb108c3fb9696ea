/* One queue's consumer: a task that walks from idle to consuming, and starts over whenever something is lost.
 */
#include "worker_internal.h"
#include <base/log.h>
#include <base/memory.h>
#include <base/random.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <worker/arguments.h>

static const double REQUEST_SECONDS = 10;
static const double BACKOFF_MIN = 1; /* seconds after a first failure, doubled up to */
static const double BACKOFF_MAX = 30;
static const double STEADY_SECONDS = 5;   /* a consumer that lived for so long was none in vain */
static const double VAIN_PAUSE_MIN = 0.1; /* seconds after a first one in vain, doubled up to */
static const double VAIN_PAUSE_MAX = 5;

void subscription_enter(struct subscription *subscription, enum subscription_state state)
{
    subscription->state = state;
    queue_stats_enter(&subscription->stats, state, loop_now(subscription->worker->loop));
}

struct subscription *subscription_create(struct worker *worker, const struct config *source, size_t index)
{
    struct subscription *subscription = memory_allocate_zeroed(sizeof *subscription);
    if (subscription == NULL)
        return NULL;
    subscription->worker = worker;
    subscription->source = config_retain(source);
    subscription->config = &source->queues[index];
    subscription->executor = &LOOP_EXECUTOR;
    ledger_label_queue(&subscription->label, subscription->config->name);
    list_init(&subscription->hungry);
    turns_join(subscription);
    log_limits_init(subscription);
    list_init(&subscription->waiting);
    list_init(&subscription->at_work);
    list_init(&subscription->retrying);
    waiter_init(&subscription->changed);
    subscription->consumer = consumer_create(subscription);
    list_append(&worker->subscriptions, &subscription->link);
    subscription->stats.concurrency = subscription->config->concurrency;
    subscription->stats.prefetch = subscription->config->prefetch;
    if (subscription->consumer == NULL ||
        !stats_add_queue(&worker->stats, &subscription->stats, subscription->config->name,
                         subscription->config->processor)) {
        subscription_destroy(subscription);
        return NULL;
    }
    return subscription;
}

void subscription_destroy(struct subscription *subscription)
{
    list_remove(&subscription->link);
    turns_leave(subscription);
    log_limits_end(subscription);
    if (subscription->processor.plugin != NULL)
        subscription->executor->tear_down(subscription);
    if (subscription->consumer != NULL)
        consumer_release(subscription->consumer);
    stats_remove_queue(&subscription->worker->stats, &subscription->stats);
    config_destroy(subscription->source);
    memory_free(subscription);
}

void subscription_wake(struct subscription *subscription)
{
    waiter_wake(&subscription->changed, 0);
}

/* --- From idle to consuming -----------------------------------------------------------------------------*/

static int fail_request(struct subscription *subscription, int error, const char *what)
{
    return failure_set(&subscription->failure, error, "%s: %s", what,
                       channel_error_text(&subscription->consumer->channel, error));
}

/* Each consumer has a channel of its own. When a queue is deleted and made anew, RabbitMQ numbers its
 * messages from the beginning, and knows them by queue, channel and that number: on the same channel, an ack
 * for a message of the old queue would settle one of the new that nobody has processed. */
static int open_channel(whippet_task *task, struct subscription *subscription)
{
    struct consumer *consumer = consumer_create(subscription);
    if (consumer == NULL)
        return failure_set(&subscription->failure, WHIPPET_E_MEMORY, "opening a channel: out of memory");
    subscription_enter(subscription, SUBSCRIPTION_OPENING);
    consumer_leave(subscription->consumer);
    subscription->consumer = consumer;
    int error = consumer_open(task, consumer, REQUEST_SECONDS);
    return error == 0 ? 0 : fail_request(subscription, error, "opening a channel");
}

static int write_consume_arguments(const struct queue_config *config, struct buffer *entries)
{
    if (config->priority != 0 && !table_add_integer(entries, bytes_of_text("x-priority"), config->priority))
        return WHIPPET_E_MEMORY;
    return arguments_write(entries, config->consume_arguments);
}

static int consume(whippet_task *task, struct subscription *subscription)
{
    const struct queue_config *config = subscription->config;
    struct channel *channel = &subscription->consumer->channel;
    struct buffer arguments;
    buffer_init(&arguments);
    int error = channel_qos(task, channel, (uint16_t)config->prefetch, REQUEST_SECONDS);
    if (error == 0)
        error = write_consume_arguments(config, &arguments);
    if (error == 0) {
        struct consumption consumption = {
            .queue = config->name,
            .consumer_tag = subscription->consumer_tag,
            .exclusive = config->exclusive,
            .arguments = bytes_of(buffer_begin(&arguments), buffer_length(&arguments)),
            .max_message_size = config->max_message_size,
        };
        error = channel_consume(task, channel, &consumption, REQUEST_SECONDS);
    }
    buffer_destroy(&arguments);
    return error == 0 ? 0 : fail_request(subscription, error, "consuming");
}

/* What a consumer before this one has left goes on whatever comes of it. */
static int begin(whippet_task *task, struct subscription *subscription)
{
    subscription_enter(subscription, SUBSCRIPTION_DECLARING);
    int error =
        topology_ensure(task, subscription->worker->consume, subscription->config, &subscription->failure);
    if (error != 0)
        return error;
    error = open_channel(task, subscription);
    if (error != 0)
        return error;
    error = consume(task, subscription);
    if (error != 0)
        consumer_abandon(subscription->consumer);
    return error;
}

/* Lines of one that comes and goes are limited. */
static void report_consuming(struct subscription *subscription)
{
    const struct queue_config *config = subscription->config;
    struct log_fields fields = {.queue = config->name, .processor = config->processor};
    if (subscription->in_vain == 0)
        log_event(WHIPPET_INFO, &fields, "consuming: concurrency %u, prefetch %u", config->concurrency,
                  config->prefetch);
    else
        log_limited(subscription, LOG_CONSUMING_AGAIN, &fields, "consuming again");
}

static const char *why_lost(const struct consumer *consumer)
{
    return consumer->cancelled
               ? "the broker cancelled the consumer: the queue was deleted or moved to another node"
               : consumer->channel.closed_by.text;
}

static void stay_until_lost(whippet_task *task, struct subscription *subscription)
{
    const struct consumer *consumer = subscription->consumer;
    subscription_enter(subscription, SUBSCRIPTION_CONSUMING);
    subscription->failures = 0;
    log_repetition_over(&subscription->refusals);
    report_consuming(subscription);
    while (consumer->channel.is_open && !consumer->cancelled && !subscription_is_leaving(subscription)) {
        waiter_init(&subscription->changed);
        if (waiter_wait(task, &subscription->changed, INFINITY, "consuming") != 0)
            return;
    }
}

/* Returns early when the connection goes, or the subscription is to. 0, or CANCELLED. */
static int pause_before_next(whippet_task *task, struct subscription *subscription, double seconds)
{
    const struct connection *connection = subscription->worker->consume;
    const uint64_t epoch = connection_epoch(connection);
    double until = loop_now(subscription->worker->loop) + seconds;
    int error = 0;
    subscription_enter(subscription, SUBSCRIPTION_FAILED);
    while (error == 0 && connection_session(connection) != NULL && connection_epoch(connection) == epoch &&
           !subscription_is_leaving(subscription)) {
        waiter_init(&subscription->changed);
        error = waiter_wait(task, &subscription->changed, until, "backing off");
    }
    return error == WHIPPET_E_CANCELLED ? error : 0;
}

/* How long to wait after a consumer that the broker took away; 0 when it was the connection that went, or the
 * consumer had lived for a while. A broker that takes each away at once would be asked for the next at once.
 */
static double pause_after(struct subscription *subscription, double lived)
{
    if (lived >= STEADY_SECONDS || connection_session(subscription->worker->consume) == NULL) {
        subscription->in_vain = 0;
        return 0;
    }
    double pause = fmin(VAIN_PAUSE_MIN * exp2(fmin(subscription->in_vain++, 16)), VAIN_PAUSE_MAX);
    return pause * (0.5 + 0.5 * random_unit());
}

/* Consumes for as long as the broker lets it. */
static int consume_until_lost(whippet_task *task, struct subscription *subscription)
{
    double begun_at = loop_now(subscription->worker->loop);
    stay_until_lost(task, subscription);
    if (subscription_is_leaving(subscription))
        return 0;
    struct log_fields fields = {.queue = subscription->config->name,
                                .processor = subscription->config->processor,
                                .error = why_lost(subscription->consumer)};
    double pause = pause_after(subscription, loop_now(subscription->worker->loop) - begun_at);
    shared_text_set(&subscription->stats.failure, fields.error);
    if (pause == 0) {
        log_event(WHIPPET_WARNING, &fields, "no longer consuming; subscribing again");
        return 0;
    }
    log_limited(subscription, LOG_CONSUMED_IN_VAIN, &fields,
                "no longer consuming, after a moment only; subscribing again in %.1f s", pause);
    return pause_before_next(task, subscription, pause);
}

static int await_connection(whippet_task *task, struct subscription *subscription)
{
    subscription_enter(subscription, SUBSCRIPTION_IDLE);
    subscription->in_vain = 0;
    waiter_init(&subscription->changed);
    return waiter_wait(task, &subscription->changed, INFINITY, "waiting for the connection");
}

/* Waits before the next try, unless the connection is what went: then its coming back is waited for. */
static int back_off(whippet_task *task, struct subscription *subscription)
{
    if (connection_session(subscription->worker->consume) == NULL)
        return 0;
    double delay = fmin(BACKOFF_MIN * exp2(fmin(subscription->failures++, 16)), BACKOFF_MAX);
    delay *= 0.5 + 0.5 * random_unit();
    struct log_fields fields = {.queue = subscription->config->name,
                                .processor = subscription->config->processor,
                                .error = subscription->failure.text};
    shared_text_set(&subscription->stats.failure, subscription->failure.text);
    log_repeated(&subscription->refusals, loop_now(subscription->worker->loop), WHIPPET_ERROR, &fields,
                 "not consuming; trying again in %.1f s", delay);
    return pause_before_next(task, subscription, delay);
}

static bool executor_is_ready(const struct subscription *subscription)
{
    return subscription->executor->is_ready == NULL || subscription->executor->is_ready(subscription);
}

/* No messages are asked for that nobody could run; the failure says why. */
static int await_executor(whippet_task *task, struct subscription *subscription)
{
    subscription_enter(subscription, SUBSCRIPTION_FAILED);
    waiter_init(&subscription->changed);
    return waiter_wait(task, &subscription->changed, INFINITY, "waiting for a child process");
}

static void drain(whippet_task *task, struct subscription *subscription)
{
    struct consumer *consumer = subscription->consumer;
    subscription_enter(subscription, SUBSCRIPTION_DRAINING);
    /* Without the broker's word that nothing more comes, the channel goes, and all of it with it. */
    if (consumer->channel.is_open && !consumer->cancelled &&
        channel_cancel(task, &consumer->channel, REQUEST_SECONDS) != 0)
        consumer_abandon(consumer);
    subscription_return_resting(subscription);
    subscription->withdrawn = true;
    if (subscription->retired)
        worker_wake_subscriptions(subscription->worker);
}

/* --- Coming after another, and going --------------------------------------------------------------------*/

/* One that a reload made waits for the one in whose place it comes: until that takes no more, or, where a
 * queue must have one consumer at a time, until it is gone. */
static bool is_in_the_way(const struct subscription *before, const struct subscription *subscription)
{
    bool alone = before->config->exclusive || subscription->config->exclusive;
    return before != subscription && before->retired && (alone || !before->withdrawn) &&
           strcmp(before->config->name, subscription->config->name) == 0;
}

static bool must_wait(const struct subscription *subscription)
{
    if (subscription->held || subscription->worker->renewal != NULL)
        return true;
    each_subscription (before, subscription->worker)
        if (is_in_the_way(before, subscription))
            return true;
    return false;
}

static int await_turn(whippet_task *task, struct subscription *subscription)
{
    int error = 0;
    while (error == 0 && !subscription_is_leaving(subscription) && must_wait(subscription)) {
        waiter_init(&subscription->changed);
        error = waiter_wait(task, &subscription->changed, INFINITY, "waiting for the one before it");
    }
    return error;
}

/* What has begun is finished, and its outcomes are told, before the channel goes. */
static void leave(whippet_task *task, struct subscription *subscription)
{
    while (!subscription->worker->stopping && queue_counters_in_flight(&subscription->stats.counters) > 0) {
        waiter_init(&subscription->changed);
        if (waiter_wait(task, &subscription->changed, INFINITY, "finishing what has begun") != 0)
            return;
    }
    if (subscription->worker->stopping)
        return;
    consumer_flush(subscription->consumer);
    channel_close(task, &subscription->consumer->channel, REQUEST_SECONDS);
    subscription->executor->close(task, subscription, INFINITY);
}

static bool is_replaced(const struct subscription *subscription)
{
    each_subscription (after, subscription->worker)
        if (after != subscription && !after->retired &&
            strcmp(after->config->name, subscription->config->name) == 0 &&
            strcmp(after->config->processor, subscription->config->processor) == 0)
            return true;
    return false;
}

/* The counters of one that is replaced go on in those of the new one. */
static void report_gone(const struct subscription *subscription)
{
    struct log_fields fields = {.queue = subscription->config->name,
                                .processor = subscription->config->processor};
    if (subscription->held)
        return;
    log_event(WHIPPET_INFO, &fields, "the old subscription has finished what it had begun, and is gone");
    if (!is_replaced(subscription))
        subscription_log_counters(subscription);
}

void subscription_retire(struct subscription *subscription)
{
    subscription->retired = true;
    subscription_wake(subscription);
    relays_poke(subscription->worker);
}

static int subscription_main(whippet_task *task, void *arg)
{
    struct subscription *subscription = arg;
    struct worker *worker = subscription->worker;
    int error = await_turn(task, subscription);
    while (!subscription_is_leaving(subscription) && error != WHIPPET_E_CANCELLED) {
        if (connection_session(worker->consume) == NULL)
            error = await_connection(task, subscription);
        else if (!executor_is_ready(subscription))
            error = await_executor(task, subscription);
        else if ((error = begin(task, subscription)) == 0)
            error = consume_until_lost(task, subscription);
        else if (error != WHIPPET_E_CANCELLED && !subscription_is_leaving(subscription))
            error = back_off(task, subscription);
    }
    drain(task, subscription);
    if (subscription->retired)
        leave(task, subscription);
    return 0;
}

/* What was retired goes here, unless the worker stops: then it stays for the account at the end. */
static void main_ended(void *arg, int result)
{
    struct subscription *subscription = arg;
    struct worker *worker = subscription->worker;
    (void)result;
    subscription->task = NULL;
    subscription_enter(subscription, SUBSCRIPTION_CLOSED);
    if (subscription->retired && !worker->stopping) {
        report_gone(subscription);
        subscription_destroy(subscription);
        worker_wake_subscriptions(worker);
        waiter_wake(&worker->retirement, 0);
    }
    worker_progressed(worker);
}

bool subscription_start(struct subscription *subscription)
{
    bool started = false;
    snprintf(subscription->consumer_tag, sizeof subscription->consumer_tag, "whippet:%s:%u",
             subscription->worker->host, (unsigned)subscription->worker->subscriptions_begun++);
    whippet_task *task = task_start(loop_scheduler(subscription->worker->loop), subscription_main,
                                    subscription, INFINITY, NULL, main_ended, &started);
    if (started && task != NULL)
        subscription->task = task;
    return started && subscription->executor->open(subscription);
}
