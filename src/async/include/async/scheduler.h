/* The scheduler: ready tasks, timers and posted work. It has no clock and no descriptors: whoever drives it
 * (loop.h with libev, or a test with a virtual clock) says what time it is. Single-threaded. */
#ifndef ASYNC_SCHEDULER_H
#define ASYNC_SCHEDULER_H

#include <async/context.h>
#include <async/label.h>
#include <async/stack.h>
#include <async/timer.h>
#include <base/list.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <whippet/task.h>

/* Work to be done once at the end of this turn. Embedded by its owner; zeroed (or list_init'ed) at first. */
struct posted {
    struct list link;
    void (*function)(struct posted *posted);
};

struct loop;

/* How many spawned tasks there may be; schedulers of several threads may share one. */
struct task_quota {
    atomic_size_t used;
    atomic_size_t most;
};

/* How many lines whippet_retry has written while its window was open, and how many it has not. */
struct retry_log {
    struct timer window; /* armed: it is open */
    unsigned said;
    unsigned left_out;
};

struct scheduler {
    double now;    /* seconds, monotonic; set once a turn, never goes back */
    uint64_t turn; /* turns begun */
    struct timers timers;
    struct list ready;         /* tasks to resume, oldest first */
    struct list posted;        /* work for the end of this turn */
    struct stack_pool *stacks; /* owned */
    whippet_task *running;     /* NULL on the loop's own stack */
    size_t tasks;              /* that hold a stack, whatever their state */
    struct task_quota *quota;  /* of spawned tasks; borrowed, NULL: no limit */
    struct task_board *board;  /* shows the running task's label; borrowed, NULL: nobody looks */
    struct context home;       /* the context that turns the scheduler */
    struct loop *loop;         /* whose it is; NULL where something else drives it */
    double (*clock)(void); /* for awaits of tasks that may block before them; NULL: once a turn is enough */
    struct list starting;  /* tasks started by an `ended` function, to run when that has returned */
    bool ending;           /* an `ended` function is running */
    struct timer trim;     /* gives the stacks of a burst back; armed only when some are idle */
    struct retry_log retry_log;
};

/* At most this many unused stacks keep their memory for long. */
enum {
    SCHEDULER_KEPT_STACKS = 64
};

/* 0, or MEMORY or INVALID (stack_size) with the failure filled. */
int scheduler_init(struct scheduler *scheduler, size_t stack_size, struct whippet_failure *failure);
void scheduler_destroy(struct scheduler *scheduler); /* no task may be alive */

/* One turn at the moment `now`: due timers, then ready tasks, each once, those that they make ready included;
 * then posted work. Who has run in this turn and is ready again waits for the next one, as does what posted
 * work posts or makes ready. */
void scheduler_turn(struct scheduler *scheduler, double now);

/* True when the next turn has something to do at once. */
bool scheduler_busy(const struct scheduler *scheduler);

/* The earliest timer; INFINITY when there is none. After a burst of more than SCHEDULER_KEPT_STACKS tasks
 * that may be the scheduler's own, once or a few times, to give the memory of their stacks back. */
double scheduler_next(const struct scheduler *scheduler);

/* The moment for a task that is about to wait: read anew where tasks may have blocked since the turn began.
 */
static inline double scheduler_moment(struct scheduler *scheduler)
{
    if (scheduler->clock != NULL)
        scheduler->now = scheduler->clock();
    return scheduler->now;
}

/* Has `posted->function` called once at the end of this turn (of the next one, from posted work). Posting
 * what is posted already changes nothing. */
void scheduler_post(struct scheduler *scheduler, struct posted *posted);
void posted_cancel(struct posted *posted);

#endif
