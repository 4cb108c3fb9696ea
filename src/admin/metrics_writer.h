/* Families and samples in Prometheus' text format, and in OpenMetrics'. */
#ifndef ADMIN_METRICS_WRITER_H
#define ADMIN_METRICS_WRITER_H

#include "metrics.h"

struct metrics {
    struct text *text;
    enum metrics_format format;
    const char *family; /* the one that is being written */
};

/* Begins a family. A counter's name is given without "_total". `type` is "counter", "gauge" or "histogram".
 */
void metrics_begin(struct metrics *metrics, const char *name, const char *type, const char *help);

/* `labels` are pairs as label_append made them, without braces; "" for none. `suffix` is what follows the
 * family's name: "_total", "_bucket", "". `extra`, a pair that needs no escaping, goes behind the labels;
 * NULL: none. */
void metrics_unsigned(struct metrics *metrics, const char *suffix, const char *labels, const char *extra,
                      uint64_t value);
void metrics_seconds(struct metrics *metrics, const char *suffix, const char *labels, const char *extra,
                     uint64_t nanoseconds);
void metrics_double(struct metrics *metrics, const char *suffix, const char *labels, const char *extra,
                    double value);

/* A pair for `extra`, written once for all the samples that have it. Cut when it is too long. */
struct pair {
    char text[64];
};
struct pair pair_of(const char *name, const char *value);

void metrics_end(struct metrics *metrics);

/* name="value", with a comma in front where something stands before. */
void label_append(struct text *labels, const char *name, const char *value);

#endif
