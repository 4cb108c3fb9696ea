/* Which traces are recorded. */
#ifndef TRACE_SAMPLER_H
#define TRACE_SAMPLER_H

#include <trace/tracer.h>

/* As OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG say, either of which may be NULL. False when they say
 * nothing that is known: the sampler is then the usual one, parentbased_always_on; or, where only the
 * argument is wrong, the one that is named with everything sampled. */
bool sampler_read(struct sampler *sampler, const char *name, const char *argument);

/* `parent`: what came with the message; NULL: nothing did. `trace_low` is of the trace that it belongs to. */
bool sampler_takes(const struct sampler *sampler, uint64_t trace_low, const struct trace_context *parent);

#endif
