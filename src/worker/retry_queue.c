/* Retries through the broker: between two attempts a copy of the message waits in a delay queue, whose fixed
 * TTL brings it back to its own queue. The count of attempts travels in a header of ours.
 *
 * This is no dead-letter cycle that the broker would cut (it drops a message that expires its way round to
 * where it was): each round is published anew, without the broker's record of the last. */
#include "worker_internal.h"
#include <base/log.h>

static bool write_headers(const struct delivery *delivery, const struct message_copy *copy,
                          struct buffer *entries)
{
    (void)copy;
    return table_add_integer(entries, bytes_of_text("whippet-attempt"), delivery->message.attempt);
}

static void report(const struct delivery *delivery, const struct message_copy *copy)
{
    struct log_fields fields = delivery->fields;
    fields.error = delivery->reason;
    fields.duration = delivery->duration;
    fields.has_duration = true;
    fields.outcome = delivery_outcome_label(OUTCOME_RETRIED);
    log_limited(delivery->subscription, LOG_ATTEMPT_FAILED, &fields,
                "attempt %u of %u failed; the next comes from %s", delivery->message.attempt,
                delivery->message.attempts, copy->queue);
}

/* Its headers leave no room for ours: it can only wait here. */
static void give_up(struct delivery *delivery)
{
    struct log_fields fields = delivery->fields;
    fields.error = "its headers do not fit a frame together with ours";
    log_limited(delivery->subscription, LOG_ATTEMPT_FAILED, &fields,
                "can't wait in a delay queue, and is retried from memory");
    delivery_retry_in_memory(delivery);
}

void retry_queue_begin(struct delivery *delivery)
{
    const struct queue_config *config = delivery->subscription->config;
    struct message_copy copy = {
        .done = "parked in",
        .outcome = OUTCOME_RETRIED,
        .sending = SENDING_RETRY,
        .write_headers = write_headers,
        .ensure_queue = topology_ensure_retry_queues,
        .report = report,
        .give_up = give_up,
    };
    retry_queue_name(
        config->name,
        retry_queue_delay_after(&config->retry, delivery->message.attempt, delivery->retry_after),
        copy.queue);
    handover_begin(delivery, &copy);
}

/* A header of ours as text; `otherwise` when it is not there. */
static whippet_bytes header_text(const whippet_message *message, const char *name, whippet_bytes otherwise)
{
    whippet_value value = whippet_header(message, name);
    return value.kind == WHIPPET_VALUE_TEXT ? value.bytes : otherwise;
}

void retry_queue_recognise(whippet_message *message)
{
    struct message *content = message->content;
    if (!properties_have(content->properties, PROPERTY_HEADERS))
        return;
    whippet_value attempt = whippet_header(message, "whippet-attempt");
    if (attempt.kind != WHIPPET_VALUE_INTEGER || attempt.integer < 1 ||
        attempt.integer > RETRY_ATTEMPTS_MAX ||
        !bytes_equal_text(header_text(message, "whippet-queue", (whippet_bytes){0}), message->queue))
        return;
    message->is_retry = true;
    message->attempt = (unsigned)attempt.integer;
    content->exchange = header_text(message, "whippet-exchange", content->exchange);
    content->routing_key = header_text(message, "whippet-routing-key", content->routing_key);
}
