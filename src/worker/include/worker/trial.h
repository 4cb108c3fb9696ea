/* A worker without a broker, for `whippet try`: the attempts of one queue run where and as a worker runs
 * them, and instead of being settled they are told to whoever tries. */
#ifndef WORKER_TRIAL_H
#define WORKER_TRIAL_H

#include <amqp/message.h>
#include <async/loop.h>
#include <config/config.h>
#include <whippet/processor.h>

struct trial;

/* How an attempt has ended. Borrowed during the call. */
struct trial_attempt {
    size_t message; /* which one, from 0, in the order of trial_add */
    unsigned attempt;
    whippet_verdict verdict;
    int struck;         /* TIMEOUT, CANCELLED or 0 */
    bool crashed;       /* it took its process down */
    const char *reason; /* "": none was given */
    double retry_after; /* seconds that it asked to pause, which nobody waits for here; 0: it did not */
    double duration;    /* seconds */
};

/* All are called on the loop's own stack, or from a task of it. */
struct trial_handlers {
    /* True: the message is to have another attempt, at once. */
    bool (*ended)(void *owner, const struct trial_attempt *attempt);
    /* Something would have been published. Takes `copy` over, which is as its consumer would get it. */
    void (*published)(void *owner, struct message *copy);
};

/* Sets the processor of the configuration's only queue up. `loop` and `handlers` are borrowed. NULL when
 * anything is wrong, with all of it in `errors`. */
struct trial *trial_create(struct loop *loop, const struct config *config,
                           const struct trial_handlers *handlers, void *owner, struct config_errors *errors);

/* Nothing may run any more: trial_run has returned, or was never called. False, and nothing is freed, when
 * the processor does not come to its end: the process can only leave. */
bool trial_destroy(struct trial *trial);

/* Another message, whose next attempt is that number. Takes `message` over, when it succeeds: false when
 * memory is short. */
bool trial_add(struct trial *trial, struct message *message, unsigned attempt);

/* Runs the messages until each has come to its last attempt. NULL, or why that can't be: child processes
 * don't come up. The text is the trial's. */
const char *trial_run(struct trial *trial);

/* Attempts that run are asked to end, and no others begin. */
void trial_cancel(struct trial *trial);

/* Where attempts run, never RUN_AS_WISHED. */
enum run_mode trial_mode(const struct trial *trial);

#endif
