/* A message as it was delivered: one allocation that holds the envelope, the properties and the body. */
#ifndef AMQP_MESSAGE_H
#define AMQP_MESSAGE_H

#include <amqp/properties.h>

struct message {
    uint64_t delivery_tag;
    bool redelivered;
    enum properties_check headers; /* SOUND, or what is wrong with the headers: they must not be read then */
    whippet_bytes exchange;
    whippet_bytes routing_key;
    whippet_bytes properties; /* encoded */
    whippet_bytes body;
    char storage[]; /* what the spans above point into */
};

/* A message with room for `body_size` bytes at message->body.data, copied from the other parts. NULL when
 * memory is short. */
struct message *message_create(whippet_bytes exchange, whippet_bytes routing_key, whippet_bytes properties,
                               size_t body_size);
void message_destroy(struct message *message);

/* Its bytes in memory, for the accounts. */
size_t message_footprint(const struct message *message);

/* Where the body is to be written while the message is being put together. */
static inline char *message_body_storage(struct message *message)
{
    return message->storage + (message->exchange.len + message->routing_key.len + message->properties.len);
}

#endif
