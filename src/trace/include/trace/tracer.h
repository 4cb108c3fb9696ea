/* Spans: what happened when to a message, for a collector of OpenTelemetry's.
 *
 * The loop's thread records them into a ring; a thread of the tracer's takes them from there, writes them as
 * OTLP/HTTP JSON and has them uploaded in batches. The loop never waits: where the ring is full, a span is
 * dropped and counted. */
#ifndef TRACE_TRACER_H
#define TRACE_TRACER_H

#include <base/failure.h>
#include <stats/stats.h>
#include <trace/context.h>

struct sampler {
    bool parent_based; /* who sent the message decides, where it has a trace */
    uint64_t below;    /* of the trace id's lower 63 bits, for the others: 0: none, 2^63: all */
};

/* X(NAME, "messaging.operation.name", "messaging.operation.type" or NULL, kind of OTLP's enum) */
#define SPAN_OPERATIONS(X)                                                                                   \
    X(RECEIVE, "receive", "receive", 3)  /* from its arrival here to the first attempt: a client's */        \
    X(PROCESS, "process", "process", 5)  /* one attempt: a consumer's */                                     \
    X(RETRY_WAIT, "retry wait", NULL, 1) /* between two attempts: internal */                                \
    X(PUBLISH, "publish", "send", 4)     /* until the broker confirms: a producer's */                       \
    X(SETTLE, "settle", "settle", 3)     /* from the last verdict to the ack, or the nack: a client's */

enum span_operation {
#define SPAN_ENUM(name, operation, type, kind) SPAN_##name,
    SPAN_OPERATIONS(SPAN_ENUM)
#undef SPAN_ENUM
    SPAN_OPERATION_COUNT,
};

/* What the spans of one queue have in common; the tracer's. */
struct span_source;

/* Texts are borrowed for the call; those that are long are cut. */
struct span {
    struct trace_context context; /* with the span's own id */
    uint64_t parent;              /* the span above it; 0: there is none */
    enum span_operation operation;
    unsigned attempt;                 /* from 1; 0: left out */
    double start, end;                /* clock_monotonic */
    const struct span_source *source; /* of the queue; with PUBLISH, NULL */
    const char *outcome;              /* static; NULL: left out */
    const char *error_type;           /* static; NULL: it went well */
    whippet_bytes message_id;
    whippet_bytes error;       /* in words */
    whippet_bytes destination; /* of PUBLISH */
};

/* --- Uploading ------------------------------------------------------------------------------------------*/

enum upload_result {
    UPLOAD_DONE,
    UPLOAD_AGAIN,   /* it may work later: nobody there, or the collector says so */
    UPLOAD_REFUSED, /* it never will */
};

struct upload_answer {
    struct whippet_failure failure; /* with DONE: what the collector finds wrong all the same, if anything */
    uint64_t rejected;              /* with DONE: how many of the spans it did not take */
    double pause; /* with AGAIN: seconds that it wants to be left alone for; 0: it does not say */
};

/* Sends one request's body, on the tracer's thread, and blocks until it is answered, at the latest until the
 * moment `*until`, which may come closer meanwhile (to within a second). `answer` is zeroed; it has a failure
 * unless DONE. */
typedef enum upload_result span_upload(void *owner, whippet_bytes body, const _Atomic double *until,
                                       struct upload_answer *answer);

/* What a collector says in the body of an answer with 200: whether it took only some of the spans
 * (https://opentelemetry.io/docs/specs/otlp/#partial-success-1). What is no such body says nothing. */
void upload_answer_read(whippet_bytes body, struct upload_answer *answer);

/* --- Settings -------------------------------------------------------------------------------------------*/

struct trace_pair {
    const char *name;
    const char *value;
};

/* "name=value,name=value", percent-decoded. */
struct trace_pairs {
    struct trace_pair *items; /* owned */
    size_t count;
    char *storage; /* owned */
};

/* What OTEL_… in the environment say (https://opentelemetry.io/docs/specs/otel/protocol/exporter/). */
struct trace_settings {
    char *endpoint; /* the whole URL; owned; NULL: no traces are wanted */
    char *where;    /* the same without user, password and query, for people; owned */
    struct trace_pairs headers;
    struct trace_pairs resource;
    const char *service_name; /* borrowed from the environment, or static */
    double timeout;           /* seconds for one upload */
    struct sampler sampler;
};

/* What is wrong is logged and left out, as the specification wants it. False when memory is short. */
bool trace_settings_read(struct trace_settings *settings);
void trace_settings_destroy(struct trace_settings *settings);

/* --- The tracer -----------------------------------------------------------------------------------------*/

struct tracer_options {
    const struct trace_settings *settings; /* borrowed */
    const char *version;                   /* of the product */
    span_upload *upload;
    void *upload_owner;
    struct trace_stats *stats; /* borrowed */
};

/* Starts its thread. NULL with the failure filled. */
struct tracer *tracer_create(const struct tracer_options *options, struct whippet_failure *failure);

/* Lets it send what it still has, for `seconds` at most; what is left then is counted as dropped. False when
 * its thread does not come back even so: then it, what it was given and the stats must be left where they
 * are. NULL is fine. */
bool tracer_destroy(struct tracer *tracer, double seconds);

/* --- Recording, on the loop's thread alone --------------------------------------------------------------*/

/* The context for a message that comes in: its parent's trace, or a new one, with a new span id and the
 * sampler's answer. `parent` NULL: it brought none. */
struct trace_context tracer_begin(const struct tracer *tracer, const struct trace_context *parent);

/* What the spans of that queue have in common: made at first use, kept until the end. NULL when memory is
 * short. */
const struct span_source *tracer_source(struct tracer *tracer, const char *queue, const char *processor);

void tracer_record(struct tracer *tracer, const struct span *span);

#endif
