/* What failed for good: a copy to the dead-letter queue, its confirm, and only then the ack of the original.
 */
#include "worker_internal.h"
#include <base/clock.h>
#include <base/log.h>
#include <base/memory.h>
#include <math.h>

static const double CONFIRM_SECONDS = 30; /* for one try, from waiting for room to the confirm */
static const double PAUSE_MIN = 1;        /* seconds between tries, doubled up to */
static const double PAUSE_MAX = 30;

/* --- The copy -------------------------------------------------------------------------------------------*/

/* Not to be sent again. The whippet-… ones are of an earlier death, and written anew. x-death and the
 * delivery count are the broker's own (rabbitmq/rabbitmq-server#10709). CC and BCC would have the broker
 * route the copy once more to where the original went (https://www.rabbitmq.com/docs/sender-selected); they
 * are kept under names of ours. */
static const char *const LEFT_OUT[] = {
    "whippet-reason",
    "whippet-error",
    "whippet-attempts",
    "whippet-queue",
    "whippet-exchange",
    "whippet-routing-key",
    "whippet-processor",
    "whippet-failed-at",
    "whippet-host",
    "whippet-attempt",
    "whippet-expiration",
    "whippet-user-id",
    "whippet-cc",
    "whippet-bcc",
    "x-death",
    "x-delivery-count",
    "CC",
    "BCC",
};

static bool is_left_out(whippet_bytes name)
{
    for (size_t i = 0; i < sizeof LEFT_OUT / sizeof LEFT_OUT[0]; i++)
        if (bytes_equal_text(name, LEFT_OUT[i]))
            return true;
    return false;
}

static bool copy_original_headers(const struct message *message, struct buffer *entries)
{
    whippet_bytes rest = properties_get(message->properties, PROPERTY_HEADERS);
    whippet_bytes name, raw;
    whippet_value value;
    while (table_next(&rest, &name, &value, &raw)) {
        bool copied = true;
        if (!is_left_out(name))
            copied = buffer_append(entries, raw.data, raw.len);
        else if (bytes_equal_text(name, "CC") && value.kind == WHIPPET_VALUE_ARRAY)
            copied = table_add_nested(entries, bytes_of_text("whippet-cc"), 'A', value.entries);
        else if (bytes_equal_text(name, "BCC") && value.kind == WHIPPET_VALUE_ARRAY)
            copied = table_add_nested(entries, bytes_of_text("whippet-bcc"), 'A', value.entries);
        if (!copied)
            return false;
    }
    return true;
}

static bool add_text(struct buffer *entries, const char *name, whippet_bytes text)
{
    return table_add_text(entries, bytes_of_text(name), text);
}

/* A property that the copy can't keep, as a header. */
static bool add_if_there(struct buffer *entries, const char *name, whippet_bytes text)
{
    return text.data == NULL || add_text(entries, name, text);
}

static bool write_our_headers(const struct delivery *delivery, const char *reason, struct buffer *entries)
{
    const struct subscription *subscription = delivery->subscription;
    const struct message *message = delivery->message.content;
    char failed_at[CLOCK_TEXT_SIZE];
    clock_format(clock_wall(), failed_at);
    return add_text(entries, "whippet-reason", bytes_of_text(reason)) &&
           add_text(entries, "whippet-error",
                    bytes_of_text(delivery->reason != NULL ? delivery->reason : reason)) &&
           table_add_integer(entries, bytes_of_text("whippet-attempts"), delivery->message.attempt) &&
           add_text(entries, "whippet-queue", bytes_of_text(subscription->config->name)) &&
           add_text(entries, "whippet-exchange", message->exchange) &&
           add_text(entries, "whippet-routing-key", message->routing_key) &&
           add_text(entries, "whippet-processor", bytes_of_text(subscription->config->processor)) &&
           add_text(entries, "whippet-failed-at", bytes_of_text(failed_at)) &&
           add_text(entries, "whippet-host", bytes_of_text(subscription->worker->host)) &&
           add_if_there(entries, "whippet-expiration",
                        properties_get(message->properties, PROPERTY_EXPIRATION)) &&
           add_if_there(entries, "whippet-user-id", properties_get(message->properties, PROPERTY_USER_ID));
}

/* The copy must not expire in the dead-letter queue, and the broker refuses a user-id that is not the
 * publisher's (https://www.rabbitmq.com/docs/validated-user-id). */
int dead_letter_properties(const struct delivery *delivery, const char *reason, bool with_original_headers,
                           struct buffer *properties)
{
    struct buffer entries;
    int error = WHIPPET_E_MEMORY;
    buffer_init(&entries);
    if ((!with_original_headers || copy_original_headers(delivery->message.content, &entries)) &&
        write_our_headers(delivery, reason, &entries))
        error = properties_copy(properties, delivery->message.content->properties,
                                bytes_of(buffer_begin(&entries), buffer_length(&entries)),
                                1u << PROPERTY_EXPIRATION | 1u << PROPERTY_USER_ID);
    buffer_destroy(&entries);
    return error;
}

/* --- Publishing it --------------------------------------------------------------------------------------*/

/* Carried by the task; the delivery outlives it. */
struct dead_letter {
    struct delivery *delivery;
    const char *reason;
};

