/* What Prometheus' clients tell of every process: from /proc. */
#ifndef ADMIN_METRICS_PROCESS_H
#define ADMIN_METRICS_PROCESS_H

#include "metrics_writer.h"

/* `started` is in seconds since 1970. */
void metrics_write_process(struct metrics *metrics, double started);

#endif
