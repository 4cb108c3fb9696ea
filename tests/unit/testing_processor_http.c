/* The processor http as users run it (its shared object, in the test harness), against a real server. */
#include "web_server.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <whippet/testing.h>

static struct web_server *server;
static whippet_test *test;

/* --- The endpoint ---------------------------------------------------------------------------------------*/

static pthread_mutex_t seen_mutex = PTHREAD_MUTEX_INITIALIZER;
static char seen[4096]; /* of the last request: method, some headers, body */
static const char *retry_after = NULL;
static const char *location = "/elsewhere?token=s3cr3t";

static void note(const struct web_exchange *exchange)
{
    static const char *const NAMES[] = {"Content-Type", "X-Hub-Signature-256", "X-Id",
                                        "X-Tenant",     "traceparent",         "tracestate"};
    pthread_mutex_lock(&seen_mutex);
    int length = snprintf(seen, sizeof seen, "%s", exchange->method);
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        const char *value = web_header(exchange, NAMES[i]);
        if (value != NULL)
            length += snprintf(seen + length, sizeof seen - (size_t)length, "|%s: %s", NAMES[i], value);
    }
    snprintf(seen + length, sizeof seen - (size_t)length, "|%s", exchange->body);
    pthread_mutex_unlock(&seen_mutex);
}

/* "/503": that status. */
static void handle(struct web_exchange *exchange, void *owner)
{
    (void)owner;
    note(exchange);
    exchange->answer = "what the endpoint says\nand more";
    if (strcmp(exchange->path, "/never") == 0)
        web_stall(exchange, 60);
    if (strcmp(exchange->path, "/slow") == 0)
        web_stall(exchange, 0.3);
    if (strstr(exchange->path, "/gigabyte") != NULL) {
        exchange->answer = NULL;
        exchange->size = 1u << 30;
    }
    if (strcmp(exchange->path, "/half") == 0) {
        exchange->answer = NULL;
        exchange->size = 10000;
        exchange->cut_at = 5000;
    }
    exchange->status = (unsigned)strtoul(exchange->path + 1, NULL, 10);
    exchange->status = exchange->status == 0 ? 200 : exchange->status;
    if (strcmp(exchange->path, "/first-503") == 0)
        exchange->status = exchange->number == 1 ? 503 : 200;
    exchange->fields[0] = exchange->status == 302 ? "Location" : retry_after != NULL ? "Retry-After" : NULL;
    exchange->fields[1] = exchange->status == 302 ? location : retry_after;
}

/* --- The processor --------------------------------------------------------------------------------------*/

static const whippet_processor *load(void)
{
    static char file[4096];
    const char *plugins = getenv("WHIPPET_TEST_PLUGINS");
    cr_assert_not_null(plugins, "WHIPPET_TEST_PLUGINS is not set: run the tests with ctest");
    snprintf(file, sizeof file, "%s/../../processors/http.so", plugins);
    return whippet_test_load(file);
}

static void open_server(void)
{
    unsetenv("http_proxy");
    unsetenv("https_proxy");
    unsetenv("all_proxy");
    server = web_server_start(handle, NULL, NULL, NULL);
}

static void close_server(void)
{
    whippet_test_end(test);
    web_server_stop(server);
}

TestSuite(http_processor, .init = open_server, .fini = close_server, .timeout = 120);

/* `more` are further settings, with ' in place of ". */
static void start_at(const char *scheme, unsigned port, const char *path, const char *more)
{
    char settings[2048];
    snprintf(settings, sizeof settings, "{'url': '%s://127.0.0.1:%u%s'%s}", scheme, port, path, more);
    for (char *at = settings; *at != '\0'; at++)
        *at = *at == '\'' ? '"' : *at;
    test = whippet_test_start(load(), settings);
}

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static const whippet_test_message order = {.text = "{\"number\": 7}"};

static whippet_test_result post(const char *path, const char *more)
{
    start_at("http", web_server_port(server), path, more);
    return whippet_test_run(test, &order);
}

static void assert_has(const char *text, const char *part)
{
    cr_assert_not_null(strstr(text, part), "\"%s\" is not in \"%s\"", part, text);
}

static void assert_result(whippet_test_result result, whippet_verdict verdict, const char *reason)
{
    cr_assert_eq(result.verdict, verdict, "verdict %d: %s", (int)result.verdict, result.reason);
    assert_has(result.reason, reason);
}

/* --- What the endpoint sees -----------------------------------------------------------------------------*/

Test(http_processor, posts_the_body)
{
    assert_result(post("/", ""), WHIPPET_ACK, "");
    cr_assert_str_eq(seen, "POST|Content-Type: application/octet-stream|{\"number\": 7}");
}

