/* Requests by tasks, and the server that answers them. Included by one test file each. */
#ifndef TESTS_CLIENTS_HTTP_TESTING_H
#define TESTS_CLIENTS_HTTP_TESTING_H

#include <async/loop.h>
#include <async/task.h>
#include <base/bytes.h>
#include <base/memory.h>
#include <certificate.h>
#include <criterion/criterion.h>
#include <math.h>
#include <open_descriptors.h>
#include <patience.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <web_server.h>
#include <whippet/http.h>
#include <whippet/task.h>

/* --- Both ends ------------------------------------------------------------------------------------------*/

static struct loop *loop;
static struct web_server *server;

static const double LATE = 0.2; /* seconds of a quick machine */

/* What the server does is said by the path; what it saw last is noted. */
static atomic_uint clients[64]; /* by request: which connection it came by */
static char seen[4096];

static void note_request(const struct web_exchange *exchange)
{
    static const char *const NAMES[] = {"Content-Type", "Authorization", "Expect", "X-One", "User-Agent"};
    char *at = seen + sprintf(seen, "%s %s|", exchange->method, exchange->path);
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        const char *value = web_header(exchange, NAMES[i]);
        if (value != NULL)
            at += sprintf(at, "%s: %s|", NAMES[i], value);
    }
    snprintf(at, 256, "%s", exchange->body);
}

static void redirect(struct web_exchange *exchange)
{
    unsigned left = (unsigned)strtoul(exchange->path + strlen("/redirect/"), NULL, 10);
    static char places[16][32];
    snprintf(places[left % 16], sizeof places[0], left > 1 ? "/redirect/%u" : "/end", left - 1);
    exchange->status = 302;
    exchange->fields[0] = "Location";
    exchange->fields[1] = places[left % 16];
    exchange->answer = "moved";
}

static void handle(struct web_exchange *exchange, void *owner)
{
    static char large[20000];
    (void)owner;
    atomic_store(&clients[exchange->number % 64], exchange->client);
    exchange->answer = "fine";
    if (strcmp(exchange->path, "/never") == 0) {
        web_stall(exchange, 60);
    } else if (strcmp(exchange->path, "/late") == 0) {
        web_stall(exchange, patience_stretched(LATE));
    } else if (strcmp(exchange->path, "/gigabyte") == 0) {
        exchange->answer = NULL;
        exchange->size = 1u << 30;
    } else if (strcmp(exchange->path, "/endless") == 0) {
        exchange->answer = NULL;
        exchange->size = UINT64_MAX;
    } else if (strcmp(exchange->path, "/half") == 0) {
        exchange->answer = NULL;
        exchange->size = 10000;
        exchange->cut_at = 5000;
    } else if (strcmp(exchange->path, "/trickle") == 0) {
        exchange->answer = NULL;
        exchange->size = 1000000;
        exchange->pause = 0.05;
    } else if (strncmp(exchange->path, "/redirect/", 10) == 0) {
        redirect(exchange);
    } else if (strcmp(exchange->path, "/headers") == 0) {
        memset(large, 'h', sizeof large - 1);
        exchange->fields[0] = "X-Large";
        exchange->fields[1] = large;
        exchange->fields[2] = "X-Small";
        exchange->fields[3] = "some value";
    } else if (strncmp(exchange->path, "/status/", 8) == 0) {
        exchange->status = (unsigned)strtoul(exchange->path + 8, NULL, 10);
    } else {
        note_request(exchange);
    }
}

static void open_all(void)
{
    struct whippet_failure failure;
    signal(SIGPIPE, SIG_IGN);
    unsetenv("http_proxy");
    unsetenv("https_proxy");
    unsetenv("all_proxy");
    loop = loop_create(64 * 1024, &failure);
    cr_assert_not_null(loop, "%s", failure.text);
    server = web_server_start(handle, NULL, NULL, NULL);
}

static void close_all(void)
{
    memory_permit = NULL;
    loop_destroy(loop);
    web_server_stop(server);
}

TestSuite(http, .init = open_all, .fini = close_all, .timeout = 120);

/* --- A request ------------------------------------------------------------------------------------------*/

/* One call of whippet_http, and what it came to; the texts are copies. */
struct call {
    whippet_http_request request;
    char url[256];
    int error;
    int status;
    size_t size;
    char body[256]; /* its beginning */
    char words[512];
    char field[64]; /* of the header X-Small */
    double seconds;
    bool ended;
};

static int call_http(whippet_task *task, void *arg)
{
    struct call *call = arg;
    whippet_http_response response;
    double began = patience_now();
    call->error = whippet_http(task, &call->request, &response);
    call->seconds = patience_now() - began;
    whippet_bytes field = whippet_http_response_header(&response, "x-small");
    call->status = response.status;
    call->size = response.body.len;
    snprintf(call->body, sizeof call->body, "%.*s", (int)response.body.len,
             response.body.data != NULL ? (const char *)response.body.data : "");
    snprintf(call->words, sizeof call->words, "%s", response.error);
    snprintf(call->field, sizeof call->field, "%.*s", (int)field.len,
             field.data != NULL ? (const char *)field.data : "");
    call->ended = true;
    return 0;
}

static size_t running;

static void on_end(void *arg, int result)
{
    (void)arg, (void)result;
    if (--running == 0)
        loop_stop(loop);
}

static whippet_task *start_task(whippet_task_function *function, void *arg, double seconds)
{
    bool started;
    running++;
    whippet_task *task = task_start(loop_scheduler(loop), function, arg, loop_refresh_now(loop) + seconds,
                                    NULL, on_end, &started);
    cr_assert(started, "no memory for a task");
    return task;
}

static void run_tasks(void)
{
    while (running > 0)
        loop_run(loop);
}

static void aim(struct call *call, const char *scheme, unsigned port, const char *path)
{
    snprintf(call->url, sizeof call->url, "%s://127.0.0.1:%u%s", scheme, port, path);
    call->request.url = call->url;
}

/* Runs one for what is asked of the server of all tests. */
static struct call *ask(const char *path)
{
    static struct call call;
    call = (struct call){0};
    aim(&call, "http", web_server_port(server), path);
    start_task(call_http, &call, INFINITY);
    run_tasks();
    return &call;
}

/* The same for a call that is prepared already. */
static struct call *run_call(struct call *call, const char *path)
{
    if (call->request.url == NULL)
        aim(call, "http", web_server_port(server), path);
    start_task(call_http, call, INFINITY);
    run_tasks();
    return call;
}

static void assert_has(const char *text, const char *part)
{
    cr_assert_not_null(strstr(text, part), "\"%s\" is not in \"%s\"", part, text);
}

#endif
