/* What is counted for each queue. Written by the loop's thread alone, read by any: relaxed atomics, no locks.
 */
#ifndef WORKER_COUNTERS_H
#define WORKER_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

/* How a delivery ends; each ends in exactly one. X(NAME, "label"). */
#define DELIVERY_OUTCOMES(X)                                                                                 \
    X(ACKED, "acked")                                                                                        \
    X(RETRIED, "retried")             /* handed to a delay queue of the broker */                            \
    X(DEAD_LETTERED, "dead_lettered") /* confirmed in the dead-letter queue */                               \
    X(DISCARDED, "discarded")         /* failed for good, under on_failure: discard */                       \
    X(RETURNED, "returned")           /* back in its queue, by us or with its channel */

enum delivery_outcome {
#define OUTCOME_ENUM(name, label) OUTCOME_##name,
    DELIVERY_OUTCOMES(OUTCOME_ENUM)
#undef OUTCOME_ENUM
    OUTCOME_COUNT,
};

/* How an attempt ends. */
#define ATTEMPT_RESULTS(X)                                                                                   \
    X(OK, "ok")                                                                                              \
    X(RETRY, "retry")                                                                                        \
    X(REJECT, "reject")                                                                                      \
    X(TIMEOUT, "timeout")                                                                                    \
    X(CANCELLED, "cancelled")                                                                                \
    X(CRASH, "crash") /* it took its child process down */

enum attempt_result {
#define RESULT_ENUM(name, label) ATTEMPT_##name,
    ATTEMPT_RESULTS(RESULT_ENUM)
#undef RESULT_ENUM
    ATTEMPT_RESULT_COUNT,
};

const char *delivery_outcome_label(enum delivery_outcome outcome);
const char *attempt_result_label(enum attempt_result result);

/* Upper bounds of the process-duration histogram, in seconds: OpenTelemetry's for messaging.process.duration.
 */
#define DURATION_BUCKETS                                                                                     \
    {                                                                                                        \
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10                            \
    }
enum {
    DURATION_BUCKET_COUNT = 14
};

typedef _Atomic uint64_t counter;

struct queue_counters {
    counter consumed;
    counter outcomes[OUTCOME_COUNT];
    counter attempts[ATTEMPT_RESULT_COUNT];
    counter stale_settlements; /* verdicts that came after their channel had gone */
    counter in_flight;         /* gauge: delivered and not ended yet */
    counter running;  /* gauge: attempts at work, and failures on their way to the dead-letter queue */
    counter waiting;  /* gauge: delivered, no attempt begun */
    counter retrying; /* gauge: between two attempts */
    counter durations[DURATION_BUCKET_COUNT + 1]; /* the last: beyond every bound */
    counter duration_nanoseconds;                 /* in all */
    _Atomic double last_delivery;                 /* seconds since 1970; 0: none yet */
};

/* The loop's thread is the only writer, so a load and a store do: no locked instruction. */
static inline void counter_add(counter *count, uint64_t more)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

static inline void counter_subtract(counter *count, uint64_t less)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) - less,
                          memory_order_relaxed);
}

static inline uint64_t counter_get(const counter *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

void counters_observe_duration(struct queue_counters *counters, double seconds);

#endif
