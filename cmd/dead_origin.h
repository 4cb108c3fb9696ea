/* What a dead letter's headers tell of its death: where it failed, why, and when. */
#ifndef CMD_DEAD_ORIGIN_H
#define CMD_DEAD_ORIGIN_H

#include <amqp/message.h>
#include <base/clock.h>

/* Who wrote the headers that tell. */
enum dead_writer {
    DEAD_BY_NOBODY, /* no headers of a kind that is known */
    DEAD_BY_WHIPPET,
    DEAD_BY_BROKER,
    DEAD_BY_SPRING,
    DEAD_BY_MASSTRANSIT,
    DEAD_BY_NSERVICEBUS,
};

/* The spans point into the message, or into `queue_text`; data is NULL for what the headers do not tell. */
struct dead_origin {
    enum dead_writer writer;
    whippet_bytes queue;    /* it failed in */
    whippet_bytes exchange; /* it was published to at first: empty for the default one */
    whippet_bytes routing_key;
    whippet_bytes reason; /* a word: retry-exhausted, rejected, expired, an exception's class … */
    whippet_bytes error;  /* what went wrong, in the writer's words */
    char failed_at[CLOCK_TEXT_SIZE]; /* RFC 3339 where it can be read; else as written; "" when not told */
    int64_t attempts;                /* 0: not told */
};

/* `dead_queue` is the queue it lies in. */
void dead_origin_read(const struct message *message, const char *dead_queue, struct dead_origin *origin);

/* "whippet", "broker", "spring" …; "unknown". */
const char *dead_writer_name(enum dead_writer writer);

#endif
