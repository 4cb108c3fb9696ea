/* What a processor does beside its attempts: background() of its descriptor, as a task of its own. */
#ifndef WORKER_BACKGROUND_H
#define WORKER_BACKGROUND_H

#include <async/task.h>
#include <worker/plugin.h>

/* Zeroed at first: none runs. Stays where it is while one does. */
struct background {
    whippet_task *task; /* NULL: none runs */
    bool ending;        /* it was asked to end */
    struct waiter gone; /* background_await waits here */
    const struct processor *processor;
    const struct log_fields *fields;
    void (*ended)(void *owner); /* called when it has ended after it was asked to; NULL: nobody */
    void *owner;
};

/* Starts the processor's background() if it has one, and runs it until it first waits. `processor` and
 * `fields` are borrowed until it has ended. From the loop's own stack. False when memory is short: none runs.
 */
bool background_start(struct background *background, struct scheduler *scheduler,
                      const struct processor *processor, const struct log_fields *fields);

/* Asks it to end: its awaits return CANCELLED. More than once changes nothing. */
void background_cancel(struct background *background);

/* Awaits its end, until the moment `until` at most. False when it is still there then. */
bool background_await(whippet_task *task, struct background *background, double until);

static inline bool background_runs(const struct background *background)
{
    return background->task != NULL;
}

#endif
