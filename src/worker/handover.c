/* Handing a message over: a copy to a queue of the broker, its confirm, and only then the ack of the
 * original. While the confirm can't be had, the message stays unacknowledged, and its slot taken. */
#include "worker_internal.h"
#include <base/log.h>
#include <base/memory.h>
#include <math.h>

static const double PAUSE_MIN = 1; /* seconds between tries, doubled up to */
static const double PAUSE_MAX = 30;
static const double SLOW_SECONDS = 30; /* without a confirm, before the log says so */

static struct worker *worker_of(const struct handover *handover)
{
    return handover->delivery->subscription->worker;
}

static int publish_copy(whippet_task *task, struct handover *handover, bool with_original_headers,
                        struct whippet_failure *failure)
{
    struct buffer properties;
    buffer_init(&properties);
    int error =
        message_copy_properties(handover->delivery, &handover->copy, with_original_headers, &properties);
    if (error != 0) {
        failure_set(failure, error, "making the copy: %s", whippet_error_text(error));
    } else {
        struct publishing publishing = {
            .exchange = "",
            .routing_key = handover->copy.queue,
            .properties = bytes_of(buffer_begin(&properties), buffer_length(&properties)),
            .body = handover->delivery->message.content->body,
            .is_sent = &handover->is_sent,
        };
        double begun_at = loop_now(worker_of(handover)->loop);
        /* Without a limit: each further copy would be a duplicate once the broker gets round to them. */
        error = publisher_publish(task, worker_of(handover)->dead_letters, &publishing, INFINITY, failure);
        handover->is_sent = false;
        sending_stats_count(&worker_of(handover)->stats.sent[handover->copy.sending], error == 0);
        if (delivery_is_traced(handover->delivery))
            delivery_trace_copy(handover->delivery, handover->copy.queue, begun_at, error);
    }
    buffer_destroy(&properties);
    return error;
}

/* One try, with what can be mended mended. */
static int try_copy(whippet_task *task, struct handover *handover, struct whippet_failure *failure)
{
    const struct delivery *delivery = handover->delivery;
    bool readable = delivery->message.content->headers != PROPERTIES_HEADERS_MALFORMED;
    int error = publish_copy(task, handover, readable, failure);
    if (error == WHIPPET_E_LIMIT && handover->copy.may_lose_headers) {
        log_limited(delivery->subscription, LOG_HEADERS_LEFT_OUT, &delivery->fields,
                    "the dead letter's headers do not fit a frame together with ours: the original ones are "
                    "left out");
        error = publish_copy(task, handover, false, failure);
    }
    if (error == WHIPPET_E_UNROUTABLE) {
        struct whippet_failure declaring;
        if (handover->copy.ensure_queue(task, worker_of(handover)->publish, delivery->subscription->config,
                                        &declaring) != 0)
            *failure = declaring;
    }
    return error;
}

static void report_failure(const struct handover *handover, const char *error, double pause)
{
    struct subscription *subscription = handover->delivery->subscription;
    struct log_fields fields = handover->delivery->fields;
    fields.error = error;
    queue_stats_fail(&subscription->stats, error, loop_now(subscription->worker->loop));
    log_limited(handover->delivery->subscription, LOG_NOT_HANDED_OVER, &fields,
                "not %s %s yet; the message is kept, trying again in %g s", handover->copy.done,
                handover->copy.queue, pause);
}

static void on_slow(struct timer *timer)
{
    struct handover *handover = list_entry(timer, struct handover, slow);
    struct log_fields fields = handover->delivery->fields;
    fields.error = "the broker has neither confirmed nor refused it";
    log_limited(handover->delivery->subscription, LOG_NOT_HANDED_OVER, &fields,
                "not %s %s for %g s now; the message is kept", handover->copy.done, handover->copy.queue,
                SLOW_SECONDS);
}

