#include "request.h"
#include "json.h"
#include "metadata.h"
#include <stdlib.h>
#include <string.h>

static void name(struct json *json, const char *text)
{
    json_name(json, (whippet_bytes){.data = text, .len = strlen(text)});
}

static void write_body(struct json *json, whippet_bytes body, bool is_text)
{
    name(json, is_text ? "body" : "body_base64");
    if (is_text)
        json_text(json, body);
    else
        json_base64(json, body);
}

struct request {
    uint64_t id;
    const whippet_message *message;
    bool is_text;
    const char *trace_parent, *trace_state; /* NULL: none */
};

/* A member that is missing where there is nothing to say. */
static void write_trace(struct json *json, const char *member, const char *text)
{
    if (text == NULL)
        return;
    name(json, member);
    json_text(json, (whippet_bytes){.data = text, .len = strlen(text)});
}

static void write_request(struct json *json, const struct request *request)
{
    json_open(json, '{');
    name(json, "id");
    json_unsigned(json, request->id);
    write_body(json, whippet_body(request->message), request->is_text);
    metadata_write(json, request->message);
    write_trace(json, "traceparent", request->trace_parent);
    write_trace(json, "tracestate", request->trace_state);
    json_close(json, '}');
}

char *request_make(uint64_t id, whippet_task *task, const whippet_message *message, size_t *length)
{
    struct json json = {0};
    const struct request request = {
        .id = id,
        .message = message,
        .is_text = json_is_text(whippet_body(message)),
        .trace_parent = whippet_trace_parent(task),
        .trace_state = whippet_trace_state(task),
    };
    write_request(&json, &request);
    json = (struct json){.text = malloc(json.length + 1)};
    if (json.text == NULL)
        return NULL;
    write_request(&json, &request);
    json.text[json.length] = '\n';
    *length = json.length + 1;
    return json.text;
}
