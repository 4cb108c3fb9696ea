/**
 * @file
 * Tasks: straight-line code that suspends. What Python calls a coroutine, await and gather.
 *
 * Every await returns 0 or a negative WHIPPET_E_…. Two errors can come from any of them:
 *
 * - WHIPPET_E_TIMEOUT: the task's deadline has passed: the attempt's (`timeout` in the configuration), or a
 *   narrower one of whippet_with_timeout.
 * - WHIPPET_E_CANCELLED: the task was cancelled: by whippet_cancel, because its parent ended, or because the
 *   worker stops.
 *
 * Both are sticky: once one was returned, every later await in the same scope returns it at once, so a task
 * that goes on regardless still comes to its end.
 */
#ifndef WHIPPET_TASK_H
#define WHIPPET_TASK_H

#include <whippet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The body of a task: `arg` is what the spawner passed. Returns 0 or a positive result, or a negative error.
 */
typedef int whippet_task_function(whippet_task *task, void *arg);

/** Suspends for `seconds` (zero or less: lets others run, then goes on). 0, or TIMEOUT or CANCELLED. */
WHIPPET_API int whippet_sleep(whippet_task *task, double seconds);

/** Starts `function` as a child of `task`; it first runs when `task` next suspends. `arg` must outlive the
 * child. The child inherits the deadline. When `task` ends, children still running are cancelled and awaited:
 * none is lost. Does not suspend. Returns the child, owned by `task` until joined; NULL when memory is short,
 * or when there are as many tasks as `max_tasks` of the configuration allows: then do the work without a
 * child, or return WHIPPET_RETRY. */
WHIPPET_API whippet_task *whippet_spawn(whippet_task *task, whippet_task_function *function, void *arg);

/** Awaits one child and frees it: `child` is invalid afterwards. `*result` (may be NULL) takes what its
 * function returned. 0 when the child ended; TIMEOUT or CANCELLED when `task` itself was, and then the child
 * still runs and is still owned; INVALID when `child` is not a child of `task`. */
WHIPPET_API int whippet_join(whippet_task *task, whippet_task *child, int *result);

/** Awaits every child and frees them all. 0 when none failed, else the error of the first child, in the order
 * they were spawned, that returned a negative one. TIMEOUT or CANCELLED when `task` itself was; the children
 * still run then. */
WHIPPET_API int whippet_join_all(whippet_task *task);

/** Awaits whichever child ends first, and frees it: of those that have ended, the one that did so first.
 * `*child` (may be NULL) tells which it was, only to be compared with what whippet_spawn returned; `*result`
 * (may be NULL) takes what its function returned. The others run on, or wait to be joined, so calling it
 * again takes one after the other in the order they end. 0; TIMEOUT or CANCELLED when `task` itself was, and
 * then all are still owned; INVALID when there is no child. */
WHIPPET_API int whippet_join_any(whippet_task *task, whippet_task **child, int *result);

/** Asks `child` (a task that the caller spawned and has not joined) to end: the await it is in, down to the
 * deepest, returns CANCELLED, and so does every later one. Its children are cancelled too. It must still be
 * joined, or is when its parent ends. Does not suspend. */
WHIPPET_API void whippet_cancel(whippet_task *child);

/** Runs function(task, arg) in this very task with a deadline at most `seconds` from now; an earlier one that
 * is in force already stays. Returns what the function returned; its awaits return TIMEOUT when the time is
 * up. */
WHIPPET_API int whippet_with_timeout(whippet_task *task, double seconds, whippet_task_function *function,
                                     void *arg);

/** Runs function(task, arg) in this very task, and holds back the task's deadline and cancellation until it
 * returns, also those that have struck already: for what must not be left half done, and for tidying up after
 * an error (a ROLLBACK, a message that takes another back). Afterwards they count again, from the next await
 * on.
 *
 * Children spawned inside are shielded too, and are cancelled and awaited when the function returns. Nothing
 * else bounds it, so bound it with whippet_with_timeout inside. The end of the worker does not wait for it
 * longer than for others: the process leaves, and the message goes back to its queue. Returns what the
 * function returned; INVALID when `task` is not the one that runs. */
WHIPPET_API int whippet_shield(whippet_task *task, whippet_task_function *function, void *arg);

/** Work for a thread: no task, so nothing in it may await or log through one. */
typedef int whippet_offload_function(void *arg);

/** Runs function(arg) in a thread and awaits it: for calls that block, or compute for long. There are
 * `threads` threads (configuration; 4), made when they are first needed; what comes while all are busy waits
 * in line.
 *
 * A thread can't be stopped from outside. So once the function has begun, this returns only when it has
 * ended, whatever the deadline says, and `arg` may always live on the caller's stack. A deadline or
 * cancellation that comes meanwhile is returned by the next await. One that comes while it waits for a thread
 * ends the wait, and the function is never called.
 *
 * Returns what the function returned: 0 or above, or an error of its own. Not called: TIMEOUT or CANCELLED;
 * SYSTEM when no thread can be had; UNAVAILABLE without a loop; INVALID without a function. */
WHIPPET_API int whippet_offload(whippet_task *task, whippet_offload_function *function, void *arg);

/** Seconds until the task's deadline: negative when it has passed, INFINITY when there is none. Does not
 * suspend. */
WHIPPET_API double whippet_time_left(const whippet_task *task);

/** What whippet_wait_fd waits for, and returns. */
enum whippet_readiness {
    WHIPPET_READABLE = 1, /**< a read would not wait */
    WHIPPET_WRITABLE = 2, /**< a write would not wait */
};

/** Awaits that `descriptor` (non-blocking, owned by the caller) is readable or writable; `events` is a sum of
 * the above. Returns the events that are there, above 0; else TIMEOUT, CANCELLED, INVALID for a bad
 * descriptor, or MEMORY. */
WHIPPET_API int whippet_wait_fd(whippet_task *task, int descriptor, int events);

/** Memory that lives until the attempt is over and is then freed by itself; never freed by hand. Aligned for
 * any type, zeroed. NULL when memory is short. A child takes from its root task's. Does not suspend. */
WHIPPET_API void *whippet_alloc(whippet_task *task, size_t size);

#ifdef __cplusplus
}
#endif

#endif
