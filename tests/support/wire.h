/* AMQP 0-9-1 bytes written one by one, for tests: nothing here is shared with src/amqp, so that both can't be
 * wrong in the same way. Method arguments come from rabbitmq-c's encoder. Aborts when memory is short. */
#ifndef SUPPORT_WIRE_H
#define SUPPORT_WIRE_H

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#endif
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_frame_type {
    WIRE_METHOD = 1,
    WIRE_HEADER = 2,
    WIRE_BODY = 3,
    WIRE_HEARTBEAT = 8
};
enum {
    WIRE_FRAME_END = 0xCE,
    WIRE_FRAME_OVERHEAD = 8,
    WIRE_BASIC_CLASS = 60
};

/* Bytes that grow. Zeroed: empty. */
struct wire {
    uint8_t *data; /* owned */
    size_t length;
    size_t capacity;
};

void wire_destroy(struct wire *wire);
void wire_clear(struct wire *wire);

void wire_raw(struct wire *wire, const void *data, size_t size);
void wire_octet(struct wire *wire, unsigned value);
void wire_short(struct wire *wire, unsigned value);
void wire_long(struct wire *wire, uint32_t value);
void wire_longlong(struct wire *wire, uint64_t value);
void wire_fill(struct wire *wire, unsigned octet, size_t count);
void wire_short_text(struct wire *wire, const char *text);
void wire_long_text(struct wire *wire, const char *text);

/* What stands between begin and end gets its four bytes of length in front. */
size_t wire_begin_long(struct wire *wire);
void wire_end_long(struct wire *wire, size_t begun);

/* Table entries; `name` NULL writes an array's item. */
void wire_entry(struct wire *wire, const char *name, char type);
void wire_entry_text(struct wire *wire, const char *name, const char *text);
void wire_entry_boolean(struct wire *wire, const char *name, bool value);

/* Entries nested `levels` deep, the table that they are put in being the first level. */
void wire_nested_tables(struct wire *wire, size_t levels);
void wire_nested_arrays(struct wire *wire, size_t levels);

/* Frames. */
void wire_frame(struct wire *wire, unsigned type, unsigned channel, const void *payload, size_t size);
void wire_method(struct wire *wire, unsigned channel, amqp_method_number_t id, const void *decoded);
void wire_header(struct wire *wire, unsigned channel, uint64_t body_size, const void *properties,
                 size_t size);
void wire_body(struct wire *wire, unsigned channel, const void *data, size_t size);
void wire_heartbeat(struct wire *wire);

/* Properties with nothing but headers, which are `entries`. */
void wire_properties_with_headers(struct wire *wire, const struct wire *entries);

/* The broker's side of the handshake. */
void wire_start(struct wire *wire, const char *mechanisms);
void wire_tune(struct wire *wire, unsigned channel_max, uint32_t frame_max, unsigned heartbeat);
void wire_open_ok(struct wire *wire);
void wire_connection_close(struct wire *wire, unsigned code, const char *text);
void wire_connection_close_ok(struct wire *wire);

/* The broker's side of a channel. */
void wire_channel_open_ok(struct wire *wire, unsigned channel);
void wire_channel_close(struct wire *wire, unsigned channel, unsigned code, const char *text);
void wire_channel_close_ok(struct wire *wire, unsigned channel);
void wire_declare_ok(struct wire *wire, unsigned channel, const char *queue, uint32_t messages,
                     uint32_t consumers);
void wire_consume_ok(struct wire *wire, unsigned channel, const char *consumer_tag);
void wire_cancel(struct wire *wire, unsigned channel, const char *consumer_tag, bool nowait);
void wire_cancel_ok(struct wire *wire, unsigned channel, const char *consumer_tag);
void wire_ack(struct wire *wire, unsigned channel, uint64_t delivery_tag, bool multiple);
void wire_nack(struct wire *wire, unsigned channel, uint64_t delivery_tag, bool multiple);
void wire_deliver(struct wire *wire, unsigned channel, const char *consumer_tag, uint64_t delivery_tag);
void wire_return(struct wire *wire, unsigned channel, const char *exchange, const char *routing_key);

/* Header and body frames of one content, the body cut so that every frame fits `frame_max`. Properties NULL:
 * none. */
void wire_content(struct wire *wire, unsigned channel, const struct wire *properties, const void *body,
                  size_t size, uint32_t frame_max);

#endif
