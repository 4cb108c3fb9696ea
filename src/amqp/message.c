/* One allocation a message. */
#include <amqp/message.h>
#include <base/memory.h>

static whippet_bytes storage_put(char **at, whippet_bytes part)
{
    char *put = *at;
    if (part.len > 0)
        memcpy(put, part.data, part.len);
    *at += part.len;
    return bytes_of(put, part.len);
}

struct message *message_create(whippet_bytes exchange, whippet_bytes routing_key, whippet_bytes properties,
                               size_t body_size)
{
    size_t before_body = sizeof(struct message) + exchange.len + routing_key.len + properties.len;
    if (body_size > SIZE_MAX - before_body)
        return NULL;
    struct message *message = memory_allocate(before_body + body_size);
    if (message == NULL)
        return NULL;
    char *at = message->storage;
    message->delivery_tag = 0;
    message->redelivered = false;
    message->headers = PROPERTIES_SOUND;
    message->exchange = storage_put(&at, exchange);
    message->routing_key = storage_put(&at, routing_key);
    message->properties = storage_put(&at, properties);
    message->body = bytes_of(at, body_size);
    return message;
}

void message_destroy(struct message *message)
{
    memory_free(message);
}

size_t message_footprint(const struct message *message)
{
    return sizeof *message + message->exchange.len + message->routing_key.len + message->properties.len +
           message->body.len;
}
