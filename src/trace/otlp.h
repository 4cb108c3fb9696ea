/* Spans as OTLP's JSON: an ExportTraceServiceRequest
 * (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding), with attributes by OpenTelemetry's
 * conventions for messaging and RabbitMQ. */
#ifndef TRACE_OTLP_H
#define TRACE_OTLP_H

#include <base/buffer.h>
#include <base/list.h>
#include <trace/tracer.h>

/* Made once for each queue: what its spans have in common, as text. */
struct span_source {
    struct list link; /* in the tracer's */
    char *queue;      /* owned; so is the next */
    char *processor;
    struct {
        char *text; /* from the name to the last of the common attributes; owned */
        size_t length;
    } common[SPAN_OPERATION_COUNT]; /* none for PUBLISH */
};

struct span_source *span_source_create(const char *queue, const char *processor); /* NULL: out of memory */
void span_source_destroy(struct span_source *source);

/* Writes what goes before the spans of each request. False when memory is short. */
bool otlp_write_head(struct buffer *head, const struct trace_settings *settings, const char *version);

/* The same in steps; the buffer may end in half a request where one returns false: memory is short. `offset`
 * is clock_wall less clock_monotonic. */
bool otlp_begin(struct buffer *request, const struct buffer *head);
bool otlp_add(struct buffer *request, const struct span *span, double offset);
bool otlp_end(struct buffer *request);

#endif
