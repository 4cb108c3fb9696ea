#include <sched.h>
#include <stats/counters.h>
#include <stdbool.h>

const double DURATION_BOUNDS[DURATION_BUCKET_COUNT] = {0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25,
                                                       0.5,   0.75, 1,     2.5,  5,     7.5, 10};

const char *delivery_outcome_label(enum delivery_outcome outcome)
{
    static const char *const LABELS[] = {
#define OUTCOME_LABEL(name, label) [OUTCOME_##name] = (label),
        DELIVERY_OUTCOMES(OUTCOME_LABEL)
#undef OUTCOME_LABEL
    };
    return LABELS[outcome];
}

const char *attempt_result_label(enum attempt_result result)
{
    static const char *const LABELS[] = {
#define RESULT_LABEL(name, label) [ATTEMPT_##name] = (label),
        ATTEMPT_RESULTS(RESULT_LABEL)
#undef RESULT_LABEL
    };
    return LABELS[result];
}

const char *failure_reason_label(enum failure_reason reason)
{
    static const char *const LABELS[] = {
#define REASON_LABEL(name, label) [FAILURE_##name] = (label),
        FAILURE_REASONS(REASON_LABEL)
#undef REASON_LABEL
    };
    return LABELS[reason];
}

/* --- Writing --------------------------------------------------------------------------------------------*/

static inline void begin(struct queue_counters *counters)
{
    unsigned sequence = atomic_load_explicit(&counters->sequence, memory_order_relaxed);
    atomic_store_explicit(&counters->sequence, sequence + 1, memory_order_relaxed);
}

/* Each counter is stored with release, so whoever sees one that changed sees the odd sequence as well. */
static inline void end(struct queue_counters *counters)
{
    unsigned sequence = atomic_load_explicit(&counters->sequence, memory_order_relaxed);
    atomic_store_explicit(&counters->sequence, sequence + 1, memory_order_release);
}

void queue_counters_arrived(struct queue_counters *counters, enum delivery_phase phase, double now)
{
    begin(counters);
    counter_add(&counters->consumed, 1);
    counter_add(&counters->phases[phase], 1);
    end(counters);
    atomic_store_explicit(&counters->last_delivery, now, memory_order_relaxed);
}

void queue_counters_moved(struct queue_counters *counters, enum delivery_phase from, enum delivery_phase to)
{
    begin(counters);
    counter_subtract(&counters->phases[from], 1);
    counter_add(&counters->phases[to], 1);
    end(counters);
}

void queue_counters_attempted(struct queue_counters *counters, enum attempt_result result, double seconds)
{
    unsigned bucket = 0;
    while (bucket < DURATION_BUCKET_COUNT && seconds > DURATION_BOUNDS[bucket])
        bucket++;
    begin(counters);
    counter_add(&counters->attempts[result], 1);
    counter_add(&counters->durations[bucket], 1);
    counter_add(&counters->duration_nanoseconds, seconds > 0 ? (uint64_t)(seconds * 1e9) : 0);
    end(counters);
}

void queue_counters_ended(struct queue_counters *counters, enum delivery_phase phase,
                          enum delivery_outcome outcome)
{
    begin(counters);
    counter_subtract(&counters->phases[phase], 1);
    counter_add(&counters->outcomes[outcome], 1);
    end(counters);
}

void queue_counters_failed(struct queue_counters *counters, enum delivery_phase phase,
                           enum delivery_outcome outcome, enum failure_reason reason)
{
    begin(counters);
    counter_subtract(&counters->phases[phase], 1);
    counter_add(&counters->outcomes[outcome], 1);
    counter_add(&counters->failures[reason], 1);
    end(counters);
}

static void inherit(counter *counters, const counter *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        counter_add(&counters[i], counter_get(&from[i]));
}

