#include "http_fields.h"
#include <base/bytes.h>
#include <base/memory.h>
#include <stdio.h>
#include <strings.h>

const char *http_method(const whippet_http_request *request)
{
    if (request->method != NULL)
        return request->method;
    return request->body.data != NULL ? "POST" : "GET";
}

/* --- Whether they can be sent ---------------------------------------------------------------------------*/

/* RFC 9110, section 5.6.2. */
static bool is_token(const char *text)
{
    static const char CHARACTERS[] =
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    return *text != '\0' && text[strspn(text, CHARACTERS)] == '\0';
}

/* Nothing that would end the line, and begin another. */
static bool is_field_value(whippet_bytes value)
{
    const unsigned char *text = value.data;
    for (size_t i = 0; i < value.len; i++) {
        if ((text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
            return false;
    }
    return true;
}

int http_fields_check(const whippet_http_request *request, struct whippet_failure *failure)
{
    if (request->method != NULL && !is_token(request->method))
        return failure_set(failure, WHIPPET_E_INVALID, "\"%s\" is no HTTP method", request->method);
    for (size_t i = 0; i < request->header_count; i++) {
        const whippet_http_header *header = &request->headers[i];
        if (header->name == NULL || !is_token(header->name))
            return failure_set(failure, WHIPPET_E_INVALID, "\"%s\" can't be the name of a header",
                               header->name != NULL ? header->name : "");
        if (header->value != NULL && !is_field_value(bytes_of_text(header->value)))
            return failure_set(failure, WHIPPET_E_INVALID,
                               "the header %s has a value with control characters, which can't be sent",
                               header->name);
    }
    return 0;
}

/* --- As libcurl wants them ------------------------------------------------------------------------------*/

/* A list that grows, and whether it has come so far. */
struct fields {
    const struct curl_library *library;
    struct curl_slist *list;
    bool complete;
};

static void add_line(struct fields *fields, const char *line)
{
    struct curl_slist *longer = fields->complete ? fields->library->slist_append(fields->list, line) : NULL;
    fields->complete = longer != NULL;
    if (longer != NULL)
        fields->list = longer;
}

static void add(struct fields *fields, const char *name, whippet_bytes value)
{
    size_t size = strlen(name) + sizeof ": " + value.len;
    char *line = memory_allocate(size);
    if (line == NULL) {
        fields->complete = false;
        return;
    }
    /* "Name;" is how libcurl is told to send an empty one: "Name:" would take it back. */
    if (value.len > 0)
        snprintf(line, size, "%s: %.*s", name, (int)value.len, (const char *)value.data);
    else
        snprintf(line, size, "%s;", name);
    add_line(fields, line);
    memory_free(line);
}

static bool has_field(const whippet_http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (request->headers[i].value != NULL && strcasecmp(request->headers[i].name, name) == 0)
            return true;
    }
    return false;
}

struct curl_slist *http_fields_create(const struct curl_library *library, const whippet_http_request *request,
                                      const char *trace_parent, const char *trace_state)
{
    struct fields fields = {.library = library, .complete = true};
    for (size_t i = 0; i < request->header_count; i++) {
        if (request->headers[i].value != NULL)
            add(&fields, request->headers[i].name, bytes_of_text(request->headers[i].value));
    }
    /* A server that knows nothing of "Expect: 100-continue" would cost a second. */
    add_line(&fields, "Expect:");
    if (!has_field(request, "Content-Type"))
        add_line(&fields, "Content-Type:");
    if (!has_field(request, "User-Agent"))
        add_line(&fields, "User-Agent: whippet");
    if (trace_parent != NULL && !has_field(request, "traceparent")) {
        add(&fields, "traceparent", bytes_of_text(trace_parent));
        if (trace_state != NULL)
            add(&fields, "tracestate", bytes_of_text(trace_state));
    }
    if (fields.complete)
        return fields.list;
    library->slist_free_all(fields.list);
    return NULL;
}