Test(http_processor, passes_content_type_and_trace_on)
{
    whippet_publish_header headers[] = {{"traceparent", whippet_text_value(TRACE)},
                                        {"tracestate", whippet_text_value("a=1")}};
    whippet_test_message message = {
        .text = "x", .content_type = "text/plain", .headers = headers, .header_count = 2};
    start_at("http", web_server_port(server), "/", "");
    assert_result(whippet_test_run(test, &message), WHIPPET_ACK, "");
    cr_assert_str_eq(seen, "POST|Content-Type: text/plain|traceparent: " TRACE "|tracestate: a=1|x");
}

Test(http_processor, fills_headers_from_the_message)
{
    whippet_publish_header headers[] = {{"tenant", whippet_text_value("acme")},
                                        {"number", whippet_integer_value(-7)}};
    whippet_test_message message = {
        .text = "", .message_id = "m-1", .headers = headers, .header_count = 2, .attempt = 2};
    start_at("http", web_server_port(server), "/",
             ", 'method': 'PUT', 'content_type': 'a/b', 'headers': {'X-Id': '{message_id}/{attempt}', "
             "'X-Tenant': '{{{header.tenant} {header.number}}{{', 'X-None': '{correlation_id}'}");
    assert_result(whippet_test_run(test, &message), WHIPPET_ACK, "");
    cr_assert_str_eq(seen, "PUT|Content-Type: a/b|X-Id: m-1/2|X-Tenant: {acme -7}{|");
}

static void start_signing(const char *secret)
{
    char file[] = "/tmp/whippet-secret-XXXXXX", more[128];
    int descriptor = mkstemp(file);
    cr_assert_eq(write(descriptor, secret, strlen(secret)), (ssize_t)strlen(secret));
    close(descriptor);
    snprintf(more, sizeof more, ", 'secret_file': '%s'", file);
    start_at("http", web_server_port(server), "/", more);
    unlink(file);
}

/* The example of https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries. */
Test(http_processor, signs_the_body)
{
    start_signing("It's a Secret to Everybody\n");
    whippet_test_result result = whippet_test_run(test, &(whippet_test_message){.text = "Hello, World!"});
    assert_result(result, WHIPPET_ACK, "");
    assert_has(seen, "X-Hub-Signature-256: "
                     "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
}

Test(http_processor, signs_a_large_body_in_a_thread)
{
    static char body[2000000];
    memset(body, 'a', sizeof body);
    start_signing("key");
    whippet_test_result result = whippet_test_run(test, &(whippet_test_message){.body = {body, sizeof body}});
    assert_result(result, WHIPPET_ACK, "");
    assert_has(seen, "X-Hub-Signature-256: sha256=");
}

/* --- What its answer means ------------------------------------------------------------------------------*/

Test(http_processor, acknowledges_any_status_from_200_to_299)
{
    assert_result(post("/204", ""), WHIPPET_ACK, "");
}

Test(http_processor, rejects_what_the_endpoint_refuses)
{
    assert_result(post("/422", ""), WHIPPET_REJECT, "status 422: what the endpoint says");
    cr_assert_null(strstr(whippet_test_run(test, &order).reason, "and more"));
}

Test(http_processor, tries_again_where_the_endpoint_fails)
{
    whippet_test_result result = post("/500", "");
    assert_result(result, WHIPPET_RETRY, "status 500: what the endpoint says");
    cr_assert_eq(result.retry_after, 0);
}

Test(http_processor, tries_again_when_it_is_told_to)
{
    retry_after = "7";
    whippet_test_result result = post("/429", "");
    assert_result(result, WHIPPET_RETRY, "status 429");
    cr_assert_eq(result.retry_after, 7);
}

Test(http_processor, tries_again_at_the_date_it_is_told)
{
    char date[64];
    time_t then = time(NULL) + 1000;
    struct tm parts;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &parts));
    retry_after = date;
    whippet_test_result result = post("/503", "");
    assert_result(result, WHIPPET_RETRY, "status 503");
    cr_assert(result.retry_after > 800 && result.retry_after <= 1000, "%g", result.retry_after);
}

Test(http_processor, makes_nothing_of_a_date_that_is_none)
{
    retry_after = "soon";
    cr_assert_eq(post("/503", "").retry_after, 0);
}

Test(http_processor, waits_between_attempts_as_long_as_it_is_told)
{
    retry_after = "3600";
    start_at("http", web_server_port(server), "/first-503", "");
    whippet_test_result result = whippet_test_run_attempts(test, &order, NULL);
    assert_result(result, WHIPPET_ACK, "");
    cr_assert_eq(result.attempt, 2);
    cr_assert_geq(result.seconds, 3600);
}

