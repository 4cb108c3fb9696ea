/* Lists in environment variables: "name=value,name=value", as OTEL_RESOURCE_ATTRIBUTES and
 * OTEL_EXPORTER_OTLP_HEADERS have them (W3C's Baggage, without properties:
 * https://www.w3.org/TR/baggage/#header-content). */
#ifndef TRACE_PAIRS_H
#define TRACE_PAIRS_H

#include <trace/tracer.h>

/* 0; INVALID when it is no such list, MEMORY: there are no pairs then. NULL is an empty list. */
int trace_pairs_read(struct trace_pairs *pairs, const char *list);
void trace_pairs_destroy(struct trace_pairs *pairs);

/* NULL when there is none of that name. */
const char *trace_pairs_find(const struct trace_pairs *pairs, const char *name);

#endif
