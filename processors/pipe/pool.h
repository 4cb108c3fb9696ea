/* The children of one queue, and the messages that are in their hands.
 *
 * A message is a *call*: its process() puts it in line and awaits its end. Each child takes from the line
 * what it has room for, so that a child which reads slowly gets little. The children are tended by tasks of
 * the processor's background(); under `run: thread` the calls come from other threads, hence the lock. It is
 * never held over an await.
 *
 * Who pays when a child ends before its work? Nobody else can know what it was at, so:
 *
 * - A call that it had alone is charged with it.
 * - Of several none is. They go back to the front of the line, and from there into a child each *alone*: the
 *   one that brings its children down is charged then, and the others are done.
 * - The time of a call runs while it is the oldest in its child, which is to answer that one, whatever it
 * does with the others. Where that time is up the call is charged, the child killed, and the others go back.
 */
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
    CALL_SENT,  /* a child has it, or is being written it, or had it and is ending */
    CALL_ENDED, /* `verdict` and `reason` are filled in */
};

/* On the stack of its process(). Guarded by the pool's lock until it has ended. */
struct call {
    struct call *previous, *next; /* while it is in line */
    enum call_state state;
    int64_t id;
    double patience; /* seconds that a child may take for it */
    bool is_alone;   /* no other is to be in its child */
    char *line;      /* the request; owned */
    size_t length;   /* of the line */
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
    double up_at;                   /* when a child last went up or down; 0: none ever was up */
    char trouble[POOL_REASON_SIZE]; /* how the last child ended that was not told to; "": none did */
};

/* --- For calls ------------------------------------------------------------------------------------------*/

/* Its patience is the time that the task has left. False when memory is short: nothing is to be closed then.
 */
bool call_open(struct call *call, struct pool *pool, whippet_task *task, const whippet_message *message);

/* Puts it in line, and wakes a child that has room for it. */
void call_begin(struct call *call, struct pool *pool);

/* Seconds that may pass before this is asked again: 0 or less when its time is up, or there was no child to
 * take it for so long, or it has ended. It may be asked once the task's own deadline has struck. */
double call_time_left(struct call *call, struct pool *pool);

/* Takes it from wherever it is; a child that has it is to be killed. Returns where it was. */
enum call_state call_withdraw(struct call *call, struct pool *pool);
void call_close(struct call *call);

/* A copy of pool->trouble, in memory of the task's; "" also when memory is short. */
const char *pool_trouble(whippet_task *task, struct pool *pool);

/* --- For children ---------------------------------------------------------------------------------------*/

/* Takes the oldest call for the child, to be written: the line stands until pool_wrote. False when there is
 * none or the child has no room: its event `wake` is cleared, and set when that changes. */
bool pool_take(struct pool *pool, struct child *child, const char **line, size_t *length);

/* The line is not written any more. */
void pool_wrote(struct pool *pool, struct child *child);

/* Ends the call that the answer is to. False when the child has no such call. */
bool pool_answer(struct pool *pool, struct child *child, const struct answer *answer);

/* The child takes calls from now on. */
void pool_join(struct pool *pool, struct child *child);

/* It takes no more. True when a call was withdrawn from it because it was not answered in time. */
bool pool_leave(struct pool *pool, struct child *child);

/* The child has ended, as the text says, which is kept as trouble: what it had is put back in line, unless it
 * is the guilty one or nobody is to take it any more, and ends with RETRY and this text then. */
void pool_fail(struct pool *pool, struct child *child, const char *text);

#endif
