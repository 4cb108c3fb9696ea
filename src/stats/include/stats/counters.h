/* What is counted for each queue. Written by the loop's thread alone, without locks; read by any thread, as
 * one set that adds up. */
#ifndef STATS_COUNTERS_H
#define STATS_COUNTERS_H

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

/* Why a message failed for good: what its dead letter says in whippet-reason. X(NAME, "label"). */
#define FAILURE_REASONS(X)                                                                                   \
    X(REJECTED, "rejected")                                                                                  \
    X(RETRY_EXHAUSTED, "retry-exhausted")                                                                    \
    X(TIMEOUT, "timeout") /* its last attempt did */                                                         \
    X(CRASH, "crash")     /* its last attempt did, or it crashed the worker too often to get another */      \
    X(TOO_LARGE, "too-large")

enum failure_reason {
#define REASON_ENUM(name, label) FAILURE_##name,
    FAILURE_REASONS(REASON_ENUM)
#undef REASON_ENUM
    FAILURE_REASON_COUNT,
};

/* Where a delivery is that has not ended. */
enum delivery_phase {
    PHASE_WAITING,  /* no attempt begun, or the next is due: it waits for a slot */
    PHASE_RUNNING,  /* an attempt is at work, or the failure is on its way to the dead-letter queue */
    PHASE_RETRYING, /* between two attempts */
    PHASE_COUNT,
};

const char *delivery_outcome_label(enum delivery_outcome outcome);
const char *attempt_result_label(enum attempt_result result);
const char *failure_reason_label(enum failure_reason reason);

/* Upper bounds of the process-duration histogram, in seconds: OpenTelemetry's for messaging.process.duration.
 */
enum {
    DURATION_BUCKET_COUNT = 14
};
extern const double DURATION_BOUNDS[DURATION_BUCKET_COUNT];

typedef _Atomic uint64_t counter;

/* The loop's thread is the only writer, so a load and a store do: no locked instruction. What is stored later
 * is never seen without what was stored before it. */
static inline void counter_add(counter *count, uint64_t more)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + more,
                          memory_order_release);
}

static inline void counter_subtract(counter *count, uint64_t less)
{
    counter_add(count, -less);
}

static inline uint64_t counter_get(const counter *count)
{
    return atomic_load_explicit(count, memory_order_acquire);
}

/* At any moment, as queue_counters_read sees it:
 *
 *     consumed = the sum of outcomes + in flight, in flight = the sum of phases,
 *     and the sum of failures = dead-lettered + discarded. */
struct queue_counters {
    _Atomic unsigned sequence; /* odd while a change of several is half done */
    counter consumed;
    counter outcomes[OUTCOME_COUNT];
    counter failures[FAILURE_REASON_COUNT];
    counter phases[PHASE_COUNT]; /* gauges */
    counter attempts[ATTEMPT_RESULT_COUNT];
    counter durations[DURATION_BUCKET_COUNT + 1]; /* the last: beyond every bound */
    counter duration_nanoseconds;                 /* in all */
    counter stale_settlements;                    /* verdicts that came after their channel had gone */
    _Atomic double last_delivery;                 /* clock_monotonic; 0: none yet */
};

/* The steps of a delivery. Each changes all that it touches at once, for whoever reads. */
void queue_counters_arrived(struct queue_counters *counters, enum delivery_phase phase, double now);
void queue_counters_moved(struct queue_counters *counters, enum delivery_phase from, enum delivery_phase to);
void queue_counters_attempted(struct queue_counters *counters, enum attempt_result result, double seconds);
void queue_counters_ended(struct queue_counters *counters, enum delivery_phase phase,
                          enum delivery_outcome outcome);

/* The same for one that failed for good: `outcome` is DEAD_LETTERED or DISCARDED. */
void queue_counters_failed(struct queue_counters *counters, enum delivery_phase phase,
                           enum delivery_outcome outcome, enum failure_reason reason);

/* Adds what `from` counted, which counts no more, and keeps the later last delivery: both are the loop's. */
void queue_counters_inherit(struct queue_counters *counters, const struct queue_counters *from);

/* What queue_counters_read found. */
struct queue_totals {
    uint64_t consumed;
    uint64_t outcomes[OUTCOME_COUNT];
    uint64_t failures[FAILURE_REASON_COUNT];
    uint64_t phases[PHASE_COUNT];
    uint64_t in_flight;
    uint64_t attempts[ATTEMPT_RESULT_COUNT];
    uint64_t durations[DURATION_BUCKET_COUNT + 1];
    uint64_t duration_nanoseconds;
    uint64_t stale_settlements;
    double last_delivery;
};

/* From any thread; never keeps the loop from anything. */
void queue_counters_read(const struct queue_counters *counters, struct queue_totals *totals);

/* Adds `more` to `totals`, gauges too. */
void queue_totals_add(struct queue_totals *totals, const struct queue_totals *more);

/* In flight at the moment, for the loop's own thread. */
uint64_t queue_counters_in_flight(const struct queue_counters *counters);

#endif
