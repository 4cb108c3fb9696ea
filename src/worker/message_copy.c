/* The copy of a message that the broker is to keep for us: as a dead letter, or until its next attempt. */
#include "worker_internal.h"
#include <base/memory.h>

/* Headers that a copy says anew or must not say again. Those of ours are of an earlier death or retry. The
 * rest is the broker's own record (rabbitmq/rabbitmq-server#10709): sent again, it would have the broker see
 * a cycle, and drop the message, where there is none (celery/celery#9867). CC and BCC would have the broker
 * route the copy to where the original went already (https://www.rabbitmq.com/docs/sender-selected). */
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
    "x-death",
    "x-delivery-count",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-exchange",
    "x-last-death-queue",
    "x-last-death-reason",
    "CC",
    "BCC",
};

/* What a copy can't keep where it was, and keeps here: a copy of a copy keeps them as they are. */
static const char *const KEPT_ASIDE[] = {
    "whippet-expiration",
    "whippet-user-id",
    "whippet-cc",
    "whippet-bcc",
};

#define IS_AMONG(name, names) is_among(name, names, sizeof(names) / sizeof(names)[0])

static bool is_among(whippet_bytes name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_text(name, names[i]))
            return true;
    return false;
}

static bool copy_original_headers(const whippet_message *message, struct buffer *entries)
{
    whippet_bytes rest = properties_get(message->content->properties, PROPERTY_HEADERS);
    whippet_bytes name, raw;
    whippet_value value;
    while (table_next(&rest, &name, &value, &raw)) {
        bool copied = true;
        bool is_ours = IS_AMONG(name, KEPT_ASIDE);
        if (is_ours ? message->is_retry : !IS_AMONG(name, LEFT_OUT))
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

bool message_copy_add_text(struct buffer *entries, const char *name, whippet_bytes text)
{
    return table_add_text(entries, bytes_of_text(name), text);
}

/* A property that the copy can't keep, as a header. */
static bool keep_aside(struct buffer *entries, const char *name, whippet_bytes text)
{
    return text.data == NULL || message_copy_add_text(entries, name, text);
}

/* Where it came from at first, and what could not stay in its properties. */
static bool write_origin(const struct delivery *delivery, struct buffer *entries)
{
    const whippet_message *message = &delivery->message;
    whippet_bytes properties = message->content->properties;
    return message_copy_add_text(entries, "whippet-queue",
                                 bytes_of_text(delivery->subscription->config->name)) &&
           message_copy_add_text(entries, "whippet-exchange", whippet_exchange(message)) &&
           message_copy_add_text(entries, "whippet-routing-key", whippet_routing_key(message)) &&
           keep_aside(entries, "whippet-expiration", properties_get(properties, PROPERTY_EXPIRATION)) &&
           keep_aside(entries, "whippet-user-id", properties_get(properties, PROPERTY_USER_ID));
}

/* Of a message that brought none: so that what becomes of the copy belongs to the same trace. */
static bool add_trace(const struct delivery *delivery, struct buffer *entries)
{
    struct trace_context context = delivery->message.trace;
    char parent[TRACE_PARENT_SIZE];
    if (!trace_context_is_set(&context) || !delivery->trace.is_root ||
        whippet_header(&delivery->message, "traceparent").kind != WHIPPET_VALUE_ABSENT)
        return true;
    context.span = delivery->trace.receive;
    trace_parent_write(&context, parent);
    return message_copy_add_text(entries, "traceparent", bytes_of_text(parent));
}

int message_copy_properties(const struct delivery *delivery, const struct message_copy *copy,
                            bool with_original_headers, struct buffer *properties)
{
    struct buffer entries;
    int error = WHIPPET_E_MEMORY;
    buffer_init(&entries);
    if ((!with_original_headers || copy_original_headers(&delivery->message, &entries)) &&
        add_trace(delivery, &entries) && write_origin(delivery, &entries) &&
        copy->write_headers(delivery, copy, &entries))
        error = properties_copy(properties, delivery->message.content->properties,
                                bytes_of(buffer_begin(&entries), buffer_length(&entries)),
                                1u << PROPERTY_EXPIRATION | 1u << PROPERTY_USER_ID);
    buffer_destroy(&entries);
    return error;
}