static int publish_copy(whippet_task *task, const struct dead_letter *letter, bool with_original_headers,
                        struct whippet_failure *failure)
{
    const struct delivery *delivery = letter->delivery;
    struct worker *worker = delivery->subscription->worker;
    struct buffer properties;
    buffer_init(&properties);
    int error = dead_letter_properties(delivery, letter->reason, with_original_headers, &properties);
    if (error != 0) {
        failure_set(failure, error, "making the copy: %s", whippet_error_text(error));
    } else {
        struct publishing publishing = {
            .exchange = "",
            .routing_key = delivery->subscription->config->dead_letter,
            .properties = bytes_of(buffer_begin(&properties), buffer_length(&properties)),
            .body = delivery->message.content->body,
        };
        error = publisher_publish(task, worker->dead_letters, &publishing,
                                  loop_now(worker->loop) + CONFIRM_SECONDS, failure);
        sending_stats_count(&worker->stats.sent[SENDING_DEAD_LETTER], error == 0);
    }
    buffer_destroy(&properties);
    return error;
}

/* One try, with what can be mended mended. */
static int try_copy(whippet_task *task, const struct dead_letter *letter, struct whippet_failure *failure)
{
    const struct delivery *delivery = letter->delivery;
    bool readable = delivery->message.content->headers != PROPERTIES_HEADERS_MALFORMED;
    int error = publish_copy(task, letter, readable, failure);
    if (error == WHIPPET_E_LIMIT) {
        log_event(WHIPPET_WARNING, &delivery->fields,
                  "the dead letter's headers do not fit a frame together with ours: the original ones are "
                  "left out");
        error = publish_copy(task, letter, false, failure);
    }
    if (error == WHIPPET_E_UNROUTABLE) {
        struct whippet_failure ignored;
        topology_ensure_dead_letter(task, delivery->subscription->worker->publish,
                                    delivery->subscription->config, &ignored);
    }
    return error;
}

static void report_dead(const struct dead_letter *letter)
{
    const struct delivery *delivery = letter->delivery;
    struct log_fields fields = delivery->fields;
    fields.error = delivery->reason != NULL ? delivery->reason : letter->reason;
    fields.outcome = delivery_outcome_label(OUTCOME_DEAD_LETTERED);
    log_event(WHIPPET_ERROR, &fields, "dead-lettered to %s (%s)", delivery->subscription->config->dead_letter,
              letter->reason);
}

/* Returns 0 once the broker holds the copy; CANCELLED, or CLOSED when the original is somebody else's by now.
 */
static int dead_letter_main(whippet_task *task, void *arg)
{
    struct dead_letter *letter = arg;
    struct delivery *delivery = letter->delivery;
    double pause = PAUSE_MIN;
    for (;;) {
        struct whippet_failure failure = {0};
        int error = try_copy(task, letter, &failure);
        if (error == 0)
            report_dead(letter);
        if (error == 0 || error == WHIPPET_E_CANCELLED)
            return error;
        if (!delivery_is_current(delivery))
            return WHIPPET_E_CLOSED;
        if (delivery->subscription->worker->stopping)
            return WHIPPET_E_CANCELLED;
        struct log_fields fields = delivery->fields;
        fields.error = failure.text;
        queue_stats_fail(&delivery->subscription->stats, failure.text,
                         loop_now(delivery->subscription->worker->loop));
        log_event(WHIPPET_WARNING, &fields,
                  "not dead-lettered to %s yet; the message is kept, trying again in %g s",
                  delivery->subscription->config->dead_letter, pause);
        error = whippet_sleep(task, pause);
        if (error != 0)
            return error;
        pause = fmin(pause * 2, PAUSE_MAX);
    }
}

static void dead_letter_ended(void *arg, int result)
{
    struct dead_letter *letter = arg;
    struct subscription *subscription = letter->delivery->subscription;
    letter->delivery->task = NULL;
    delivery_end(letter->delivery, result == 0 ? OUTCOME_DEAD_LETTERED : OUTCOME_RETURNED);
    memory_free(letter);
    subscription->running--;
    subscription_dispatch(subscription);
}

static void give_back(struct delivery *delivery)
{
    struct subscription *subscription = delivery->subscription;
    struct log_fields fields = delivery->fields;
    fields.error = "out of memory";
    log_event(WHIPPET_ERROR, &fields, "can't be dead-lettered now, and is returned to its queue");
    delivery_end(delivery, OUTCOME_RETURNED);
    subscription->running--;
    subscription_dispatch(subscription);
}

void dead_letter_begin(struct delivery *delivery, const char *reason)
{
    bool started = false;
    struct dead_letter *letter = memory_allocate(sizeof *letter);
    if (letter == NULL) {
        give_back(delivery);
        return;
    }
    *letter = (struct dead_letter){.delivery = delivery, .reason = reason};
    delivery->state = DELIVERY_DEAD_LETTERING;
    whippet_task *task = task_start(loop_scheduler(delivery->subscription->worker->loop), dead_letter_main,
                                    letter, INFINITY, &delivery->fields, dead_letter_ended, &started);
    if (task != NULL) {
        delivery->task = task;
    } else if (!started) {
        memory_free(letter);
        give_back(delivery);
    }
}
