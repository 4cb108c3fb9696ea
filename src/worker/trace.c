/* The spans of a delivery, one trace for each message:
 *
 *     whoever published it
 *     └─ receive            from its arrival to the first attempt
 *        ├─ process         each attempt
 *        │  └─ publish      what the processor published in it
 *        ├─ retry wait      between two of them
 *        └─ settle          from the last verdict to the ack
 *           └─ publish      the copy for the dead-letter queue or a delay queue
 *
 * Only what ends is recorded, with times that were read anyway. */
#include "worker_internal.h"
#include <base/bytes.h>
#include <math.h>
#include <stdio.h>

/* Not before anything that was done in this turn. */
static double now_of(const struct worker *worker)
{
    return fmax(worker->clock, loop_now(worker->loop));
}

/* NULL when memory is short. */
static const struct span_source *source_of(struct subscription *subscription)
{
    if (subscription->spans == NULL)
        subscription->spans = tracer_source(subscription->worker->tracer, subscription->config->name,
                                            subscription->config->processor);
    return subscription->spans;
}

void delivery_trace_begin(struct delivery *delivery)
{
    struct subscription *subscription = delivery->subscription;
    struct trace_context parent;
    bool has_parent = message_trace_parent(&delivery->message, &parent);
    struct trace_context context = tracer_begin(subscription->worker->tracer, has_parent ? &parent : NULL);
    if (trace_context_is_sampled(&context) && source_of(subscription) == NULL)
        context.flags &= ~(uint32_t)TRACE_SAMPLED;
    delivery->message.trace = context;
    delivery->trace.is_root = !has_parent;
    delivery->trace.parent = has_parent ? parent.span : 0;
    delivery->trace.receive = context.span;
}

/* A span of the delivery's, with all that is the same in each. */
static struct span span_of(const struct delivery *delivery, enum span_operation operation, uint64_t id)
{
    struct span span = {
        .context = delivery->message.trace,
        .parent = delivery->trace.receive,
        .operation = operation,
        .source = delivery->subscription->spans,
        .message_id = delivery->fields.message_id,
    };
    span.context.span = id;
    return span;
}

static void record(const struct delivery *delivery, struct span *span, double start, double end)
{
    span->start = start;
    span->end = end;
    tracer_record(delivery->subscription->worker->tracer, span);
}

/* What came before what begins now: its receiving, or the pause since the last attempt. */
static void end_rest(struct delivery *delivery, double now)
{
    if (!delivery->trace.is_begun) {
        struct span span = span_of(delivery, SPAN_RECEIVE, delivery->trace.receive);
        span.parent = delivery->trace.parent;
        record(delivery, &span, delivery->arrived_at, now);
        delivery->trace.is_begun = true;
    } else if (delivery->trace.is_waiting) {
        struct span span = span_of(delivery, SPAN_RETRY_WAIT, trace_id_make());
        record(delivery, &span, delivery->trace.since, now);
    }
    delivery->trace.is_waiting = false;
}

void delivery_trace_attempt(struct delivery *delivery)
{
    end_rest(delivery, now_of(delivery->subscription->worker));
    delivery->message.trace.span = trace_id_make();
}

void delivery_trace_attempted(struct delivery *delivery, enum attempt_result result)
{
    struct span span = span_of(delivery, SPAN_PROCESS, delivery->message.trace.span);
    span.attempt = delivery->message.attempt;
    if (result != ATTEMPT_OK) {
        span.error_type = attempt_result_label(result);
        span.error = bytes_of_text(delivery->reason);
    }
    delivery->trace.since = delivery->started_at + delivery->duration;
    record(delivery, &span, delivery->started_at, delivery->trace.since);
}

void delivery_trace_wait(struct delivery *delivery)
{
    delivery->trace.is_waiting = true;
}

static uint64_t settle_id(struct delivery *delivery)
{
    if (delivery->trace.settle == 0)
        delivery->trace.settle = trace_id_make();
    return delivery->trace.settle;
}

void delivery_trace_end(struct delivery *delivery, enum delivery_outcome outcome)
{
    double now = now_of(delivery->subscription->worker);
    bool follows_attempt = delivery->state == DELIVERY_RUNNING || delivery->state == DELIVERY_HANDING_OVER;
    double start = follows_attempt && delivery->trace.since > 0 ? delivery->trace.since : now;
    end_rest(delivery, now);
    struct span span = span_of(delivery, SPAN_SETTLE, settle_id(delivery));
    span.outcome = delivery_outcome_label(outcome);
    record(delivery, &span, start, now);
}

/* --- Publishing -----------------------------------------------------------------------------------------*/

/* What is published where, as the conventions for RabbitMQ name it. */
static whippet_bytes write_destination(const char *exchange, const char *routing_key, char *text, size_t size)
{
    int length = snprintf(text, size, "%s%s%s", exchange,
                          *exchange != '\0' && *routing_key != '\0' ? ":" : "", routing_key);
    return bytes_of(text, (size_t)length < size ? (size_t)length : size - 1);
}

static void record_publication(struct worker *worker, struct span *span, double begun_at, int error)
{
    span->operation = SPAN_PUBLISH;
    span->start = begun_at;
    span->end = now_of(worker);
    if (error != 0)
        span->error_type = whippet_error_text(error);
    span->error = bytes_of_text(span->error_type);
    tracer_record(worker->tracer, span);
}

void delivery_trace_copy(struct delivery *delivery, const char *queue, double begun_at, int error)
{
    struct span span = span_of(delivery, SPAN_PUBLISH, trace_id_make());
    span.parent = settle_id(delivery);
    span.source = NULL;
    span.destination = bytes_of_text(queue);
    record_publication(delivery->subscription->worker, &span, begun_at, error);
}

void worker_trace_publication(struct worker *worker, const struct publishing *publishing,
                              const struct publish_span *published, double begun_at, int error)
{
    char destination[2 * UINT8_MAX + 2];
    struct span span = {.context = published->context, .parent = published->parent};
    span.destination =
        write_destination(publishing->exchange, publishing->routing_key, destination, sizeof destination);
    record_publication(worker, &span, begun_at, error);
}
