/* The worker's traces, where the environment asks for them. */
#ifndef CMD_TRACING_H
#define CMD_TRACING_H

#include <trace/tracer.h>
#include <worker/worker.h>

struct tracing {
    struct trace_settings settings;
    struct span_uploader *uploader; /* owned; NULL: there are no traces */
    struct tracer *tracer;          /* owned */
    const struct trace_stats *stats;
};

/* Before the worker starts. Where they can't be had the log says why, and the worker works without. */
void tracing_begin(struct tracing *tracing, struct worker *worker);

/* When the loop has ended: sends what there still is, for a few seconds at most. False when a thread is left
 * behind, which the worker must not be taken from. */
bool tracing_end(struct tracing *tracing);

#endif
