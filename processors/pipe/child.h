/* One child, from start to start: a task of background() keeps it up, and tasks of that one write requests,
 * read answers, log its standard error, and see when it has ended. */
#ifndef PIPE_CHILD_H
#define PIPE_CHILD_H

#include "lines.h"
#include "log.h"
#include "pool.h"
#include "spawn.h"

enum {
    CHILD_TASKS = 4
};

struct child {
    struct pool *pool;
    unsigned number; /* from 1, for people */

    /* Guarded by the pool's lock. */
    struct call **calls;  /* in flight, oldest first; room for pool->in_flight; owned */
    unsigned busy;        /* how many */
    double oldest_since;  /* when the first of them became that */
    struct call *writing; /* whose line is being written; NULL: none, or it is gone, and left the line: */
    char *orphan;         /* owned; NULL: none */
    unsigned answered;    /* since it was started */
    bool is_up;           /* it takes calls */
    bool is_idle;         /* its writer waits for `wake` */
    bool is_late;         /* a call was not answered in time */
    whippet_event *wake;  /* there may be work; owned */
    whippet_event *over;  /* it is to end; owned */

    /* Of the tasks on the loop alone. */
    struct spawned spawned;
    struct lines answers;
    struct child_log log;
    whippet_task *tasks[CHILD_TASKS];   /* that tend its streams; NULL: none */
    unsigned failures;                  /* ends in a row before anything was answered */
    char problem[POOL_REASON_SIZE / 2]; /* what it did that can't be; "": nothing */
    bool is_stopping;                   /* its end is wanted */
    bool was_late, was_killed;          /* when it has ended */
    int status;                         /* then, as wait(2) has it */
};

/* False when memory is short; to be given to child_destroy in any case. */
bool child_create(struct child *child, struct pool *pool, unsigned number);
void child_destroy(struct child *child);

/* Starts it, again and again, until the task is cancelled: then the child's input is closed, and it is killed
 * if it does not end soon. A task function; `arg` is the child. */
int child_keep_up(whippet_task *task, void *arg);

/* --- streams.c: the tasks that tend it; each ends with its stream
 * ------------------------------------------------*/

int child_write_requests(whippet_task *task, void *child);
int child_read_answers(whippet_task *task, void *child);
int child_read_errors(whippet_task *task, void *child);

/* What is wrong with it, printf-style, once and for all: it is to be killed. */
void child_refuse(struct child *child, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
