/* What failed for good: a copy to the dead-letter queue, with the reason. */
#include "worker_internal.h"
#include <base/clock.h>
#include <base/log.h>
#include <stdio.h>

static bool write_headers(const struct delivery *delivery, const struct message_copy *copy,
                          struct buffer *entries)
{
    const struct subscription *subscription = delivery->subscription;
    const char *error = delivery->reason != NULL ? delivery->reason : copy->reason;
    char failed_at[CLOCK_TEXT_SIZE];
    clock_format(clock_wall(), failed_at);
    return message_copy_add_text(entries, "whippet-reason", bytes_of_text(copy->reason)) &&
           message_copy_add_text(entries, "whippet-error", bytes_of_text(error)) &&
           table_add_integer(entries, bytes_of_text("whippet-attempts"), delivery->message.attempt) &&
           message_copy_add_text(entries, "whippet-processor",
                                 bytes_of_text(subscription->config->processor)) &&
           message_copy_add_text(entries, "whippet-failed-at", bytes_of_text(failed_at)) &&
           message_copy_add_text(entries, "whippet-host", bytes_of_text(subscription->worker->host));
}

static void report(const struct delivery *delivery, const struct message_copy *copy)
{
    struct log_fields fields = delivery->fields;
    fields.error = delivery->reason != NULL ? delivery->reason : copy->reason;
    fields.outcome = delivery_outcome_label(OUTCOME_DEAD_LETTERED);
    log_limited(delivery->subscription, LOG_DEAD_LETTERED, &fields, "dead-lettered to %s (%s)", copy->queue,
                copy->reason);
}

static struct message_copy dead_letter(const struct delivery *delivery, const char *reason)
{
    struct message_copy copy = {
        .reason = reason,
        .done = "dead-lettered to",
        .outcome = OUTCOME_DEAD_LETTERED,
        .sending = SENDING_DEAD_LETTER,
        .may_lose_headers = true,
        .write_headers = write_headers,
        .ensure_queue = topology_ensure_dead_letter,
        .report = report,
    };
    snprintf(copy.queue, sizeof copy.queue, "%s", delivery->subscription->config->dead_letter);
    return copy;
}

int dead_letter_properties(const struct delivery *delivery, const char *reason, bool with_original_headers,
                           struct buffer *properties)
{
    struct message_copy copy = dead_letter(delivery, reason);
    return message_copy_properties(delivery, &copy, with_original_headers, properties);
}

void dead_letter_begin(struct delivery *delivery, const char *reason)
{
    struct message_copy copy = dead_letter(delivery, reason);
    handover_begin(delivery, &copy);
}
