#include "collector.h"

#include "patience.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD_SIZE = 8192,
    REQUESTS = 4096,
    SPANS = 4096
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the spans and the headers */
static cJSON *kept[REQUESTS];                            /* what the spans are part of */
static unsigned kept_count;
static const cJSON *spans[SPANS];
static unsigned span_count;
static char headers[HEAD_SIZE];
static atomic_uint requests;
static atomic_int answer = COLLECTOR_OK;
static const char *_Atomic answer_field = "", *_Atomic answer_body = "{}";
static unsigned port;

/* --- Requests -------------------------------------------------------------------------------------------*/

static void keep_spans(cJSON *request)
{
    const cJSON *resource, *scope, *span;

    if (kept_count == REQUESTS) {
        cJSON_Delete(request);
        return;
    }
    kept[kept_count++] = request;

    cJSON_ArrayForEach(resource, cJSON_GetObjectItem(request, "resourceSpans"))
    {
        cJSON_ArrayForEach(scope, cJSON_GetObjectItem(resource, "scopeSpans"))
        {
            cJSON_ArrayForEach(span, cJSON_GetObjectItem(scope, "spans"))
            {
                if (span_count < SPANS) {
                    spans[span_count++] = span;
                }
            }
        }
    }
}

/* Keeps it; the status for the answer. */
static int take(const char *head, const char *body)
{
    int status = answer;
    cJSON *request = cJSON_Parse(body);

    pthread_mutex_lock(&lock);
    snprintf(headers, sizeof(headers), "%s", head);
    if (!request) {
        status = 400;
    } else if (status == COLLECTOR_OK) {
        keep_spans(request);
        request = NULL;
    }
    cJSON_Delete(request);
    pthread_mutex_unlock(&lock);
    return status;
}

/* Reads up to the empty line, which is left out. */
static int read_head(int connection, char *head)
{
    size_t length = 0;

    while (length + 1 < HEAD_SIZE && recv(connection, head + length, 1, 0) == 1) {
        head[++length] = '\0';
        if (length >= 4 && strcmp(head + length - 4, "\r\n\r\n") == 0) {
            return 1;
        }
    }
    return 0;
}

static char *read_body(int connection, const char *head)
{
    const char *field = strcasestr(head, "\r\nContent-Length:");
    size_t length = field ? strtoul(field + strlen("\r\nContent-Length:"), NULL, 10) : 0;
    char *body = malloc(length + 1);

    body[length] = '\0';
    if (length > 0 && recv(connection, body, length, MSG_WAITALL) != (ssize_t)length) {
        free(body);
        return NULL;
    }
    return body;
}

static void serve(int connection)
{
    char head[HEAD_SIZE], reply[1000], *body;

    while (read_head(connection, head) && (body = read_body(connection, head))) {
        int status = take(head, body);
        free(body);
        snprintf(reply, sizeof(reply), "HTTP/1.1 %d It is\r\n%s%sContent-Length: %zu\r\n\r\n%s", status,
                 answer_field, *answer_field ? "\r\n" : "", strlen(answer_body), answer_body);
        requests++; /* whoever saw that may have the next one answered in another way */
        if (status == COLLECTOR_NEVER) {
            continue; /* waits for what comes next, which is the end */
        }
        if (send(connection, reply, strlen(reply), MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    close(connection);
}

static void *run(void *arg)
{
    int connection, listener = *(int *)arg;

    while ((connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        serve(connection);
    }
    return NULL;
}

/* --- Its beginning --------------------------------------------------------------------------------------*/

void collector_open(void)
{
    static int listener;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    char endpoint[64];
    pthread_t thread;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, size), 0, "cannot bind");
    cr_assert_eq(listen(listener, 8), 0, "cannot listen");
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    port = ntohs(address.sin_port);
    cr_assert_eq(pthread_create(&thread, NULL, run, &listener), 0, "no thread");
    pthread_detach(thread);
    snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", port);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint, 1);
}

void collector_answer(int status)
{
    collector_answer_with(status, "", "{}");
}

void collector_answer_with(int status, const char *field, const char *body)
{
    answer_field = field;
    answer_body = body;
    answer = status;
}

unsigned collector_port(void)
{
    return port;
}

/* --- What came ------------------------------------------------------------------------------------------*/

unsigned collector_requests(void)
{
    return requests;
}

unsigned collector_spans(void)
{
    pthread_mutex_lock(&lock);
    unsigned count = span_count;
    pthread_mutex_unlock(&lock);
    return count;
}

const char *collector_headers(void)
{
    return headers;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, name));

    return text ? text : "";
}

static double seconds_of(const cJSON *span, const char *name)
{
    return strtod(text_of(span, name), NULL) / 1e9;
}

/* How many spans of that name began before this one: its place among them. */
static unsigned place_of(const cJSON *span)
{
    unsigned place = 0;

    for (unsigned i = 0; i < span_count; i++) {
        if (strcmp(text_of(spans[i], "name"), text_of(span, "name")) == 0 &&
            strcmp(text_of(spans[i], "startTimeUnixNano"), text_of(span, "startTimeUnixNano")) < 0) {
            place++;
        }
    }
    return place;
}

static const cJSON *find(const char *name, unsigned nth)
{
    const cJSON *found = NULL;

    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < span_count && !found; i++) {
        if (strcmp(text_of(spans[i], "name"), name) == 0 && place_of(spans[i]) == nth) {
            found = spans[i];
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}

struct collected collector_await(double seconds, const char *name, unsigned nth)
{
    const cJSON *span = NULL, *status;

    await(seconds, (span = find(name, nth)) != NULL, "the span \"%s\", the %u. after the first", name, nth);
    status = cJSON_GetObjectItem(span, "status");
    return (struct collected){
        .trace = text_of(span, "traceId"),
        .id = text_of(span, "spanId"),
        .parent = text_of(span, "parentSpanId"),
        .name = text_of(span, "name"),
        .start = seconds_of(span, "startTimeUnixNano"),
        .end = seconds_of(span, "endTimeUnixNano"),
        .error = status ? text_of(status, "message") : NULL,
        .attributes = cJSON_GetObjectItem(span, "attributes"),
    };
}

const char *collected_attribute(const struct collected *span, const char *name)
{
    const cJSON *each;

    cJSON_ArrayForEach(each, span->attributes)
    {
        if (strcmp(text_of(each, "key"), name) == 0) {
            const cJSON *value = cJSON_GetObjectItem(each, "value");
            return cJSON_HasObjectItem(value, "intValue") ? text_of(value, "intValue")
                                                          : text_of(value, "stringValue");
        }
    }
    return "";
}