Test(http_processor, rejects_where_the_endpoint_has_moved)
{
    assert_result(post("/302", ""), WHIPPET_REJECT, "status 302: it has moved to /elsewhere; change \"url\"");
}

Test(http_processor, rejects_where_the_endpoint_moves_on_and_on)
{
    location = "/302";
    assert_result(post("/302", ", 'redirects': 2"), WHIPPET_REJECT, "redirects");
}

Test(http_processor, sends_a_head_without_a_body)
{
    assert_result(post("/", ", 'method': 'HEAD'"), WHIPPET_ACK, "");
    assert_has(seen, "HEAD|");
}

Test(http_processor, follows_a_move_where_that_is_allowed)
{
    assert_result(post("/302", ", 'redirects': 1"), WHIPPET_ACK, "");
    assert_has(seen, "POST|");
}

Test(http_processor, waits_for_an_endpoint_that_answers_slowly)
{
    assert_result(post("/slow", ""), WHIPPET_ACK, "");
}

Test(http_processor, tries_again_where_no_answer_comes)
{
    assert_result(post("/never", ", 'timeout': '200ms'"), WHIPPET_RETRY, "no whole response in time");
}

Test(http_processor, tries_again_after_half_an_answer)
{
    assert_result(post("/half", ""), WHIPPET_RETRY, "/half: ");
}

/* The endpoint has done its work, and would do it again. */
Test(http_processor, believes_the_status_of_a_gigabyte)
{
    assert_result(post("/gigabyte", ", 'response_limit': '10KiB'"), WHIPPET_ACK, "");
    assert_has(whippet_test_log(test), "done, with status 200: POST http");
    whippet_test_end(test);
    assert_result(post("/404/gigabyte", ""), WHIPPET_REJECT, "larger than 1048576 bytes");
    whippet_test_end(test);
    assert_result(post("/500/gigabyte", ""), WHIPPET_RETRY, "larger than 1048576 bytes");
}

static whippet_test_result post_raw(const char *scheme, unsigned port)
{
    start_at(scheme, port, "/", "");
    return whippet_test_run(test, &order);
}

Test(http_processor, tries_again_where_nobody_listens)
{
    assert_result(post_raw("http", unused_port()), WHIPPET_RETRY, "Failed to connect");
}

Test(http_processor, tries_again_after_garbage)
{
    assert_result(post_raw("http", raw_server_start("\x01\x02 garbage\r\n\r\n")), WHIPPET_RETRY, "POST http");
}

Test(http_processor, tries_again_where_tls_is_not_spoken)
{
    assert_result(post_raw("https", web_server_port(server)), WHIPPET_RETRY, "POST https");
}

/* --- What can't be sent ---------------------------------------------------------------------------------*/

Test(http_processor, rejects_what_would_smuggle_a_header)
{
    start_at("http", web_server_port(server), "/", ", 'headers': {'X-Id': '{message_id}'}");
    whippet_test_result result =
        whippet_test_run(test, &(whippet_test_message){.text = "x", .message_id = "a\r\nX-Tenant: b"});
    assert_result(result, WHIPPET_REJECT, "the header X-Id has a value with control characters");
}

static void assert_refused(const char *settings, const char *words)
{
    char text[512];
    snprintf(text, sizeof text, "%s", settings);
    for (char *at = text; *at != '\0'; at++)
        *at = *at == '\'' ? '"' : *at;
    const char *refusal = whippet_test_refusal(load(), text);
    cr_assert_not_null(refusal, "%s was taken", settings);
    assert_has(refusal, words);
}

Test(http_processor_settings, are_checked_before_the_start)
{
    assert_refused("{}", "url");
    assert_refused("{'url': 'file:///etc/passwd'}", "expected http:// or https://");
    assert_refused("{'url': 'http://h/', 'method': 'GET /'}", "no HTTP method");
    assert_refused("{'url': 'http://h/', 'redirects': 1000}", "redirects: expected 0 to 100");
    assert_refused("{'url': 'http://h/', 'headers': {'A B': 'x'}}", "\"A B\" can't be the name of a header");
    assert_refused("{'url': 'http://h/', 'headers': {'A': '{messageid}'}}", "headers.A: \"{messageid}\"");
    assert_refused("{'url': 'http://h/', 'headers': {'A': '{message_id'}}",
                   "headers.A: a \"{\" that begins no name");
    assert_refused("{'url': 'http://h/', 'headers': {'A': 'x{S3CR3T}'}}", "for a brace, write \"{{\"");
    assert_refused("{'url': 'http://h/', 'secret_file': '/no/such/file'}", "secret_file: cannot read");
    assert_refused("{'url': 'http://h/', 'secret_file': '/dev/null'}", "is empty");
    assert_refused("{'url': 'https://h/', 'ca_file': '/no/such/file'}", "/no/such/file");
}
