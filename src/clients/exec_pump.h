/* Pumps: what moves bytes between memory and the pipes of a child. They run on the loop's own stack, whenever
 * a pipe is ready, each for itself: so no order in which a child reads and writes can make it wait for us and
 * us for it. */
#ifndef CLIENTS_EXEC_PUMP_H
#define CLIENTS_EXEC_PUMP_H

#include <async/loop.h>
#include <base/buffer.h>
#include <whippet/types.h>

/* Writes what is left to a pipe, then closes it. A reader that went away is the end too, not an error.
 * SIGPIPE must be ignored by the program. */
struct feeder {
    int descriptor;      /* owned; -1: closed */
    struct watch *watch; /* owned; NULL unless the pipe was full */
    whippet_bytes left;  /* borrowed */
};

/* Feeds nothing yet. */
void feeder_init(struct feeder *feeder, whippet_bytes input);

/* Writes as much as fits at once: small inputs are done then. Takes `*descriptor`, the end of an empty pipe,
 * over and puts -1 there. False when memory is short. */
bool feeder_start(struct feeder *feeder, struct loop *loop, int *descriptor);
void feeder_stop(struct feeder *feeder);

/* Which part of an output is kept when it is longer than the limit. */
enum collector_part {
    COLLECTOR_BEGINNING,
    COLLECTOR_END,
};

/* Reads a pipe until its end, keeps as much as the limit allows, and drops the rest. It need not be watched
 * from the beginning: a pipe keeps what fits in it. */
struct collector {
    int descriptor;      /* owned; -1: closed */
    struct watch *watch; /* owned; NULL: not watched, or closed */
    struct buffer kept;
    size_t limit; /* bytes */
    enum collector_part part;
    bool truncated;             /* more came than was kept */
    bool starved;               /* memory was short: it was closed before its end */
    void (*ended)(void *owner); /* called once, at the end or when starved */
    void *owner;
};

/* Collects nothing yet. */
void collector_init(struct collector *collector, enum collector_part part, size_t limit,
                    void (*ended)(void *owner), void *owner);

/* Takes `*descriptor` over and puts -1 there. */
void collector_take(struct collector *collector, int *descriptor);

/* Reads from now on whatever comes. False, and it is closed, when memory is short. Nothing where it is
 * watched or closed already. */
bool collector_watch(struct collector *collector, struct loop *loop);

/* Reads those that are not watched, and closes each that nobody can write to any more. */
void collectors_drain(struct collector *const *collectors, size_t count);

void collector_stop(struct collector *collector);
void collector_destroy(struct collector *collector);

static inline bool collector_is_open(const struct collector *collector)
{
    return collector->descriptor >= 0;
}

#endif