/* A stop ends it early. 0, or CANCELLED. */
static int rest(whippet_task *task, struct handover *handover, double seconds)
{
    waiter_init(&handover->resting);
    int error = waiter_wait(task, &handover->resting, loop_now(worker_of(handover)->loop) + seconds,
                            "before the next try to hand it over");
    return error == WHIPPET_E_CANCELLED ? error : 0;
}

void handover_hurry(struct handover *handover)
{
    waiter_wake(&handover->resting, 0);
}

void handover_withdraw(struct handover *handover)
{
    whippet_task *task = handover->delivery->task;
    if (!handover->is_sent && task != NULL)
        task_cancel(task);
}

/* Returns 0 once the broker holds the copy; CANCELLED, or CLOSED when the original is somebody else's by now;
 * LIMIT when the copy can't be made at all. */
static int handover_main(whippet_task *task, void *arg)
{
    struct handover *handover = arg;
    const struct delivery *delivery = handover->delivery;
    double pause = PAUSE_MIN;
    for (;;) {
        struct whippet_failure failure = {0};
        int error = try_copy(task, handover, &failure);
        if (error == 0)
            handover->copy.report(delivery, &handover->copy);
        if (error == 0 || error == WHIPPET_E_CANCELLED)
            return error;
        if (error == WHIPPET_E_LIMIT && !handover->copy.may_lose_headers)
            return error;
        if (!delivery_is_current(delivery))
            return WHIPPET_E_CLOSED;
        if (delivery->subscription->worker->stopping)
            return WHIPPET_E_CANCELLED;
        report_failure(handover, failure.text, pause);
        error = rest(task, handover, pause);
        if (error != 0)
            return error;
        pause = fmin(pause * 2, PAUSE_MAX);
    }
}

static void handover_ended(void *arg, int result)
{
    struct handover *handover = arg;
    struct delivery *delivery = handover->delivery;
    struct subscription *subscription = delivery->subscription;
    struct message_copy copy = handover->copy;
    timer_stop(&loop_scheduler(subscription->worker->loop)->timers, &handover->slow);
    memory_free(handover);
    delivery->handover = NULL;
    delivery->task = NULL;
    if (result == WHIPPET_E_LIMIT && delivery_is_current(delivery) &&
        !subscription_is_leaving(subscription)) {
        copy.give_up(delivery);
        return;
    }
    delivery_end(delivery, result == 0 ? copy.outcome : OUTCOME_RETURNED);
    subscription->running--;
    subscription_dispatch(subscription);
}

static void give_back(struct delivery *delivery)
{
    struct subscription *subscription = delivery->subscription;
    struct log_fields fields = delivery->fields;
    fields.error = "out of memory";
    log_limited(subscription, LOG_UNHANDLED, &fields,
                "can't be handed over now, and is returned to its queue");
    delivery_end(delivery, OUTCOME_RETURNED);
    subscription->running--;
    subscription_dispatch(subscription);
}

void handover_begin(struct delivery *delivery, const struct message_copy *copy)
{
    struct scheduler *scheduler = loop_scheduler(delivery->subscription->worker->loop);
    bool started = false;
    struct handover *handover = memory_allocate_zeroed(sizeof *handover);
    if (handover == NULL) {
        give_back(delivery);
        return;
    }
    *handover = (struct handover){.delivery = delivery, .copy = *copy, .slow.function = on_slow};
    waiter_init(&handover->resting);
    delivery->state = DELIVERY_HANDING_OVER;
    delivery->handover = handover;
    whippet_task *task =
        task_start(scheduler, handover_main, handover, INFINITY, &delivery->fields, handover_ended, &started);
    if (task != NULL) {
        delivery->task = task;
        timer_start(&scheduler->timers, &handover->slow,
                    loop_now(delivery->subscription->worker->loop) + SLOW_SECONDS);
    } else if (!started) {
        memory_free(handover);
        delivery->handover = NULL;
        give_back(delivery);
    }
}
