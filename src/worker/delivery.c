/* The way of a message: delivered, attempted, perhaps again, settled once. */
#include "worker_internal.h"
#include <async/retry.h>
#include <base/clock.h>
#include <base/log.h>
#include <base/memory.h>
#include <base/random.h>
#include <config/retry.h>
#include <config/units.h>
#include <math.h>

static const double NO_TASK_PAUSE =
    0.1; /* seconds until a start is tried again that memory was too short for */

static void delivery_start(struct delivery *delivery);
static void retry_due(struct timer *timer);

static struct timers *timers_of(const struct subscription *subscription)
{
    return &loop_scheduler(subscription->worker->loop)->timers;
}

/* --- Arrival --------------------------------------------------------------------------------------------*/

struct delivery *delivery_create(struct subscription *subscription, struct message *message)
{
    const struct queue_config *config = subscription->config;
    struct delivery *delivery = memory_allocate(sizeof *delivery);
    if (delivery == NULL)
        return NULL;
    *delivery = (struct delivery){
        .message = {.content = message, .queue = config->name, .attempts = config->retry.attempts},
        .subscription = subscription,
        .consumer = subscription->consumer,
        .arrived_at = loop_now(subscription->worker->loop),
        .retry.function = retry_due,
        .fields = {.queue = config->name, .processor = config->processor},
        .label = subscription->label,
    };
    delivery->fields.message_id = whippet_message_id(&delivery->message);
    consumer_hold(delivery->consumer);
    retry_queue_recognise(&delivery->message);
    if (subscription->worker->tracer != NULL)
        delivery_trace_begin(delivery);
    list_init(&delivery->link);
    roll_call_join(delivery);
    return delivery;
}

/* A message that there is no memory to handle goes back to its queue. */
static void return_unhandled(struct subscription *subscription, struct message *message)
{
    struct log_fields fields = {.queue = subscription->config->name, .error = "out of memory"};
    log_limited(subscription, LOG_UNHANDLED, &fields, "a message was returned to its queue unhandled");
    consumer_return(subscription->consumer, message->delivery_tag);
    queue_counters_ended(&subscription->stats.counters, PHASE_WAITING, OUTCOME_RETURNED);
    message_destroy(message);
}

void delivery_arrived(struct subscription *subscription, struct message *message)
{
    queue_counters_arrived(&subscription->stats.counters, PHASE_WAITING,
                           loop_now(subscription->worker->loop));
    struct delivery *delivery = delivery_create(subscription, message);
    if (delivery == NULL) {
        return_unhandled(subscription, message);
        return;
    }
    delivery->state = DELIVERY_WAITING;
    list_append(&subscription->waiting, &delivery->link);
    subscription_dispatch(subscription);
}

/* --- The end --------------------------------------------------------------------------------------------*/

bool delivery_is_current(const struct delivery *delivery)
{
    const struct channel *channel = &delivery->consumer->channel;
    return channel->is_open && connection_session(channel->connection) != NULL;
}

/* Tells the broker; returns the outcome that it comes to. What came by a channel that has gone is back in its
 * queue. */
static enum delivery_outcome settle(const struct delivery *delivery, enum delivery_outcome outcome)
{
    uint64_t tag = delivery->message.content->delivery_tag;
    if (!delivery_is_current(delivery)) {
        if (outcome != OUTCOME_RETURNED)
            counter_add(&delivery->subscription->stats.counters.stale_settlements, 1);
        return OUTCOME_RETURNED;
    }
    if (outcome == OUTCOME_RETURNED)
        consumer_return(delivery->consumer, tag);
    else
        consumer_ack(delivery->consumer, tag);
    return outcome;
}

static enum delivery_phase phase_of(enum delivery_state state)
{
    switch (state) {
    case DELIVERY_WAITING: return PHASE_WAITING;
    case DELIVERY_RETRYING: return PHASE_RETRYING;
    default: return PHASE_RUNNING;
    }
}

static void count_end(const struct delivery *delivery, enum delivery_outcome outcome)
{
    struct queue_counters *counters = &delivery->subscription->stats.counters;
    if (outcome == OUTCOME_DEAD_LETTERED || outcome == OUTCOME_DISCARDED)
        queue_counters_failed(counters, phase_of(delivery->state), outcome, delivery->failure);
    else
        queue_counters_ended(counters, phase_of(delivery->state), outcome);
}

