/**
 * @file
 * The trace that a message belongs to, for what is called on its behalf
 * (https://www.w3.org/TR/trace-context/). whippet_publish and whippet_reply pass it on by themselves.
 *
 *     const char *parent = whippet_trace_parent(task), *state = whippet_trace_state(task);
 *     if (parent != NULL)
 *         add_header(request, "traceparent", parent);
 *     if (state != NULL)
 *         add_header(request, "tracestate", state);
 *
 * Nothing here suspends: the task is for memory. */
#ifndef WHIPPET_TRACE_H
#define WHIPPET_TRACE_H

#include <whippet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The value of the header traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01". Where the
 * worker records traces it names the attempt's own span; else it is what came with the message. The text
 * belongs to the task. NULL when there is none, as when the message brought none that is valid and the worker
 * records no traces, and when memory is short. */
WHIPPET_API const char *whippet_trace_parent(whippet_task *task);

/** The value of the header tracestate, which goes along with traceparent: what came with the message, several
 * joined to one. The text belongs to the task. NULL when there is none, when it or the traceparent is not
 * valid, or is longer than 1024 bytes, and when memory is short. */
WHIPPET_API const char *whippet_trace_state(whippet_task *task);

#ifdef __cplusplus
}
#endif

#endif
