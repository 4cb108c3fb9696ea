#include <async/task.h>
#include <base/bytes.h>
#include <base/memory.h>
#include <whippet/message.h>
#include <worker/message.h>
#include <worker/publication.h>
#include <worker/publishing.h>

static struct {
    publish_function *function;
    void *owner;
} publisher;

void publishing_install(publish_function *function, void *owner)
{
    publisher.function = function;
    publisher.owner = owner;
}

static bool has_header(const whippet_publication *publication, const char *name)
{
    for (size_t i = 0; i < publication->header_count; i++)
        if (strcmp(publication->headers[i].name, name) == 0)
            return true;
    return false;
}

/* The headers of the trace that goes along, and where their texts lie. */
struct trace_headers {
    char parent[TRACE_PARENT_SIZE];
    char state[TRACE_STATE_MAX];
    size_t state_length;
};

/* Publishes it with the trace of the message that is being processed. */
static int publish_traced(whippet_task *task, const whippet_publication *publication,
                          const struct trace_headers *trace, const struct publish_span *span)
{
    size_t count = publication->header_count;
    whippet_publish_header *headers = memory_allocate((count + 2) * sizeof *headers);
    if (headers == NULL)
        return WHIPPET_E_MEMORY;
    if (count > 0)
        memcpy(headers, publication->headers, count * sizeof *headers);
    headers[count++] = (whippet_publish_header){"traceparent", whippet_text_value(trace->parent)};
    if (trace->state_length > 0 && !has_header(publication, "tracestate")) {
        whippet_value state = {.kind = WHIPPET_VALUE_TEXT, .type = 'S'};
        state.bytes = bytes_of(trace->state, trace->state_length);
        headers[count++] = (whippet_publish_header){"tracestate", state};
    }
    whippet_publication traced = *publication;
    traced.headers = headers;
    traced.header_count = count;
    int result = publisher.function(publisher.owner, task, &traced, span);
    memory_free(headers);
    return result;
}

/* The span of what is published while that message is processed. */
static struct publish_span begin_span(const whippet_message *message)
{
    struct publish_span span = {.context = message->trace, .parent = message->trace.span};
    if (trace_context_is_sampled(&span.context))
        span.context.span = trace_id_make();
    return span;
}

/* The traceparent names the publication's own span where there is one. */
static bool write_trace(const whippet_message *message, const struct publish_span *span,
                        struct trace_headers *trace)
{
    if (trace_context_is_set(&span->context))
        trace_parent_write(&span->context, trace->parent);
    else if (!message_trace_write(message, trace->parent))
        return false;
    trace->state_length = message_trace_state(message, trace->state);
    return true;
}

int whippet_publish(whippet_task *task, const whippet_publication *publication)
{
    struct publish_span span = {0};
    struct trace_headers trace;
    if (!publication_is_valid(publication))
        return WHIPPET_E_INVALID;
    if (publisher.function == NULL)
        return WHIPPET_E_UNAVAILABLE;
    const whippet_message *message = task_message(task);
    if (message != NULL)
        span = begin_span(message);
    if (message != NULL && !has_header(publication, "traceparent") && write_trace(message, &span, &trace))
        return publish_traced(task, publication, &trace, &span);
    return publisher.function(publisher.owner, task, publication, &span);
}