void delivery_end(struct delivery *delivery, enum delivery_outcome outcome)
{
    struct subscription *subscription = delivery->subscription;
    list_remove(&delivery->link);
    roll_call_leave(delivery);
    outcome = settle(delivery, outcome);
    if (delivery_is_traced(delivery))
        delivery_trace_end(delivery, outcome);
    count_end(delivery, outcome);
    delivery_acquit(delivery, outcome);
    timer_stop(timers_of(subscription), &delivery->retry);
    consumer_release(delivery->consumer);
    message_destroy(delivery->message.content);
    memory_free(delivery->reason);
    memory_free(delivery);
    if (subscription->worker->stopping)
        worker_progressed(subscription->worker);
    else if (subscription->retired)
        subscription_wake(subscription);
}

/* --- Attempts -------------------------------------------------------------------------------------------*/

static void move_to(struct delivery *delivery, enum delivery_state state, struct list *list)
{
    queue_counters_moved(&delivery->subscription->stats.counters, phase_of(delivery->state), phase_of(state));
    delivery->state = state;
    list_remove(&delivery->link);
    list_append(list, &delivery->link);
}

static enum attempt_result result_of(const struct delivery *delivery)
{
    if (delivery->crashed)
        return ATTEMPT_CRASH;
    if (delivery->verdict == WHIPPET_ACK)
        return ATTEMPT_OK;
    if (delivery->verdict == WHIPPET_REJECT)
        return ATTEMPT_REJECT;
    if (delivery->struck == WHIPPET_E_TIMEOUT)
        return ATTEMPT_TIMEOUT;
    return delivery->struck == WHIPPET_E_CANCELLED ? ATTEMPT_CANCELLED : ATTEMPT_RETRY;
}

static const char *reason_text(const struct delivery *delivery)
{
    if (delivery->reason != NULL)
        return delivery->reason;
    switch (result_of(delivery)) {
    case ATTEMPT_TIMEOUT: return "timed out";
    case ATTEMPT_REJECT: return "rejected, without a reason";
    default: return "failed, without a reason";
    }
}

static void release_slot(struct subscription *subscription)
{
    subscription->running--;
    subscription_dispatch(subscription);
}

static void failed_for_good(struct delivery *delivery, enum failure_reason reason)
{
    struct subscription *subscription = delivery->subscription;
    delivery->failure = reason;
    if (subscription->config->on_failure == ON_FAILURE_DEAD_LETTER && delivery_is_current(delivery)) {
        dead_letter_begin(delivery, failure_reason_label(reason));
        return;
    }
    if (delivery_is_current(delivery)) {
        struct log_fields fields = delivery->fields;
        fields.error = reason_text(delivery);
        fields.outcome = delivery_outcome_label(OUTCOME_DISCARDED);
        log_limited(subscription, LOG_DISCARDED, &fields, "discarded (%s): on_failure is \"discard\"",
                    failure_reason_label(reason));
    }
    delivery_end(delivery, OUTCOME_DISCARDED);
    release_slot(subscription);
}

static void retry_due(struct timer *timer)
{
    struct delivery *delivery = list_entry(timer, struct delivery, retry);
    move_to(delivery, DELIVERY_WAITING, &delivery->subscription->waiting);
    subscription_dispatch(delivery->subscription);
}

/* Cut to what the configuration and the broker allow; below 0 where nothing is left of that. */
static double pause_asked_for(const struct delivery *delivery)
{
    const struct worker *worker = delivery->subscription->worker;
    const struct queue_config *config = delivery->subscription->config;
    if (delivery->retry_after <= config->retry.delay * (1 - config->retry.jitter))
        return 0;
    double room = retry_room(config, queue_patience(config, worker->config->consumer_timeout),
                             delivery->message.attempt, loop_now(worker->loop) - delivery->arrived_at);
    return fmin(delivery->retry_after, fmin(config->retry.max_delay, room));
}

double delivery_patience_left(const struct delivery *delivery)
{
    const struct worker *worker = delivery->subscription->worker;
    double held = loop_now(worker->loop) - delivery->arrived_at;
    return queue_patience(delivery->subscription->config, worker->config->consumer_timeout) - held;
}

/* Delays that are a delay queue's may be longer than the broker lets a message be unacknowledged: it would
 * take all that came by the channel away, and this one's count of attempts would begin anew, for ever. */
static double longest_pause(const struct delivery *delivery)
{
    const struct queue_config *config = delivery->subscription->config;
    if (config->retry_via != RETRY_VIA_BROKER)
        return INFINITY;
    return fmax((delivery_patience_left(delivery) - config->timeout) / 2, 1);
}

