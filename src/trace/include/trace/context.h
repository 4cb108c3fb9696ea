/* Where in a trace something happens, as W3C's Trace Context has it (https://www.w3.org/TR/trace-context/,
 * level 1), and the two texts by which it travels. */
#ifndef TRACE_CONTEXT_H
#define TRACE_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <whippet/types.h>

enum {
    TRACE_SAMPLED = 0x01, /* somebody records this trace */
    TRACE_RANDOM = 0x02,  /* the trace id was made by chance (level 2): passed on */

    TRACE_PARENT_LENGTH = 55,
    TRACE_PARENT_SIZE = TRACE_PARENT_LENGTH + 1, /* with a NUL */
    TRACE_STATE_MAX = 1024, /* a longer tracestate is not passed on; 512 would be enough by the standard */
};

/* Numbers are ids read as big-endian. Zeroed: there is none. */
struct trace_context {
    uint64_t trace_high;
    uint64_t trace_low;
    uint64_t span;
    uint32_t flags;
    uint32_t unused; /* as it goes between processes byte for byte */
};

static inline bool trace_context_is_set(const struct trace_context *context)
{
    return (context->trace_high | context->trace_low) != 0;
}

static inline bool trace_context_is_sampled(const struct trace_context *context)
{
    return (context->flags & TRACE_SAMPLED) != 0;
}

/* A new id, by chance; never 0. */
uint64_t trace_id_make(void);

/* Reads the value of a traceparent (section 3.2). False, with nothing filled, when it has to be ignored. */
bool trace_parent_read(whippet_bytes text, struct trace_context *context);

/* Writes it, as version 00. */
void trace_parent_write(const struct trace_context *context, char text[TRACE_PARENT_SIZE]);

/* Whether a tracestate (section 3.3) may be passed on: the whole list is sound, and has 32 members at most.
 * An empty one may not. */
bool trace_state_is_sound(whippet_bytes text);

#endif
