#include <amqp/properties.h>
#include <base/bytes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <worker/publication.h>

/* Milliseconds; what RabbitMQ takes (rabbit_amqqueue's check of a TTL). */
#define LONGEST_EXPIRATION 4294967295.0

/* --- What can be sent -----------------------------------------------------------------------------------*/

/* AMQP writes the length of a name in one byte. */
static bool is_short(const char *text)
{
    return text == NULL || strnlen(text, UINT8_MAX + 1) <= UINT8_MAX;
}

static bool value_is_valid(const whippet_value *value)
{
    switch (value->kind) {
    case WHIPPET_VALUE_TEXT: return value->bytes.data != NULL;
    case WHIPPET_VALUE_BINARY: return value->bytes.data != NULL || value->bytes.len == 0;
    case WHIPPET_VALUE_ARRAY:
    case WHIPPET_VALUE_TABLE: return value->entries.data != NULL || value->entries.len == 0;
    case WHIPPET_VALUE_NULL:
    case WHIPPET_VALUE_BOOLEAN:
    case WHIPPET_VALUE_INTEGER:
    case WHIPPET_VALUE_REAL:
    case WHIPPET_VALUE_DECIMAL:
    case WHIPPET_VALUE_TIMESTAMP: return true;
    default: return false;
    }
}

/* RabbitMQ routes by these, and closes the channel over what is no list: everybody's, not the sender's. */
static bool routes_by(const char *header)
{
    return strcmp(header, "CC") == 0 || strcmp(header, "BCC") == 0;
}

static bool headers_are_valid(const whippet_publication *publication)
{
    if (publication->header_count > 0 && publication->headers == NULL)
        return false;
    for (size_t i = 0; i < publication->header_count; i++) {
        const whippet_publish_header *header = &publication->headers[i];
        if (header->name == NULL || !is_short(header->name) || !value_is_valid(&header->value))
            return false;
        if (routes_by(header->name) && header->value.kind != WHIPPET_VALUE_ARRAY)
            return false;
    }
    return true;
}

static bool expiration_is_valid(double seconds)
{
    return seconds >= 0 && seconds * 1000 <= LONGEST_EXPIRATION;
}

/* Answers would come to a consumer on the same channel, which there is none of; RabbitMQ closes that over it.
 */
static bool wants_direct_reply(const whippet_publication *publication)
{
    return publication->reply_to != NULL && strcmp(publication->reply_to, "amq.rabbitmq.reply-to") == 0;
}

bool publication_is_valid(const whippet_publication *publication)
{
    const char *const texts[] = {
        publication->exchange,         publication->routing_key, publication->content_type,
        publication->content_encoding, publication->message_id,  publication->correlation_id,
        publication->reply_to,         publication->type,        publication->app_id};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!is_short(texts[i]))
            return false;
    return (publication->body.data != NULL || publication->body.len == 0) &&
           expiration_is_valid(publication->expiration) && headers_are_valid(publication) &&
           !wants_direct_reply(publication);
}

/* --- What goes on the wire ------------------------------------------------------------------------------*/

static bool add_header(struct buffer *entries, const whippet_publish_header *header)
{
    whippet_bytes name = bytes_of_text(header->name);
    const whippet_value *value = &header->value;
    switch (value->kind) {
    case WHIPPET_VALUE_BOOLEAN: return table_add_boolean(entries, name, value->boolean);
    case WHIPPET_VALUE_INTEGER: return table_add_integer_of(entries, name, value->type, value->integer);
    case WHIPPET_VALUE_REAL: return table_add_real_of(entries, name, value->type, value->real);
    case WHIPPET_VALUE_DECIMAL:
        return table_add_decimal(entries, name, value->decimal.scale, value->decimal.unscaled);
    case WHIPPET_VALUE_TEXT: return table_add_text(entries, name, value->bytes);
    case WHIPPET_VALUE_BINARY: return table_add_nested(entries, name, 'x', value->bytes);
    case WHIPPET_VALUE_TIMESTAMP: return table_add_timestamp(entries, name, value->timestamp);
    case WHIPPET_VALUE_ARRAY: return table_add_nested(entries, name, 'A', value->entries);
    case WHIPPET_VALUE_TABLE: return table_add_nested(entries, name, 'F', value->entries);
    default: return table_add_null(entries, name);
    }
}

/* What was built by hand and is not sound would cost the whole channel. */
static int write_headers(const whippet_publication *publication, struct buffer *entries)
{
    for (size_t i = 0; i < publication->header_count; i++)
        if (!add_header(entries, &publication->headers[i]))
            return WHIPPET_E_MEMORY;
    whippet_bytes written = bytes_of(buffer_begin(entries), buffer_length(entries));
    return table_check(written) == TABLE_SOUND ? 0 : WHIPPET_E_INVALID;
}

static whippet_bytes text_or_nothing(const char *text)
{
    return text != NULL ? bytes_of_text(text) : (whippet_bytes){0};
}

int publication_write_properties(const whippet_publication *publication, struct buffer *properties)
{
    char expiration[16];
    struct buffer entries;
    buffer_init(&entries);
    int error = write_headers(publication, &entries);
    snprintf(expiration, sizeof expiration, "%.0f", ceil(publication->expiration * 1000));
    struct properties_draft draft = {
        .content_type = text_or_nothing(publication->content_type),
        .content_encoding = text_or_nothing(publication->content_encoding),
        .message_id = text_or_nothing(publication->message_id),
        .correlation_id = text_or_nothing(publication->correlation_id),
        .reply_to = text_or_nothing(publication->reply_to),
        .type = text_or_nothing(publication->type),
        .app_id = text_or_nothing(publication->app_id),
        .timestamp = publication->timestamp,
        .priority = publication->priority,
        .expiration = text_or_nothing(publication->expiration > 0 ? expiration : NULL),
        .delivery_mode = publication->transient ? DELIVERY_MODE_TRANSIENT : DELIVERY_MODE_PERSISTENT,
        .header_entries = bytes_of(buffer_begin(&entries), buffer_length(&entries)),
    };
    if (error == 0)
        error = properties_write(properties, &draft);
    buffer_destroy(&entries);
    return error;
}

int publication_deliver(const whippet_publication *publication, struct message **message)
{
    struct buffer properties;
    buffer_init(&properties);
    int error = publication_write_properties(publication, &properties);
    if (error == 0) {
        whippet_bytes body = publication->body;
        *message =
            message_create(text_or_nothing(publication->exchange), text_or_nothing(publication->routing_key),
                           bytes_of(buffer_begin(&properties), buffer_length(&properties)), body.len);
        if (*message == NULL)
            error = WHIPPET_E_MEMORY;
        else if (body.len > 0)
            memcpy(message_body_storage(*message), body.data, body.len);
    }
    buffer_destroy(&properties);
    return error;
}