void queue_counters_inherit(struct queue_counters *counters, const struct queue_counters *from)
{
    begin(counters);
    inherit(&counters->consumed, &from->consumed, 1);
    inherit(counters->outcomes, from->outcomes, OUTCOME_COUNT);
    inherit(counters->failures, from->failures, FAILURE_REASON_COUNT);
    inherit(counters->phases, from->phases, PHASE_COUNT);
    inherit(counters->attempts, from->attempts, ATTEMPT_RESULT_COUNT);
    inherit(counters->durations, from->durations, DURATION_BUCKET_COUNT + 1);
    inherit(&counters->duration_nanoseconds, &from->duration_nanoseconds, 1);
    inherit(&counters->stale_settlements, &from->stale_settlements, 1);
    end(counters);
    double last_delivery = atomic_load_explicit(&from->last_delivery, memory_order_relaxed);
    if (last_delivery > atomic_load_explicit(&counters->last_delivery, memory_order_relaxed))
        atomic_store_explicit(&counters->last_delivery, last_delivery, memory_order_relaxed);
}

uint64_t queue_counters_in_flight(const struct queue_counters *counters)
{
    uint64_t count = 0;
    for (int i = 0; i < PHASE_COUNT; i++)
        count += counter_get(&counters->phases[i]);
    return count;
}

/* --- Reading --------------------------------------------------------------------------------------------*/

static void copy(const counter *from, uint64_t *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = counter_get(&from[i]);
}

/* Outcomes before consumed: so what is in flight is never less than nothing, whatever happens in between. */
static void copy_all(const struct queue_counters *counters, struct queue_totals *totals)
{
    copy(counters->outcomes, totals->outcomes, OUTCOME_COUNT);
    copy(counters->failures, totals->failures, FAILURE_REASON_COUNT);
    copy(counters->phases, totals->phases, PHASE_COUNT);
    copy(&counters->consumed, &totals->consumed, 1);
    copy(counters->attempts, totals->attempts, ATTEMPT_RESULT_COUNT);
    copy(counters->durations, totals->durations, DURATION_BUCKET_COUNT + 1);
    copy(&counters->duration_nanoseconds, &totals->duration_nanoseconds, 1);
    copy(&counters->stale_settlements, &totals->stale_settlements, 1);
    totals->last_delivery = atomic_load_explicit(&counters->last_delivery, memory_order_relaxed);
}

static bool copy_consistently(const struct queue_counters *counters, struct queue_totals *totals)
{
    unsigned before = atomic_load_explicit(&counters->sequence, memory_order_acquire);
    if (before % 2 != 0)
        return false;
    copy_all(counters, totals);
    return atomic_load_explicit(&counters->sequence, memory_order_relaxed) == before;
}

/* A change takes a few nanoseconds, unless the loop's thread loses the CPU in the middle of one: then it gets
 * ours. Where that goes on, what is in flight still follows from the others. */
void queue_counters_read(const struct queue_counters *counters, struct queue_totals *totals)
{
    enum {
        TRIES = 10000,
        TRIES_BEFORE_YIELDING = 10
    };
    int tries = 0;
    while (!copy_consistently(counters, totals) && tries < TRIES) {
        if (++tries > TRIES_BEFORE_YIELDING)
            sched_yield();
    }
    if (tries == TRIES)
        copy_all(counters, totals);
    totals->in_flight = totals->consumed;
    for (int i = 0; i < OUTCOME_COUNT; i++)
        totals->in_flight -= totals->outcomes[i];
}

static void add(uint64_t *totals, const uint64_t *more, size_t count)
{
    for (size_t i = 0; i < count; i++)
        totals[i] += more[i];
}

void queue_totals_add(struct queue_totals *totals, const struct queue_totals *more)
{
    totals->consumed += more->consumed;
    totals->in_flight += more->in_flight;
    totals->duration_nanoseconds += more->duration_nanoseconds;
    totals->stale_settlements += more->stale_settlements;
    add(totals->outcomes, more->outcomes, OUTCOME_COUNT);
    add(totals->failures, more->failures, FAILURE_REASON_COUNT);
    add(totals->phases, more->phases, PHASE_COUNT);
    add(totals->attempts, more->attempts, ATTEMPT_RESULT_COUNT);
    add(totals->durations, more->durations, DURATION_BUCKET_COUNT + 1);
    if (more->last_delivery > totals->last_delivery)
        totals->last_delivery = more->last_delivery;
}
