/* What <whippet/message.h> promises, read from the message in place. */
#include <base/bytes.h>
#include <stdlib.h>
#include <whippet/message.h>
#include <worker/message.h>

whippet_bytes whippet_body(const whippet_message *message)
{
    return message->content->body;
}

whippet_bytes whippet_exchange(const whippet_message *message)
{
    return message->content->exchange;
}

whippet_bytes whippet_routing_key(const whippet_message *message)
{
    return message->content->routing_key;
}

whippet_bytes whippet_queue(const whippet_message *message)
{
    return bytes_of_text(message->queue);
}

static whippet_bytes property(const whippet_message *message, enum property wanted)
{
    return properties_get(message->content->properties, wanted);
}

whippet_bytes whippet_content_type(const whippet_message *message)
{
    return property(message, PROPERTY_CONTENT_TYPE);
}

whippet_bytes whippet_content_encoding(const whippet_message *message)
{
    return property(message, PROPERTY_CONTENT_ENCODING);
}

whippet_bytes whippet_message_id(const whippet_message *message)
{
    return property(message, PROPERTY_MESSAGE_ID);
}

whippet_bytes whippet_correlation_id(const whippet_message *message)
{
    return property(message, PROPERTY_CORRELATION_ID);
}

whippet_bytes whippet_reply_to(const whippet_message *message)
{
    return property(message, PROPERTY_REPLY_TO);
}

whippet_bytes whippet_type(const whippet_message *message)
{
    return property(message, PROPERTY_TYPE);
}

/* What a message that was retried through the broker had at first, and could not keep. */
static whippet_bytes original(const whippet_message *message, const char *header, whippet_bytes now)
{
    if (!message->is_retry)
        return now;
    whippet_value value = whippet_header(message, header);
    return value.kind == WHIPPET_VALUE_TEXT ? value.bytes : now;
}

whippet_bytes whippet_user_id(const whippet_message *message)
{
    return original(message, "whippet-user-id", property(message, PROPERTY_USER_ID));
}

whippet_bytes whippet_app_id(const whippet_message *message)
{
    return property(message, PROPERTY_APP_ID);
}

whippet_bytes whippet_expiration(const whippet_message *message)
{
    return original(message, "whippet-expiration", property(message, PROPERTY_EXPIRATION));
}

uint64_t whippet_timestamp(const whippet_message *message)
{
    whippet_bytes seconds = property(message, PROPERTY_TIMESTAMP);
    return seconds.data != NULL ? read_u64(seconds.data) : 0;
}

static unsigned octet(const whippet_message *message, enum property wanted)
{
    whippet_bytes value = property(message, wanted);
    return value.data != NULL ? *(const uint8_t *)value.data : 0;
}

unsigned whippet_priority(const whippet_message *message)
{
    return octet(message, PROPERTY_PRIORITY);
}

bool whippet_persistent(const whippet_message *message)
{
    return octet(message, PROPERTY_DELIVERY_MODE) == DELIVERY_MODE_PERSISTENT;
}

bool whippet_redelivered(const whippet_message *message)
{
    return message->content->redelivered;
}

/* Empty where they can't be read: such a message is dead-lettered without an attempt. */
static whippet_bytes header_entries(const whippet_message *message)
{
    return message->content->headers == PROPERTIES_SOUND ? property(message, PROPERTY_HEADERS)
                                                         : (whippet_bytes){0};
}

uint64_t whippet_delivery_count(const whippet_message *message)
{
    whippet_value count = whippet_header(message, "x-delivery-count");
    return count.kind == WHIPPET_VALUE_INTEGER && count.integer > 0 ? (uint64_t)count.integer : 0;
}

unsigned whippet_attempt(const whippet_message *message)
{
    return message->attempt;
}

unsigned whippet_attempts(const whippet_message *message)
{
    return message->attempts;
}

whippet_value whippet_header(const whippet_message *message, const char *name)
{
    if (!properties_have(message->content->properties, PROPERTY_HEADERS))
        return (whippet_value){.kind = WHIPPET_VALUE_ABSENT};
    return table_find(header_entries(message), bytes_of_text(name));
}

whippet_value whippet_headers(const whippet_message *message)
{
    return (whippet_value){.kind = WHIPPET_VALUE_TABLE, .type = 'F', .entries = header_entries(message)};
}

bool whippet_value_next(whippet_value *container, whippet_bytes *name, whippet_value *value)
{
    whippet_bytes unused;
    if (container->kind == WHIPPET_VALUE_TABLE)
        return table_next(&container->entries, name != NULL ? name : &unused, value, NULL);
    if (container->kind != WHIPPET_VALUE_ARRAY || !array_next(&container->entries, value))
        return false;
    if (name != NULL)
        *name = (whippet_bytes){0};
    return true;
}
