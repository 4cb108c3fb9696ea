/* Tasks from the inside: how the worker starts them and how awaits are made. What processors see is
 * <whippet/task.h>. */
#ifndef ASYNC_TASK_H
#define ASYNC_TASK_H

#include <async/scheduler.h>
#include <base/log.h>
#include <stdarg.h>
#include <whippet/task.h>

/* Called on the loop's own stack when a root task has ended; the task is gone, and its stack was given back.
 */
typedef void task_ended(void *arg, int result);

/* Starts a root task and runs it at once until it first suspends; call it from the loop's own stack only.
 * `fields` (borrowed until it ends, may be NULL) go on every line it logs. `ended` may be NULL. `deadline` is
 * a moment; INFINITY for none.
 *
 * Returns the task, which is valid until `ended` is called. NULL when memory or stacks are short (nothing ran
 * then, and `ended` will not be called), and also when the task ran to its end before this returned (`ended`
 * was called): `*started` (may be NULL) tells the two apart.
 *
 * A task started by an `ended` function runs when that has returned, so that a chain of tasks of any length
 * takes no more stack than two. The loop does not turn before the chain is over: what starts them must come
 * to an end. */
whippet_task *task_start(struct scheduler *scheduler, whippet_task_function *function, void *arg,
                         double deadline, const struct log_fields *fields, task_ended *ended, bool *started);

/* Shows `label` (borrowed until the task's root ends) on the scheduler's board whenever the task, or one that
 * belongs to it, runs; from the task itself, so at once. */
void task_set_label(whippet_task *task, const struct task_label *label);

/* The label of the task's root; NULL: none. */
const struct task_label *task_label(const whippet_task *task);

/* Whether `address` lies in the guard page below the task's stack: what faults there has overflowed it. Safe
 * in a signal's handler. */
bool task_stack_overflowed(const whippet_task *task, const void *address);

/* Asks a root task to end, as whippet_cancel does for children. */
void task_cancel(whippet_task *task);

struct scheduler *task_scheduler(const whippet_task *task);
const struct log_fields *task_log_fields(const whippet_task *task); /* may be NULL */

/* The deadline of the scope it is in, as a moment (INFINITY: none). */
double task_deadline(const whippet_task *task);

/* What the task is doing, for people: "running", "sleeping", "waiting for a descriptor" … A static string. */
const char *task_activity(const whippet_task *task);

/* 0, or the TIMEOUT or CANCELLED that every await returns from now on in the scope the task is in. */
int task_struck(const whippet_task *task);

/* Bytes of its stack that were touched, in whole pages; right only after stack_pool_measure. */
size_t task_stack_used(const whippet_task *task);

/* The root's memory of the reason that whippet_reject and whippet_retry_later keep; text beyond 1 KiB is cut.
 * Empty when there is none, or no memory for it. Valid until the root ends. */
void task_set_reason(whippet_task *task, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
const char *task_reason(const whippet_task *task);

/* The pause before the next attempt that whippet_retry_after asked for, in seconds; 0: none. The root's, too.
 */
void task_set_retry_after(whippet_task *task, double seconds);
double task_retry_after(const whippet_task *task);

/* The message that a root and its children work on; NULL: none. Whoever runs process() says so, and what it
 * publishes carries the message's trace. */
void task_set_message(whippet_task *task, const whippet_message *message);
const whippet_message *task_message(const whippet_task *task);

/* --- Making awaits -----------------------------------------------------------------------------------------
 *
 * An await parks the running task in a waiter and suspends; whoever brings it about calls waiter_wake. A
 * waiter is woken at most once; waking one that nobody waits in is remembered, and the next to wait gets the
 * result at once. */
struct waiter {
    whippet_task *task; /* parked in it; NULL: nobody */
    bool woken;
    int result;
};

void waiter_init(struct waiter *waiter);

/* Suspends until woken, until `until` (a moment; INFINITY: no limit of its own), the deadline, or
 * cancellation; what comes first counts. Returns waiter_wake's result; TIMEOUT both for the deadline and for
 * `until`, which task_struck tells apart; CANCELLED; INVALID when `task` is not the one that runs, or another
 * waits there already. A task that is struck before it waits gets that error even where the waiter was woken:
 * `woken` tells whoever must know. Never fails for want of memory. After anything but a wake, a later wake is
 * ignored safely as long as the waiter still exists. `activity` is a static string for task_activity. */
int waiter_wait(whippet_task *task, struct waiter *waiter, double until, const char *activity);

/* The same, but neither deadline nor cancellation ends it: for what must not be left half done. */
int waiter_wait_shielded(whippet_task *task, struct waiter *waiter, const char *activity);

/* Makes the parked task ready with `result`. From the loop's stack or from another task of the same
 * scheduler. */
void waiter_wake(struct waiter *waiter, int result);

#endif
