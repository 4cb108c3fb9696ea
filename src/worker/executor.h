/* An executor runs attempts. What leads to one, and what follows from it, is the same for all of them and
 * stands in delivery.c; where process() is called, and what becomes of the rest when it crashes, is theirs.
 */
#ifndef WORKER_EXECUTOR_H
#define WORKER_EXECUTOR_H

#include <base/failure.h>
#include <stdbool.h>
#include <whippet/processor.h>
#include <whippet/task.h>

struct delivery;
struct plugin;
struct subscription;
struct thread_pool;

/* All of it is called on the main loop's own stack, or from a task of it; only `close` suspends. */
struct executor {
    /* Prepares the subscription's processor for attempts. Takes plugin and settings over when it succeeds: 0,
     * or an error with the failure in the processor's words. */
    int (*set_up)(struct subscription *subscription, struct plugin *plugin, whippet_settings *settings,
                  struct whippet_failure *failure);
    void (*tear_down)(struct subscription *subscription); /* no attempt runs */

    /* The worker begins. False when memory is short. */
    bool (*open)(struct subscription *subscription);

    /* Whether it has come so far that messages should come; `subscription->failure` says why not, and
     * subscription_wake is called when it has. NULL: always. */
    bool (*is_ready)(const struct subscription *subscription);

    /* Ends what must end before tear_down, at the moment `until` by force where that can be. */
    void (*close)(whippet_task *task, struct subscription *subscription, double until);

    /* Whether an attempt could begin now. After a no the executor calls subscription_dispatch once there is
     * room. NULL: there always is. */
    bool (*has_room)(struct subscription *subscription);

    /* Begins the attempt that delivery->message says it is, and ends it with delivery_attempt_ended or
     * delivery_attempt_undone, perhaps before this returns. Else nothing began: an error with the failure. */
    int (*start)(struct delivery *delivery, struct whippet_failure *failure);

    /* Asks an attempt that has begun to end: its awaits return CANCELLED. It still ends by itself. */
    void (*cancel)(struct delivery *delivery);

    /* What the attempt is doing, for people; a static string. */
    const char *(*activity)(const struct delivery *delivery);
};

extern const struct executor LOOP_EXECUTOR;    /* a task of the main loop */
extern const struct executor THREAD_EXECUTOR;  /* a thread of the pool */
extern const struct executor PROCESS_EXECUTOR; /* a child process */

/* `open` and `close` of executors that have the processor in this process: its background() is a task of the
 * main loop. */
bool executor_open_background(struct subscription *subscription);
void executor_close_background(whippet_task *task, struct subscription *subscription, double until);

/* Ends its threads; no attempt may run. What can't be told to end (loop_offloaded) is left behind, with the
 * loop that it belongs to. NULL is fine. */
void thread_pool_destroy(struct thread_pool *pool);

/* loop_offloaded of all of its threads. NULL is fine. */
size_t thread_pool_offloaded(const struct thread_pool *pool);

#endif
