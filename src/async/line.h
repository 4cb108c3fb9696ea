/* A line of tasks that wait for the same thing: first come, first served.
 *
 * Tasks of several loops may meet at one point, each loop in a thread of its own: the point has a lock, and
 * who waits is woken on its own loop. What is done with the lock held is a few instructions, and never calls
 * anything. */
#ifndef ASYNC_LINE_H
#define ASYNC_LINE_H

#include <async/loop.h>
#include <async/task.h>
#include <base/list.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

/* Half of what a pthread_mutex_t costs where nobody else comes. */
struct line_lock {
    atomic_bool is_held;
};

static inline void line_lock(struct line_lock *lock)
{
    while (atomic_exchange_explicit(&lock->is_held, true, memory_order_acquire))
        sched_yield();
}

static inline void line_unlock(struct line_lock *lock)
{
    atomic_store_explicit(&lock->is_held, false, memory_order_release);
}

/* A task's place in a line; on its own stack. */
struct place_in_line {
    struct list link;
    struct waiter waiter;
    pthread_t thread;      /* where its loop runs */
    struct loop *loop;     /* NULL where something else drives the scheduler, and all is one thread */
    struct loop_call call; /* from another thread: wakes it */
    bool is_called;        /* it is out of the line; the lock guards it */
    int result;            /* what it was called with */
};

/* What an await at a meeting point begins with: 0; INVALID when the task is not the one that runs; TIMEOUT or
 * CANCELLED. */
int line_check(whippet_task *task);

/* With the lock held, which it gives back: suspends at the end of `line` until it is called and woken, until
 * the deadline or cancellation. Returns what it was called with, and only then was it called; TIMEOUT,
 * CANCELLED. The point may be gone when it returns after a call. */
int line_wait(whippet_task *task, struct line_lock *lock, struct list *line, struct place_in_line *place,
              const char *activity);

/* With the lock held: takes out whoever is first, for `result`; NULL when nobody waits. */
struct place_in_line *line_call(struct list *line, int result);

/* Without the lock, from any thread: wakes whom line_call returned; NULL is fine. */
void line_wake(struct place_in_line *place);

/* With the lock held, which it gives back: calls and wakes everybody. */
void line_call_all(struct line_lock *lock, struct list *line, int result);

#endif
