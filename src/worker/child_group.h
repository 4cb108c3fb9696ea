/* The child processes of one subscription: kept up, told to end, and what becomes of their work when they end
 * by themselves. */
#ifndef WORKER_CHILD_GROUP_H
#define WORKER_CHILD_GROUP_H

#include "child_process.h"
#include "frame_link.h"
#include "worker_internal.h"

enum child_state {
    CHILD_DOWN,     /* there is none; the timer starts the next */
    CHILD_STARTING, /* it loads the plugin and calls setup() */
    CHILD_UP,
    CHILD_ENDING, /* it was told that nothing more comes */
};

/* Where one attempt is in a child. */
struct seat {
    struct child *child;
    struct delivery *delivery; /* NULL: free */
    uint32_t serial;           /* of this use; counts up in each child: what was begun first has the least */
};

struct child {
    struct child_group *group;
    struct child_process process;
    struct frame_link link;
    struct watch *exit_watch; /* of the process's handle */
    enum child_state state;
    struct seat *seats; /* owned */
    uint32_t *free;     /* indexes of free seats, a stack; owned */
    uint32_t free_count;
    uint32_t serial;
    unsigned failures;   /* ends in a row before anything was done */
    struct timer timer;  /* DOWN: the next start; STARTING: the end of patience; UP: looks for a stall */
    uint64_t seen_turns; /* of its board, */
    double seen_turn;    /* the turn of its loop, and since when both */
    double seen_since;
    bool stalled;                   /* it was sent SIGTERM, and SIGKILL is next */
    bool is_strange;                /* it was killed for what it sent */
    struct whippet_failure failure; /* what it said of its setup() */
};

struct child_group {
    struct subscription *subscription;
    unsigned count;
    uint32_t share;                      /* seats of each child */
    bool closing;                        /* its children were told to end */
    bool awaited;                        /* and child_group_close waits for that */
    struct log_repetition failed_starts; /* since a child was ready last */
    struct list publications; /* struct errand of child_publish.c: what children publish, and its task */
    struct waiter changed;    /* child_group_close waits here */
    struct child children[];
};

struct child_group *child_group_create(struct subscription *subscription); /* NULL: out of memory */
void child_group_destroy(struct child_group *group); /* kills what is left; NULL is fine */
void child_group_open(struct child_group *group);
bool child_group_is_up(const struct child_group *group);

/* Lets children end that have nothing to do, and kills those that have. More than once changes nothing. */
void child_group_end(struct child_group *group);

/* The same, and kills all at `until`. Suspends until they are gone, whatever strikes the task; a second call
 * returns at once. */
void child_group_close(whippet_task *task, struct child_group *group, double until);

/* What the child sends, whatever it is: what makes no sense is the child's end. A handler of frame_link;
 * `child` is a struct child. */
void child_take_frame(void *child, const struct frame *frame, const uint8_t *payload);

/* There must be a free one. */
struct seat *child_take_seat(struct child *child, struct delivery *delivery);
void child_free_seat(struct child *child, struct seat *seat);

static inline uint32_t child_busy(const struct child *child)
{
    return child->group->share - child->free_count;
}

/* Something that child_group_close may wait for has changed. */
void child_group_wake(struct child_group *group);

/* They are to log as worker->config says now. */
void child_group_tell_log(struct child_group *group);

/* --- child_end.c: when one has ended --------------------------------------------------------------------*/

/* Ends the attempts it had: one is charged, the others are run again. */
void child_settle(struct child *child, int status);

/* --- child_publish.c: what children publish -------------------------------------------------------------*/

/* False when the frame makes no sense. */
bool child_publish(struct child *child, const struct frame *frame, const uint8_t *payload);
void child_recall(struct child *child, uint32_t serial);
void child_recall_all(struct child *child); /* it has ended */

#endif
