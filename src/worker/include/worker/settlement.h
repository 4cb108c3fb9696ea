/* Settling one channel's deliveries: each tag once, never a wrong one, and as few acks on the wire as can be.
 *
 * Pure bookkeeping: it knows which tags are outstanding and says what to send. Delivery tags count up from 1
 * on each channel (AMQP 0-9-1, basic.deliver). */
#ifndef WORKER_SETTLEMENT_H
#define WORKER_SETTLEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How far the bookkeeping stays dense: a bit more than the largest prefetch (65,535), twice, for a consumer
 * that was cancelled and began anew while the old one's deliveries were still at work. What is still
 * outstanding this far behind the newest tag, a message that waits for its retry on a busy queue, is kept
 * apart. */
enum {
    SETTLEMENT_WINDOW_MAX = 1 << 17
};

struct settlement {
    uint64_t first;         /* tags below it are settled or about to be, but for the stragglers */
    uint64_t next;          /* one past the highest tag delivered */
    bool *window;           /* whether each tag from first to next is outstanding, in a ring; owned */
    size_t window_capacity; /* a power of two */
    uint64_t *stragglers;   /* outstanding tags below first, lowest first; owned */
    size_t straggler_count;
    uint64_t *acked; /* tags settled by an ack that was not sent yet, in the order they were settled; owned */
    size_t acked_count;
    size_t capacity;    /* of stragglers and of acked: room for all that is unacknowledged */
    size_t outstanding; /* delivered, and neither acked nor returned */
};

enum settlement_result {
    SETTLEMENT_DONE,
    SETTLEMENT_UNKNOWN, /* never delivered here, or settled already: nothing was changed, nothing may be sent
                         */
    SETTLEMENT_MEMORY,
};

void settlement_init(struct settlement *settlement);
void settlement_destroy(struct settlement *settlement);

/* Forgets everything: a new channel begins. */
void settlement_reset(struct settlement *settlement);

/* The broker delivered `tag`. UNKNOWN when that can't be: a tag that was there before, or far beyond the
 * next. */
enum settlement_result settlement_delivered(struct settlement *settlement, uint64_t tag);

/* `tag` is to be acked; settlement_flush says when and how. */
enum settlement_result settlement_ack(struct settlement *settlement, uint64_t tag);

/* `tag` is settled by the caller, who sends its nack at once. */
enum settlement_result settlement_return(struct settlement *settlement, uint64_t tag);

/* Acks that wait to be sent. */
static inline size_t settlement_pending(const struct settlement *settlement)
{
    return settlement->acked_count;
}

/* What the broker counts against the prefetch: delivered, and no settlement sent. */
static inline size_t settlement_unacknowledged(const struct settlement *settlement)
{
    return settlement->outstanding + settlement->acked_count;
}

/* Has every pending ack sent through `send`: one with `multiple` for all below the low watermark, the lowest
 * tag still outstanding, and one each for those above it. */
typedef void settlement_send(void *owner, uint64_t tag, bool multiple);
void settlement_flush(struct settlement *settlement, settlement_send *send, void *owner);

#endif
