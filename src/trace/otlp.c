#include "otlp.h"
#include "otlp_text.h"
#include "pairs.h"
#include "span_ring.h"
#include <base/bytes.h>
#include <base/memory.h>
#include <unistd.h>

enum {
    OPERATION_MAX = 512, /* of what is said of an operation, beside names of queues and processors */
    SPAN_MAX = 1536,     /* of all else in a span, beside its texts */
};

static const struct {
    const char *name;
    const char *type; /* NULL: it is no operation of messaging's */
    char kind;        /* a digit of OTLP's enum SpanKind */
} OPERATIONS[] = {
#define SPAN_ROW(name, operation, type, kind) {operation, type, #kind[0]},
    SPAN_OPERATIONS(SPAN_ROW)
#undef SPAN_ROW
};

/* --- What spans have in common --------------------------------------------------------------------------*/

/* From the name to within the list of attributes. The name is "process orders"; a list of attributes is open
 * then. */
static char *put_operation(char *at, enum span_operation operation, whippet_bytes destination)
{
    at = PUT(at, "\"name\":\"");
    at = put_text(at, OPERATIONS[operation].name);
    *at++ = ' ';
    at = put_escaped(at, destination);
    at = PUT(at, "\",\"kind\":");
    *at++ = OPERATIONS[operation].kind;
    at = PUT(at, ",\"attributes\":[{\"key\":\"messaging.system\",\"value\":{\"stringValue\":\"rabbitmq\"}},");
    at = put_text_attribute(at, "messaging.destination.name", destination);
    if (OPERATIONS[operation].type == NULL)
        return at;
    *at++ = ',';
    at = put_text_attribute(at, "messaging.operation.type", bytes_of_text(OPERATIONS[operation].type));
    *at++ = ',';
    return put_text_attribute(at, "messaging.operation.name", bytes_of_text(OPERATIONS[operation].name));
}

static bool write_common(struct span_source *source, enum span_operation operation)
{
    whippet_bytes queue = bytes_of_text(source->queue), processor = bytes_of_text(source->processor);
    char *text =
        memory_allocate(OPERATION_MAX + 2 * JSON_ESCAPED_MAX * queue.len + JSON_ESCAPED_MAX * processor.len);
    if (text == NULL)
        return false;
    char *at = put_operation(text, operation, queue);
    *at++ = ',';
    at = put_text_attribute(at, "whippet.processor", processor);
    source->common[operation].text = text;
    source->common[operation].length = (size_t)(at - text);
    return true;
}

struct span_source *span_source_create(const char *queue, const char *processor)
{
    struct span_source *source = memory_allocate_zeroed(sizeof *source);
    if (source == NULL)
        return NULL;
    list_init(&source->link);
    source->queue = memory_copy_text(queue);
    source->processor = memory_copy_text(processor);
    bool done = source->queue != NULL && source->processor != NULL;
    for (int i = 0; done && i < SPAN_OPERATION_COUNT; i++)
        done = i == SPAN_PUBLISH || write_common(source, (enum span_operation)i);
    if (done)
        return source;
    span_source_destroy(source);
    return NULL;
}

void span_source_destroy(struct span_source *source)
{
    for (int i = 0; i < SPAN_OPERATION_COUNT; i++)
        memory_free(source->common[i].text);
    memory_free(source->queue);
    memory_free(source->processor);
    memory_free(source);
}

/* --- A request ------------------------------------------------------------------------------------------*/

/* Appends the attribute, with a comma in front where it is not the first. */
static bool add_attribute(struct buffer *out, const char *name, const char *value)
{
    size_t size = JSON_ESCAPED_MAX * (strlen(name) + strlen(value)) + JSON_ATTRIBUTE_OVERHEAD;
    char *at = (char *)buffer_reserve(out, size);
    if (at == NULL)
        return false;
    char *begin = at;
    if (buffer_begin(out)[buffer_length(out) - 1] != '[')
        *at++ = ',';
    at = PUT(at, "{\"key\":\"");
    at = put_escaped(at, bytes_of_text(name));
    at = PUT(at, "\",\"value\":{\"stringValue\":\"");
    at = put_escaped(at, bytes_of_text(value));
    at = PUT(at, "\"}}");
    buffer_commit(out, (size_t)(at - begin));
    return true;
}

static bool add_literal(struct buffer *out, const char *text)
{
    return buffer_append(out, text, strlen(text));
}

