/* A line of tasks that wait for the same thing: first come, first served. */
#ifndef ASYNC_LINE_H
#define ASYNC_LINE_H

#include <async/task.h>
#include <base/list.h>

/* A task's place in a line; on its own stack. */
struct place_in_line {
    struct list link;
    struct waiter waiter;
};

/* What an await at a meeting point begins with. `*home` is the scheduler that the point belongs to; NULL at
 * first, and then that of the first task that comes. 0; INVALID when the task belongs to another, or is not
 * the one that runs; TIMEOUT or CANCELLED. */
int line_check(whippet_task *task, struct scheduler **home);

/* Suspends at the end of `line` until line_call, the deadline or cancellation; the place is out of the line
 * then. Returns what it was called with, and only then was it called; TIMEOUT, CANCELLED. */
int line_wait(whippet_task *task, struct list *line, struct place_in_line *place, const char *activity);

/* The place at the head of the line; NULL when nobody waits. */
struct place_in_line *line_first(struct list *line);

/* Takes it out of its line and wakes its task. */
void line_call(struct place_in_line *place, int result);

/* Calls everybody. */
void line_call_all(struct list *line, int result);

#endif