void delivery_retry_in_memory(struct delivery *delivery)
{
    struct subscription *subscription = delivery->subscription;
    double delay = fmax(pause_asked_for(delivery),
                        retry_delay(&subscription->config->retry, delivery->message.attempt, random_unit()));
    delay = fmin(delay, longest_pause(delivery));
    struct log_fields fields = delivery->fields;
    char next[UNITS_TEXT_SIZE];
    duration_format(delay, next);
    fields.error = reason_text(delivery);
    fields.duration = delivery->duration;
    fields.has_duration = true;
    log_limited(subscription, LOG_ATTEMPT_FAILED, &fields, "attempt %u of %u failed; next in %s",
                delivery->message.attempt, delivery->message.attempts, next);
    move_to(delivery, DELIVERY_RETRYING, &subscription->retrying);
    if (delivery_is_traced(delivery))
        delivery_trace_wait(delivery);
    /* The turn's own time lies before the attempt's end, and the pause is never shorter than promised. */
    double ended_at = fmax(subscription->worker->clock, loop_now(subscription->worker->loop));
    if (!timer_start(timers_of(subscription), &delivery->retry, ended_at + delay))
        delivery_end(delivery, OUTCOME_RETURNED);
    release_slot(subscription);
}

/* Of a message that has no attempts left. */
static enum failure_reason last_reason(enum attempt_result result)
{
    switch (result) {
    case ATTEMPT_TIMEOUT: return FAILURE_TIMEOUT;
    case ATTEMPT_CRASH: return FAILURE_CRASH;
    default: return FAILURE_RETRY_EXHAUSTED;
    }
}

static void retry_later(struct delivery *delivery)
{
    if (delivery->subscription->config->retry_via == RETRY_VIA_BROKER)
        retry_queue_begin(delivery);
    else
        delivery_retry_in_memory(delivery);
}

static void attempt_failed(struct delivery *delivery, enum attempt_result result)
{
    queue_stats_fail(&delivery->subscription->stats, reason_text(delivery),
                     loop_now(delivery->subscription->worker->loop));
    if (result == ATTEMPT_REJECT)
        failed_for_good(delivery, FAILURE_REJECTED);
    else if (!retry_exhausted(&delivery->subscription->config->retry, delivery->message.attempt))
        retry_later(delivery);
    else
        failed_for_good(delivery, last_reason(result));
}

/* Without a broker: whoever tries it says whether it goes on. */
static void attempt_tried(struct delivery *delivery)
{
    struct subscription *subscription = delivery->subscription;
    if (trial_attempt_ended(subscription->worker->trial, delivery)) {
        memory_free(delivery->reason);
        delivery->reason = NULL;
        move_to(delivery, DELIVERY_WAITING, &subscription->waiting);
    } else {
        delivery_end(delivery, OUTCOME_RETURNED);
    }
    release_slot(subscription);
}

void delivery_attempt_ended(struct delivery *delivery)
{
    struct subscription *subscription = delivery->subscription;
    if (subscription->worker->trial != NULL) {
        attempt_tried(delivery);
        return;
    }
    enum attempt_result result = result_of(delivery);
    queue_counters_attempted(&subscription->stats.counters, result, delivery->duration);
    if (delivery_is_traced(delivery))
        delivery_trace_attempted(delivery, result);
    if (result == ATTEMPT_OK) {
        delivery_end(delivery, OUTCOME_ACKED);
        release_slot(subscription);
    } else if (result == ATTEMPT_CANCELLED || !delivery_is_current(delivery) ||
               (subscription_is_leaving(subscription) && result != ATTEMPT_REJECT)) {
        /* Leaving, or its channel is gone: somebody else is to have the next attempt. */
        delivery_end(delivery, OUTCOME_RETURNED);
        release_slot(subscription);
    } else {
        attempt_failed(delivery, result);
    }
}

void delivery_attempt_undone(struct delivery *delivery)
{
    struct subscription *subscription = delivery->subscription;
    bool goes_on = subscription->worker->trial != NULL || delivery_is_current(delivery);
    delivery->message.attempt--;
    if (subscription_is_leaving(subscription) || !goes_on) {
        delivery_end(delivery, OUTCOME_RETURNED);
    } else {
        move_to(delivery, DELIVERY_WAITING, &subscription->waiting);
        list_remove(&delivery->link);
        list_prepend(&subscription->waiting, &delivery->link);
    }
    release_slot(subscription);
}

/* No attempt could begin: the queue is not served for now, whatever its state. */
static void put_back(struct delivery *delivery, const char *why)
{
    struct subscription *subscription = delivery->subscription;
    struct log_fields fields = delivery->fields;
    fields.error = why;
    queue_stats_fail(&subscription->stats, why, loop_now(subscription->worker->loop));
    log_limited(subscription, LOG_NOT_STARTED, &fields, "no attempt can be started; trying again");
    delivery->message.attempt--;
    subscription->running--;
    move_to(delivery, DELIVERY_RETRYING, &subscription->retrying);
    if (!timer_start(timers_of(subscription), &delivery->retry,
                     loop_now(subscription->worker->loop) + NO_TASK_PAUSE))
        delivery_end(delivery, OUTCOME_RETURNED);
}

