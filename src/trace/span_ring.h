/* A bounded queue of spans between two threads: one pushes, one takes, and neither ever waits for the other.
 */
#ifndef TRACE_SPAN_RING_H
#define TRACE_SPAN_RING_H

#include <stdatomic.h>
#include <stddef.h>
#include <trace/tracer.h>

enum {
    SPAN_RING_SLOTS = 4096, /* a power of two */
    /* Of a span's texts, what is kept. */
    SPAN_MESSAGE_ID_MAX = 128,
    SPAN_DESTINATION_MAX = 256,
    SPAN_ERROR_MAX = 128,
    SPAN_TEXT_SIZE = SPAN_MESSAGE_ID_MAX + SPAN_DESTINATION_MAX + SPAN_ERROR_MAX,
};

struct span_slot {
    struct span span; /* its texts lie in `text` */
    char text[SPAN_TEXT_SIZE];
};

struct span_ring {
    struct span_slot *slots;            /* owned; touched as far as they are needed only */
    _Alignas(64) _Atomic size_t pushed; /* in all; the pusher's */
    _Alignas(64) _Atomic size_t taken;  /* in all; the taker's */
};

bool span_ring_init(struct span_ring *ring); /* false when memory is short */
void span_ring_destroy(struct span_ring *ring);

/* Copies the span. Returns how many there are then; 0: it was full, and the span is dropped. */
size_t span_ring_push(struct span_ring *ring, const struct span *span);

/* The oldest; NULL: there is none. It stays until span_ring_release, which lets go of `count`. */
const struct span *span_ring_peek(const struct span_ring *ring, size_t index);
void span_ring_release(struct span_ring *ring, size_t count);

#endif
