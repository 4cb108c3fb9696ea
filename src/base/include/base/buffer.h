/* A byte queue: appended to at its end, consumed from its beginning. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    uint8_t *data;   /* owned */
    size_t start;    /* first byte that was not consumed */
    size_t end;      /* one past the last byte */
    size_t capacity; /* bytes at data */
};

void buffer_init(struct buffer *buffer);
void buffer_destroy(struct buffer *buffer);

static inline size_t buffer_length(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}

/* NULL before anything was reserved. */
static inline uint8_t *buffer_begin(const struct buffer *buffer)
{
    return buffer->data != NULL ? buffer->data + buffer->start : NULL;
}

/* Room for `size` more bytes, contiguous: its address, or NULL when memory is short. Make it count with
 * buffer_commit. The address is valid until the next call that takes the buffer. */
uint8_t *buffer_reserve(struct buffer *buffer, size_t size);
void buffer_commit(struct buffer *buffer, size_t size);

/* False when memory is short; the buffer is unchanged then. */
bool buffer_append(struct buffer *buffer, const void *data, size_t size);

void buffer_consume(struct buffer *buffer, size_t size);

/* Takes back what was appended since the buffer was `length` bytes long; nothing may have been consumed
 * meanwhile. */
static inline void buffer_shorten(struct buffer *buffer, size_t length)
{
    buffer->end = buffer->start + length;
}

/* Forgets what is in it; keeps the memory. */
void buffer_clear(struct buffer *buffer);

/* Gives memory beyond `keep` bytes back when the buffer is empty. */
void buffer_trim(struct buffer *buffer, size_t keep);

#endif
