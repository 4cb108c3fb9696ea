/**
 * @file
 * The retry helper: try again, with a pause, a limited number of times.
 */
#ifndef WHIPPET_RETRY_H
#define WHIPPET_RETRY_H

#include <whippet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How a delay grows from one failed attempt to the next. */
enum whippet_backoff {
    WHIPPET_BACKOFF_CONSTANT = 0, /**< the same delay each time */
    WHIPPET_BACKOFF_EXPONENTIAL,  /**< delay, 2 × delay, 4 × delay … up to max_delay */
};

/** How often, and how far apart. */
typedef struct whippet_retry_policy {
    unsigned attempts;            /**< in total, the first one included; at least 1 */
    double delay;                 /**< seconds between the end of one attempt and the start of the next */
    enum whippet_backoff backoff; /**< how the delay grows */
    double max_delay; /**< seconds; the most that exponential backoff grows to; 0: no such limit */
    double jitter;    /**< 0 to 1: the share of a delay that is left to chance, subtracted from it */
} whippet_retry_policy;

/** What is used where no policy is given: five attempts, three seconds apart. */
#define WHIPPET_RETRY_DEFAULT                                                                                \
    {                                                                                                        \
        .attempts = 5, .delay = 3.0, .backoff = WHIPPET_BACKOFF_CONSTANT, .max_delay = 300.0, .jitter = 0.0  \
    }

/** One attempt. Above 0: it worked, and the number is its result (rows found, bytes sent, or plainly 1). 0:
 * there was no error, but nothing useful either (the row is not there yet). Below 0: an error. The last two
 * count as failed. */
typedef int whippet_retry_callback(whippet_task *task, void *arg);

/** Calls `callback` until it returns above 0, at most policy->attempts times (`policy` NULL: five, three
 * seconds apart). Each failed attempt is logged with the message's id. Suspends between attempts, and keeps
 * the task's stack meanwhile; to give the stack back, return WHIPPET_RETRY from process() instead. Returns
 * the callback's result, above 0; RETRY_EXHAUSTED after the last failed attempt; TIMEOUT or CANCELLED as
 * every await; INVALID for a policy without attempts or with a negative time. */
WHIPPET_API int whippet_retry(whippet_task *task, const whippet_retry_policy *policy,
                              whippet_retry_callback *callback, void *arg);

#ifdef __cplusplus
}
#endif

#endif
