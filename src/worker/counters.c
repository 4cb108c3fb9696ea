#include <worker/counters.h>

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

void counters_observe_duration(struct queue_counters *counters, double seconds)
{
    static const double BOUNDS[DURATION_BUCKET_COUNT] = DURATION_BUCKETS;
    unsigned bucket = 0;
    while (bucket < DURATION_BUCKET_COUNT && seconds > BOUNDS[bucket])
        bucket++;
    counter_add(&counters->durations[bucket], 1);
    counter_add(&counters->duration_nanoseconds, seconds > 0 ? (uint64_t)(seconds * 1e9) : 0);
}