/* What is not in the environment's list, which has the last word. */
static bool add_default(struct buffer *out, const struct trace_settings *settings, const char *name,
                        const char *value)
{
    return trace_pairs_find(&settings->resource, name) != NULL || add_attribute(out, name, value);
}

bool otlp_write_head(struct buffer *head, const struct trace_settings *settings, const char *version)
{
    char host[65] = "";
    gethostname(host, sizeof host - 1);
    bool done = add_literal(head, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[") &&
                add_attribute(head, "service.name", settings->service_name) &&
                add_default(head, settings, "service.version", version) &&
                add_default(head, settings, "host.name", host);
    for (size_t i = 0; done && i < settings->resource.count; i++) {
        const struct trace_pair *pair = &settings->resource.items[i];
        done = strcmp(pair->name, "service.name") == 0 || add_attribute(head, pair->name, pair->value);
    }
    return done && add_literal(head, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"whippet\",\"version\":\"") &&
           add_literal(head, version) && add_literal(head, "\"},\"spans\":[");
}

bool otlp_begin(struct buffer *request, const struct buffer *head)
{
    return buffer_append(request, buffer_begin(head), buffer_length(head));
}

bool otlp_end(struct buffer *request)
{
    return add_literal(request, "]}]}]}");
}

/* --- A span ---------------------------------------------------------------------------------------------*/

static char *put_ids(char *at, const struct span *span)
{
    at = PUT(at, "{\"traceId\":\"");
    at = put_id(at, span->context.trace_high);
    at = put_id(at, span->context.trace_low);
    at = PUT(at, "\",\"spanId\":\"");
    at = put_id(at, span->context.span);
    if (span->parent != 0) {
        at = PUT(at, "\",\"parentSpanId\":\"");
        at = put_id(at, span->parent);
    }
    return PUT(at, "\",");
}

static uint64_t nanoseconds(double seconds)
{
    if (!(seconds > 0))
        return 0;
    uint64_t whole = (uint64_t)seconds;
    return whole * 1000000000 + (uint64_t)((seconds - (double)whole) * 1e9);
}

static char *put_times(char *at, const struct span *span, double offset)
{
    at = PUT(at, "\"startTimeUnixNano\":\"");
    at = put_unsigned(at, nanoseconds(span->start + offset));
    at = PUT(at, "\",\"endTimeUnixNano\":\"");
    at = put_unsigned(at, nanoseconds((span->end > span->start ? span->end : span->start) + offset));
    return PUT(at, "\",");
}

static char *put_text_if_any(char *at, const char *name, whippet_bytes value)
{
    if (value.len == 0)
        return at;
    *at++ = ',';
    return put_text_attribute(at, name, value);
}

static char *put_own_attributes(char *at, const struct span *span)
{
    at = put_text_if_any(at, "messaging.message.id", span->message_id);
    if (span->attempt > 0) {
        *at++ = ',';
        at = put_integer_attribute(at, "whippet.attempt", span->attempt);
    }
    at = put_text_if_any(at, "whippet.outcome", bytes_of_text(span->outcome));
    return put_text_if_any(at, "error.type", bytes_of_text(span->error_type));
}

static char *put_status(char *at, const struct span *span)
{
    at = PUT(at, "]");
    if (span->error_type != NULL) {
        at = PUT(at, ",\"status\":{\"code\":2,\"message\":\"");
        at = put_escaped(at, span->error);
        at = PUT(at, "\"}");
    }
    return PUT(at, "}");
}

static size_t room_for(const struct span *span)
{
    size_t common = span->source != NULL ? span->source->common[span->operation].length : OPERATION_MAX;
    return SPAN_MAX + common +
           JSON_ESCAPED_MAX * (span->message_id.len + 2 * span->destination.len + span->error.len);
}

bool otlp_add(struct buffer *request, const struct span *span, double offset)
{
    char *begin = (char *)buffer_reserve(request, room_for(span));
    char *at = begin;
    if (at == NULL)
        return false;
    if (buffer_begin(request)[buffer_length(request) - 1] == '}')
        *at++ = ',';
    at = put_ids(at, span);
    at = put_times(at, span, offset);
    if (span->operation == SPAN_PUBLISH)
        at = put_operation(at, SPAN_PUBLISH, span->destination);
    else
        at = put_span(at, span->source->common[span->operation].text,
                      span->source->common[span->operation].length);
    at = put_own_attributes(at, span);
    at = put_status(at, span);
    buffer_commit(request, (size_t)(at - begin));
    return true;
}