static void reject_unreadable(struct delivery *delivery)
{
    bool deep = delivery->message.content->headers == PROPERTIES_HEADERS_TOO_DEEP;
    delivery->verdict = WHIPPET_REJECT;
    delivery->reason =
        memory_copy_text(deep ? "the headers are nested more than 32 levels deep; no attempt was made"
                              : "the headers can't be decoded; no attempt was made, and they are left "
                                "out of this copy");
    failed_for_good(delivery, FAILURE_REJECTED);
}

/* What crashed the worker too often is not run again. */
static void reject_crasher(struct delivery *delivery)
{
    delivery->verdict = WHIPPET_REJECT;
    failed_for_good(delivery, FAILURE_CRASH);
}

static void delivery_start(struct delivery *delivery)
{
    struct subscription *subscription = delivery->subscription;
    move_to(delivery, DELIVERY_RUNNING, &subscription->at_work);
    delivery->at_work_since = fmax(subscription->worker->clock, loop_now(subscription->worker->loop));
    subscription->running++;
    if (delivery->message.content->headers != PROPERTIES_SOUND) {
        reject_unreadable(delivery);
        return;
    }
    if (delivery_is_quarantined(delivery)) {
        reject_crasher(delivery);
        return;
    }
    delivery->message.attempt++;
    delivery_label(delivery);
    delivery->fields.attempt = delivery->message.attempt;
    delivery->verdict = WHIPPET_RETRY;
    delivery->struck = 0;
    delivery->retry_after = 0;
    delivery->crashed = false;
    if (delivery_is_traced(delivery))
        delivery_trace_attempt(delivery);
    struct whippet_failure failure = {0};
    if (subscription->executor->start(delivery, &failure) != 0)
        put_back(delivery, failure.text);
}

/* --- The subscription's share ---------------------------------------------------------------------------*/

static bool has_room(struct subscription *subscription)
{
    const struct executor *executor = subscription->executor;
    return subscription->running < subscription->config->concurrency &&
           (executor->has_room == NULL || executor->has_room(subscription));
}

/* What ends within its own start asks for this again: the loop goes on with it, and takes no more stack. */
void subscription_dispatch(struct subscription *subscription)
{
    if (subscription->dispatching)
        return;
    subscription->dispatching = true;
    while (!subscription_is_leaving(subscription) && !list_empty(&subscription->waiting) &&
           has_room(subscription) && turns_take(subscription))
        delivery_start(list_entry(subscription->waiting.next, struct delivery, link));
    subscription->dispatching = false;
}

/* Those that came by one consumer, or (NULL) all. They are set apart first: without memory to return one, its
 * connection ends, and with it whatever else came by that. */
static void return_resting(struct list *deliveries, const struct consumer *consumer)
{
    struct list apart, *next;
    list_init(&apart);
    for (struct list *link = deliveries->next; link != deliveries; link = next) {
        next = link->next;
        if (consumer != NULL && list_entry(link, struct delivery, link)->consumer != consumer)
            continue;
        list_remove(link);
        list_append(&apart, link);
    }
    while (!list_empty(&apart))
        delivery_end(list_entry(apart.next, struct delivery, link), OUTCOME_RETURNED);
}

void subscription_return_resting(struct subscription *subscription)
{
    return_resting(&subscription->waiting, NULL);
    return_resting(&subscription->retrying, NULL);
}

void consumer_return_all(struct consumer *consumer)
{
    struct subscription *subscription = consumer->subscription;
    consumer_hold(consumer);
    return_resting(&subscription->waiting, consumer);
    return_resting(&subscription->retrying, consumer);
    list_each (link, &subscription->at_work) {
        struct delivery *delivery = list_entry(link, struct delivery, link);
        if (delivery->consumer == consumer && delivery->handover != NULL)
            handover_withdraw(delivery->handover);
    }
    relays_poke(subscription->worker);
    consumer_release(consumer);
}

void delivery_cancel(struct delivery *delivery)
{
    if (delivery->task != NULL)
        task_cancel(delivery->task);
    else if (delivery->state == DELIVERY_RUNNING)
        delivery->subscription->executor->cancel(delivery);
}

const char *delivery_activity(const struct delivery *delivery)
{
    static const char *const STATES[] = {
        [DELIVERY_WAITING] = "waiting for its turn",
        [DELIVERY_RUNNING] = "running",
        [DELIVERY_RETRYING] = "between two attempts",
        [DELIVERY_HANDING_OVER] = "on its way to another queue",
    };
    if (delivery->state == DELIVERY_RUNNING)
        return delivery->subscription->executor->activity(delivery);
    return STATES[delivery->state];
}
