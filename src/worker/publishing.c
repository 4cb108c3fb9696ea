#include <stdint.h>
#include <string.h>
#include <worker/publishing.h>

static struct {
    publish_function *function;
    void *owner;
} publisher;

void publishing_install(publish_function *function, void *owner)
{
    publisher.function = function;
    publisher.owner = owner;
}

/* AMQP writes the length of a name in one byte. */
static bool is_short(const char *text)
{
    return text == NULL || strnlen(text, UINT8_MAX + 1) <= UINT8_MAX;
}

static bool headers_are_valid(const whippet_publication *publication)
{
    if (publication->header_count > 0 && publication->headers == NULL)
        return false;
    for (size_t i = 0; i < publication->header_count; i++) {
        const whippet_publish_header *header = &publication->headers[i];
        if (header->name == NULL || header->value == NULL || !is_short(header->name))
            return false;
    }
    return true;
}

static bool publication_is_valid(const whippet_publication *publication)
{
    return is_short(publication->exchange) && is_short(publication->routing_key) &&
           is_short(publication->content_type) && is_short(publication->message_id) &&
           is_short(publication->correlation_id) && is_short(publication->reply_to) &&
           is_short(publication->type) && (publication->body.data != NULL || publication->body.len == 0) &&
           headers_are_valid(publication);
}

int whippet_publish(whippet_task *task, const whippet_publication *publication)
{
    if (!publication_is_valid(publication))
        return WHIPPET_E_INVALID;
    if (publisher.function == NULL)
        return WHIPPET_E_UNAVAILABLE;
    return publisher.function(publisher.owner, task, publication);
}
