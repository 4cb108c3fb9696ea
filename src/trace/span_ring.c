#include "span_ring.h"
#include <base/memory.h>
#include <base/utf8.h>
#include <string.h>

bool span_ring_init(struct span_ring *ring)
{
    *ring = (struct span_ring){.slots = memory_allocate(SPAN_RING_SLOTS * sizeof(struct span_slot))};
    return ring->slots != NULL;
}

void span_ring_destroy(struct span_ring *ring)
{
    memory_free(ring->slots);
}

/* Copies the text, as far as it may go; returns where the next one goes. */
static char *keep(whippet_bytes *text, char *at, size_t limit)
{
    if (text->len > limit)
        text->len = utf8_cut(text->data, text->len, limit);
    if (text->len > 0)
        memcpy(at, text->data, text->len);
    text->data = at;
    return at + text->len;
}

/* The next slot was last seen by the other thread's core, some thousand spans ago: fetched now, it is there
 * when it is wanted. */
static void fetch_ahead(const struct span_slot *slot)
{
    for (size_t at = 0; at < sizeof slot->span; at += 64)
        __builtin_prefetch((const char *)slot + at, 1);
}

size_t span_ring_push(struct span_ring *ring, const struct span *span)
{
    size_t pushed = atomic_load_explicit(&ring->pushed, memory_order_relaxed);
    size_t count = pushed - atomic_load_explicit(&ring->taken, memory_order_acquire);
    if (count == SPAN_RING_SLOTS)
        return 0;
    struct span_slot *slot = &ring->slots[pushed % SPAN_RING_SLOTS];
    slot->span = *span;
    char *at = keep(&slot->span.message_id, slot->text, SPAN_MESSAGE_ID_MAX);
    at = keep(&slot->span.destination, at, SPAN_DESTINATION_MAX);
    keep(&slot->span.error, at, SPAN_ERROR_MAX);
    atomic_store_explicit(&ring->pushed, pushed + 1, memory_order_release);
    fetch_ahead(&ring->slots[(pushed + 1) % SPAN_RING_SLOTS]);
    return count + 1;
}

const struct span *span_ring_peek(const struct span_ring *ring, size_t index)
{
    size_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    if (atomic_load_explicit(&ring->pushed, memory_order_acquire) - taken <= index)
        return NULL;
    return &ring->slots[(taken + index) % SPAN_RING_SLOTS].span;
}

void span_ring_release(struct span_ring *ring, size_t count)
{
    size_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    atomic_store_explicit(&ring->taken, taken + count, memory_order_release);
}
