/* AMQP field tables as they are on the wire (section 4.2.5.5, with RabbitMQ's errata for the type letters).
 *
 * Tables stay encoded: they are checked once, without recursion, and then read and copied in place. So a
 * hostile table costs no stack and no memory, and a copy of a message carries its headers byte for byte.
 * Everywhere in this file `entries` is a table's contents without the four bytes of length in front. */
#ifndef AMQP_TABLE_H
#define AMQP_TABLE_H

#include <base/buffer.h>
#include <base/bytes.h>
#include <stdbool.h>
#include <whippet/message.h>

enum {
    TABLE_DEPTH_LIMIT = 32
};

enum table_check {
    TABLE_SOUND,
    TABLE_TOO_DEEP,  /* nested more than TABLE_DEPTH_LIMIT deep */
    TABLE_MALFORMED, /* a length that does not fit, or an unknown type letter */
};

/* Walks the whole of it with a constant amount of stack. Only sound tables may be given to the functions
 * below, but for table_next, which also stops safely in others. */
enum table_check table_check(whippet_bytes entries);

/* Takes the first entry off `*entries`. `*raw` (may be NULL) takes its bytes, name included. False at the
 * end. */
bool table_next(whippet_bytes *entries, whippet_bytes *name, whippet_value *value, whippet_bytes *raw);

/* The same for an array's contents, whose items have no names. */
bool array_next(whippet_bytes *items, whippet_value *value);

/* The first entry of that name; kind ABSENT when there is none. */
whippet_value table_find(whippet_bytes entries, whippet_bytes name);

/* Writing: appends one entry. False when memory is short; the buffer may end in half an entry then. `name` is
 * cut off at 255 bytes by contract: callers check it. An empty name (data NULL) writes an array's item. */
bool table_add_text(struct buffer *entries, whippet_bytes name, whippet_bytes text);
bool table_add_integer(struct buffer *entries, whippet_bytes name, int64_t value);
bool table_add_real(struct buffer *entries, whippet_bytes name, double value);
/* The same with the type letter that such a value came with, where that type holds the value; else as above.
 * L is written bit for bit, as it was read. */
bool table_add_integer_of(struct buffer *entries, whippet_bytes name, char type, int64_t value);
bool table_add_real_of(struct buffer *entries, whippet_bytes name, char type, double value);
bool table_add_boolean(struct buffer *entries, whippet_bytes name, bool value);
bool table_add_timestamp(struct buffer *entries, whippet_bytes name, uint64_t seconds);
bool table_add_decimal(struct buffer *entries, whippet_bytes name, uint8_t scale, uint32_t unscaled);
bool table_add_null(struct buffer *entries, whippet_bytes name);
/* A table (type 'F'), array ('A') or binary data ('x') whose contents are `contents`. */
bool table_add_nested(struct buffer *entries, whippet_bytes name, char type, whippet_bytes contents);

#endif
