/* What a task is made of. It lives at the top of its own stack, so that a task which suspends soon costs one
 * page. */
#ifndef ASYNC_TASK_STATE_H
#define ASYNC_TASK_STATE_H

#include "arena.h"
#include <async/scheduler.h>
#include <async/task.h>
#include <stdint.h>

/* What ends a wait: the narrowest deadline of the scopes the task is in, and what has already struck it
 * there. */
struct scope {
    double deadline;  /* a moment; INFINITY: none */
    int struck;       /* 0, or the TIMEOUT or CANCELLED that every later await in this scope returns */
    unsigned shields; /* how many whippet_shield it is in: above 0, cancelling is held back */
};

struct whippet_task {
    struct context context;
    struct scheduler *scheduler;
    struct list ready; /* its place among the ready or starting tasks, or among its parent's `ended` */
    uint64_t turn;     /* the one it last ran in */
    const char *activity;
    whippet_task_function *function;
    void *arg;
    int result; /* what the function returned */
    bool finished;
    bool cancelled;

    /* The await it is in. */
    struct waiter *waiter; /* NULL: running, ready or finished */
    int outcome;           /* what the await returns */
    bool shielded;
    struct timer timer; /* armed while it waits with a limit */
    struct scope scope;

    /* Its family. */
    whippet_task *parent;       /* NULL: a root */
    whippet_task *root;         /* itself, for a root */
    struct list sibling;        /* its place among its parent's children */
    struct list children;       /* not joined yet, in the order they were spawned */
    struct list ended_children; /* those of them that have finished, in that order; linked by `ready` */
    struct waiter *any_child;   /* where it waits for any child to finish; NULL: it does not */
    struct waiter end;          /* woken when it has finished; its parent waits there */
    unsigned shelter; /* the parent's `scope.shields` when it was spawned: above 0, the parent's cancelling
                         stops short of it */
    struct stack stack;

    /* A root's. */
    const struct log_fields *fields; /* borrowed; may be NULL */
    const struct task_label *label;  /* borrowed; NULL: none */
    task_ended *ended;               /* may be NULL */
    struct arena arena;
    char *reason;                   /* in the arena; NULL: none */
    double retry_after;             /* seconds; 0: not asked for */
    const whippet_message *message; /* borrowed; may be NULL */
};

/* Runs the task until it suspends (true) or ends (false; a root is gone then). From the loop's own stack. */
bool task_resume(whippet_task *task);

/* Puts it among those that this turn resumes, or the next one where it has run in this. */
void task_make_ready(whippet_task *task);

/* Goes back to the loop; returns when the task is resumed. From the task itself. */
void task_suspend(whippet_task *task, const char *activity);

/* task_struck, for an await that is about to return it: nothing that happens later in this scope changes it
 * then. */
int task_strike(whippet_task *task);

/* Ends the await of a parked task: it is ready, and the await returns `outcome`. */
void task_unpark(whippet_task *task, int outcome);

/* Cancels the children that were spawned in at least `shelter` shields, awaits their end and frees them. */
void task_end_children(whippet_task *task, unsigned shelter);

/* Has the stacks that a burst of tasks left looked at in a while. */
void scheduler_trim_later(struct scheduler *scheduler);

/* Its timer's function: ends the await with TIMEOUT. */
void task_time_out(struct timer *timer);

#endif
