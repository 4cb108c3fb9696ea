/* The pages /livez, /readyz and /api/status: what is going on, as JSON. */
#ifndef ADMIN_STATUS_H
#define ADMIN_STATUS_H

#include "text.h"
#include <stats/stats.h>

/* Seconds without a tick of the loop after which /livez fails. */
#define STATUS_LIVE_SECONDS 10.0

/* Whether the loop ticks; the broker plays no part. */
bool status_write_live(struct text *text, const struct stats *stats);

/* Whether every subscription has its consume-ok; what is not ready, and why. */
bool status_write_ready(struct text *text, struct stats *stats);

/* Everything there is to know. Of the tasks in flight, `most_tasks` at most, the slowest; SIZE_MAX: all. */
void status_write(struct text *text, struct stats *stats, const char *commit, size_t most_tasks);

#endif
