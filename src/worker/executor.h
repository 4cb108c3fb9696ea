/* An executor runs attempts. What leads to one, and what follows from it, is the same for all of them and
 * stands in delivery.c; where process() is called, and what becomes of the rest when it crashes, is theirs.
 */
#ifndef WORKER_EXECUTOR_H
#define WORKER_EXECUTOR_H

#include <stdbool.h>
#include <whippet/task.h>

struct delivery;
struct subscription;

/* All of it is called on the main loop's own stack, or from a task of it, and none of it suspends. */
struct executor {
    /* Whether an attempt could begin now. After a no the executor calls subscription_dispatch once there is
     * room. NULL: there always is. */
    bool (*has_room)(struct subscription *subscription);

    /* Begins the attempt that delivery->message says it is, and ends it with delivery_attempt_ended or
     * delivery_attempt_undone, perhaps before this returns. False when memory is short: nothing began. */
    bool (*start)(struct delivery *delivery);

    /* Asks an attempt that has begun to end: its awaits return CANCELLED. It still ends by itself. */
    void (*cancel)(struct delivery *delivery);

    /* What the attempt is doing, for people; a static string. */
    const char *(*activity)(const struct delivery *delivery);
};

/* A task of the main loop: `run: loop`. */
extern const struct executor LOOP_EXECUTOR;

#endif
