/* The children of one queue, and the messages that are in their hands.
 *
 * A message is a *call*: its process() puts it in line and awaits its end. Each child takes from the line
 * what it has room for, so that a child which reads slowly gets little. The children are tended by tasks of
 * the processor's background(); under `run: thread` the calls come from other threads, hence the lock. It is
 * never held over an await. */
#ifndef PIPE_POOL_H
#define PIPE_POOL_H

#include "answer.h"
#include "output_level.h"
#include <pthread.h>
#include <stddef.h>

struct child;

enum {
    POOL_REASON_SIZE = 1024 /* bytes; as much as is kept of a reason */
};

enum call_state {
    CALL_IN_LINE,
    CALL_SENT,  /* a child has it, or is being written it */
    CALL_ENDED, /* `verdict` and `reason` are filled in */
};

/* On the stack of its process(). Guarded by the pool's lock until it has ended. */
struct call {
    struct call *previous, *next; /* while it is in line */
    enum call_state state;
    int64_t id;
    char *line;    /* the request; owned until a child takes it */
    size_t length; /* of the line */
    struct child *child;
    whippet_event *ended;
    whippet_verdict verdict;
    char *reason;          /* owned; NULL: none was given */
    bool reason_is_answer; /* it is JSON as the child wrote it */
};

struct pool {
    /* What the settings say. */
    const char *const *command; /* borrowed */
    const char *directory;      /* borrowed; NULL: the worker's own */
    char **additions;           /* to the environment; owned */
    char **environment;         /* all of it; owned */
    unsigned in_flight;         /* the most calls in one child */
    size_t answer_limit;        /* bytes of one answer */
    struct output_level log;    /* of what children write to standard error */
    unsigned log_rate;          /* lines a second, of one child */
    double grace;               /* seconds, for a child to end */

    struct child *children; /* owned */
    unsigned count;

    pthread_mutex_t lock;
    struct call line;               /* its ends: oldest first */
    int64_t last_id;                /* given to a call */
    char trouble[POOL_REASON_SIZE]; /* how the last child ended that was not told to; "": none did */
};

/* --- For calls ------------------------------------------------------------------------------------------*/

/* False when memory is short: nothing is to be closed then. */
bool call_open(struct call *call, struct pool *pool, whippet_task *task, const whippet_message *message);

/* Puts it in line, and wakes a child that has room for it. */
void call_begin(struct call *call, struct pool *pool);

/* Takes it from wherever it is; a child that has it is to be killed. Returns where it was. */
enum call_state call_withdraw(struct call *call, struct pool *pool);
void call_close(struct call *call);

/* A copy of pool->trouble, in memory of the task's; "" also when memory is short. */
const char *pool_trouble(whippet_task *task, struct pool *pool);

/* --- For children ---------------------------------------------------------------------------------------*/

/* Takes the oldest call for the child. The line is the caller's then, to be freed. False when there is none
 * or the child has no room: its event `wake` is cleared, and set when that changes. */
bool pool_take(struct pool *pool, struct child *child, char **line, size_t *length);

/* Ends the call that the answer is to. False when the child has no such call. */
bool pool_answer(struct pool *pool, struct child *child, const struct answer *answer);

/* The child takes calls from now on. */
void pool_join(struct pool *pool, struct child *child);

/* It takes no more. True when a call was withdrawn from it because it was not answered in time. */
bool pool_leave(struct pool *pool, struct child *child);

/* Ends all calls that the child has with RETRY and this text, and keeps it as trouble. */
void pool_fail(struct pool *pool, struct child *child, const char *text);

#endif
