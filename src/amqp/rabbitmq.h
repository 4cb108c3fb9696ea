/* rabbitmq-c, wherever its release keeps the header: 0.12 moved it. Included only below src/amqp. */
#ifndef AMQP_RABBITMQ_H
#define AMQP_RABBITMQ_H

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#endif

#include <whippet/types.h>

static inline amqp_bytes_t amqp_of(whippet_bytes bytes)
{
    return (amqp_bytes_t){.len = bytes.len, .bytes = (void *)bytes.data};
}

static inline whippet_bytes bytes_of_amqp(amqp_bytes_t bytes)
{
    return (whippet_bytes){.data = bytes.bytes, .len = bytes.len};
}

static inline amqp_bytes_t amqp_of_text(const char *text)
{
    return text != NULL ? amqp_cstring_bytes(text) : amqp_empty_bytes;
}

#endif
