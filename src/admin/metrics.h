/* The page /metrics. */
#ifndef ADMIN_METRICS_H
#define ADMIN_METRICS_H

#include "text.h"
#include <stats/stats.h>

enum metrics_format {
    METRICS_PROMETHEUS,  /* text/plain; version=0.0.4 */
    METRICS_OPENMETRICS, /* application/openmetrics-text; version=1.0.0 */
};

/* What a client's Accept header asks for; NULL: it has none. */
enum metrics_format metrics_choose_format(const char *accept);
const char *metrics_content_type(enum metrics_format format);

/* Every metric, of one moment for each queue: there they add up. */
void metrics_write(struct text *text, struct stats *stats, const char *commit, enum metrics_format format);

#endif
