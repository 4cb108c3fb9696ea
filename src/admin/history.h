/* The last ten minutes of every queue, for the dashboard: sampled by the admin thread, kept nowhere else. */
#ifndef ADMIN_HISTORY_H
#define ADMIN_HISTORY_H

#include "text.h"
#include <base/list.h>
#include <stats/stats.h>

enum {
    HISTORY_STEPS = 60,
    HISTORY_STEP_SECONDS = 10,
};

struct history {
    struct stats *stats;
    struct list queues;  /* struct queue_history, in the registry's order */
    double next;         /* clock_monotonic: when the step ends that is going on */
    double sampled_wall; /* seconds since 1970; 0: no step has ended yet */
    uint64_t steps;      /* that have ended */
};

/* The first step begins now. */
void history_init(struct history *history, struct stats *stats, double now);
void history_destroy(struct history *history);

/* Ends a step where it is time to; true: it did. Steps that nobody had the time to end are left out. A queue
 * for which memory is short has no history until it no longer is. */
bool history_tick(struct history *history, double now);

/* {"step_seconds": 10, "as_of": …, "queues": [{"queue", "processor", "settled": [], "failed": [],
 * "in_flight": [], "durations_before": []}]}: for each step, the oldest first, what was settled and how many
 * attempts failed in it, and what was in flight at its end; and the buckets of /api/status as they were
 * before the first of these steps. A queue that is younger has fewer steps. */
void history_write(struct text *text, const struct history *history);

#endif
