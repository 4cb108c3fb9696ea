/* Messages made by hand. */
#include "test.h"
#include <base/buffer.h>
#include <base/bytes.h>
#include <stdio.h>
#include <worker/publication.h>

/* The headers are written as those of a publication are; the rest has two properties that no publication has.
 */
static int write_headers(const whippet_test_message *description, struct message **written)
{
    whippet_publication headers = {.headers = description->headers,
                                   .header_count = description->header_count};
    return publication_is_valid(&headers) ? publication_deliver(&headers, written) : WHIPPET_E_INVALID;
}

static struct properties_draft draft_of(const whippet_test_message *description, whippet_bytes header_entries)
{
    return (struct properties_draft){
        .content_type = bytes_of_text(description->content_type),
        .content_encoding = bytes_of_text(description->content_encoding),
        .message_id = bytes_of_text(description->message_id),
        .correlation_id = bytes_of_text(description->correlation_id),
        .reply_to = bytes_of_text(description->reply_to),
        .type = bytes_of_text(description->type),
        .user_id = bytes_of_text(description->user_id),
        .app_id = bytes_of_text(description->app_id),
        .expiration = bytes_of_text(description->expiration),
        .timestamp = description->timestamp,
        .priority = description->priority,
        .delivery_mode = description->transient ? DELIVERY_MODE_TRANSIENT : DELIVERY_MODE_PERSISTENT,
        .header_entries = header_entries,
    };
}

static const char *text_or(const char *text, const char *other)
{
    return text != NULL ? text : other;
}

static struct message *put_together(const whippet_test_message *description, struct buffer *properties)
{
    whippet_bytes body = description->text != NULL ? bytes_of_text(description->text) : description->body;
    const char *routing_key = text_or(description->routing_key, text_or(description->queue, "test"));
    struct message *message =
        message_create(bytes_of_text(text_or(description->exchange, "")), bytes_of_text(routing_key),
                       bytes_of(buffer_begin(properties), buffer_length(properties)), body.len);
    if (message == NULL)
        return NULL;
    message->redelivered = description->redelivered;
    if (body.len > 0)
        memcpy(message_body_storage(message), body.data, body.len);
    return message;
}

struct message *message_make(whippet_test *test, const whippet_test_message *description)
{
    struct message *headers = NULL, *message = NULL;
    struct buffer properties;
    buffer_init(&properties);
    int error = write_headers(description, &headers);
    if (error == 0) {
        whippet_bytes entries = properties_get(headers->properties, PROPERTY_HEADERS);
        struct properties_draft draft = draft_of(description, entries);
        error = properties_write(&properties, &draft);
    }
    if (error == 0)
        message = put_together(description, &properties);
    message_destroy(headers);
    buffer_destroy(&properties);
    if (error == WHIPPET_E_INVALID)
        test_fail(test->fail,
                  "whippet_test_message: AMQP has no such message: a header without name or value, "
                  "or a property of more than 255 bytes");
    if (message == NULL)
        test_fail(test->fail, "whippet_test_message: out of memory");
    return message;
}
