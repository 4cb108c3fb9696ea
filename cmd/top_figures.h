/* What `whippet top` works out by itself: rates from one status to the next, percentiles from histograms. */
#ifndef CMD_TOP_FIGURES_H
#define CMD_TOP_FIGURES_H

#include "top_status.h"

enum {
    TOP_PAST = 6 /* statuses kept: as many as come in the seconds that a rate is taken over, and one */
};

struct top_figures {
    struct top_status *past[TOP_PAST]; /* of one process, the newest first; the rest are NULL */
    struct cJSON *history;             /* what /api/history said last; NULL: nothing */
};

/* Of one queue; NAN: not known. */
struct queue_figures {
    double rate;                       /* messages settled a second */
    double p50, p95, p99;              /* seconds, of attempts in the last ten minutes */
    bool p50_open, p95_open, p99_open; /* it is longer than that: beyond the histogram's last bound */
};

void top_figures_init(struct top_figures *figures);
void top_figures_destroy(struct top_figures *figures);

/* Takes the status, for good. Those of a process that ran before are forgotten. */
void top_figures_add(struct top_figures *figures, struct top_status *status);

/* What /api/history says; text that is none of that leaves things as they are. */
void top_figures_take_history(struct top_figures *figures, whippet_bytes text);

/* The newest; NULL before the first. */
const struct top_status *top_figures_status(const struct top_figures *figures);

/* Of a queue of the newest status, by its index. Two subscriptions of the same queue and processor, as there
 * are during a reload, share their past. */
struct queue_figures top_figures_of(const struct top_figures *figures, size_t index);

#endif
