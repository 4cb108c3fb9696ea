/* The admin port over real sockets, with a registry that no worker stands behind. */
#include "../../src/admin/authority.h"
#include "../../src/admin/visitors.h"
#include "admin_testing.h"
#include "http.h"
#include "patience.h"
#include "under_valgrind.h"
#include <admin/admin.h>
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct admin *admin;

static void begin(void)
{
    struct whippet_failure failure;
    const struct admin_options options = {.host = "127.0.0.1", .commit = "abcdef", .stats = &stats};
    registry_open();
    admin = admin_start(&options, &failure);
    cr_assert_not_null(admin, "%s", failure.text);
}

static void end(void)
{
    admin_stop(admin);
    registry_close();
}

TestSuite(admin, .init = begin, .fini = end, .timeout = 60);

static void assert_status(const char *method, const char *path, const char *headers, int expected)
{
    struct http_reply reply = http_request(admin_port(admin), method, path, headers);
    cr_assert_eq(reply.status, expected, "%s %.60s: %d\n%s", method, path, reply.status, reply.text);
    http_free(&reply);
}

/* 0 when there is none. */
static int status_of(const char *method, const char *path)
{
    struct http_reply reply = http_request(admin_port(admin), method, path, "");
    int status = reply.status;
    http_free(&reply);
    return status;
}

Test(admin, answers_at_every_path_there_is)
{
    static const char *const PATHS[] = {"/",        "/dashboard/main.js", "/livez",      "/readyz",
                                        "/metrics", "/api/status",        "/api/history"};
    for (size_t i = 0; i < sizeof PATHS / sizeof PATHS[0]; i++)
        assert_status("GET", PATHS[i], "", 200);
}

Test(admin, says_what_it_takes_where_the_number_of_tasks_is_none)
{
    static const char *const NUMBERS[] = {"", "ten", "-1", "1x", "99999999999999999999"};
    char path[64];
    assert_status("GET", "/api/status?tasks=0", "", 200);
    assert_status("GET", "/api/status?tasks=100&more=1", "", 200);
    for (size_t i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; i++) {
        snprintf(path, sizeof path, "/api/status?tasks=%s", NUMBERS[i]);
        assert_status("GET", path, "", 400);
    }
    assert_status("GET", "/api/status?tasks", "", 200);
}

Test(admin, answers_head_without_a_body)
{
    struct http_reply reply = http_request(admin_port(admin), "HEAD", "/metrics", "");
    cr_assert_eq(reply.status, 200);
    cr_assert_eq(reply.size, 0);
    http_free(&reply);
    assert_status("HEAD", "/api/events", "", 200);
}

Test(admin, says_503_when_something_is_not_ready)
{
    queue_stats_enter(&orders, SUBSCRIPTION_FAILED, 1);
    stats.loop.ticked_at = clock_monotonic() - 1000;
    assert_status("GET", "/readyz", "", 503);
    assert_status("GET", "/livez", "", 503);
}

Test(admin, refuses_what_it_does_not_know)
{
    assert_status("GET", "/nowhere", "", 404);
    assert_status("GET", "/metrics/", "", 404);
    assert_status("GET", "/../etc/passwd", "", 404);
    assert_status("POST", "/nowhere", "Content-Length: 0\r\n", 404);
}

Test(admin, refuses_whatever_might_change_something)
{
    static const char *const METHODS[] = {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"};
    for (size_t i = 0; i < sizeof METHODS / sizeof METHODS[0]; i++) {
        struct http_reply reply = http_request(admin_port(admin), METHODS[i], "/metrics", "");
        cr_assert_eq(reply.status, 405, "%s", reply.text);
        cr_assert(http_says(&reply, "Allow: GET, HEAD\r\n"), "%s", reply.text);
        http_free(&reply);
    }
}

static char *long_text(size_t length)
{
    static char text[40000];
    memset(text, 'a', length);
    text[length] = '\0';
    return text;
}

Test(admin, refuses_what_is_too_large)
{
    char header[40100], path[40100];
    assert_status("GET", "/metrics", "Content-Length: 100000\r\n", 413);
    assert_status("GET", "/metrics", "Transfer-Encoding: chunked\r\n", 413);
    snprintf(header, sizeof header, "X-Long: %s\r\n", long_text(30000));
    assert_status("GET", "/metrics", header, 431);
    snprintf(path, sizeof path, "/%s", long_text(30000));
    assert_status("GET", path, "", 414);
}

Test(admin, cuts_off_what_is_no_http)
{
    int descriptor = http_connect(admin_port(admin), 10);
    http_send(descriptor, "\x16\x03\x01 hello, is this TLS?\r\n\r\n");
    struct http_reply reply = http_read(descriptor);
    cr_assert_neq(reply.status, 200);
    http_free(&reply);
    assert_status("GET", "/livez", "", 200);
}

Test(admin, keeps_a_connection_for_the_next_request)
{
    char text[8192];
    int descriptor = http_connect(admin_port(admin), 10);
    for (int i = 0; i < 3; i++) {
        http_send(descriptor, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
        ssize_t count = recv(descriptor, text, sizeof text - 1, 0);
        cr_assert_gt(count, 0, "the connection ended after %d answers", i);
        text[count] = '\0';
        cr_assert_not_null(strstr(text, "200 OK"));
    }
    close(descriptor);
}

Test(admin, gives_metrics_in_the_format_that_is_asked_for)
{
    struct http_reply reply = http_get(admin_port(admin), "/metrics");
    cr_assert(http_says(&reply, "Content-Type: text/plain; version=0.0.4"));
    http_free(&reply);
    reply = http_request(admin_port(admin), "GET", "/metrics",
                         "Accept: application/openmetrics-text;version=1.0.0\r\n");
    cr_assert(http_says(&reply, "Content-Type: application/openmetrics-text; version=1.0.0"));
    cr_assert(http_says(&reply, "\n# EOF\n"));
    http_free(&reply);
}

/* --- The dashboard --------------------------------------------------------------------------------------*/

Test(admin, serves_the_dashboard_with_a_policy_that_lets_nothing_foreign_in)
{
    struct http_reply reply = http_get(admin_port(admin), "/");
    cr_assert(http_says(&reply, "Content-Type: text/html; charset=utf-8\r\n"));
    cr_assert(http_says(&reply, "Content-Security-Policy: default-src 'none'; script-src 'self'; "));
    cr_assert(http_says(&reply, "X-Content-Type-Options: nosniff\r\n"));
    cr_assert(http_says(&reply, "Cache-Control: no-cache\r\n"));
    cr_assert(http_says(&reply, "<script type=\"module\" src=\"dashboard/main.js\">"));
    http_free(&reply);
}

Test(admin, serves_the_dashboard_compressed_where_that_is_accepted)
{
    struct http_reply plain = http_get(admin_port(admin), "/dashboard/dashboard.css");
    struct http_reply compressed =
        http_request(admin_port(admin), "GET", "/dashboard/dashboard.css", "Accept-Encoding: gzip, br\r\n");
    cr_assert_not(http_says(&plain, "Content-Encoding"));
    cr_assert(http_says(&compressed, "Content-Encoding: gzip\r\n"));
    cr_assert(http_says(&compressed, "Vary: Accept-Encoding\r\n"));
    cr_assert_lt(compressed.size, plain.size / 2);
    http_free(&plain);
    http_free(&compressed);
}

Test(admin, tells_a_client_that_has_the_dashboard_already_that_it_is_the_same)
{
    char header[100];
    struct http_reply reply = http_get(admin_port(admin), "/");
    const char *tag = strstr(reply.text, "ETag: ");
    cr_assert_not_null(tag);
    snprintf(header, sizeof header, "If-None-Match: %.*s\r\n", (int)strcspn(tag + 6, "\r"), tag + 6);
    http_free(&reply);
    reply = http_request(admin_port(admin), "GET", "/", header);
    cr_assert_eq(reply.status, 304, "%s", reply.text);
    cr_assert_eq(reply.size, 0);
    http_free(&reply);
}

/* --- Events ---------------------------------------------------------------------------------------------*/

/* Reads on until the text was seen. */
static void await_event(int descriptor, const char *text)
{
    static char seen[1 << 20];
    size_t length = 0;
    double deadline = patience_deadline(10);
    for (;;) {
        ssize_t count = recv(descriptor, seen + length, sizeof seen - 1 - length, 0);
        cr_assert_gt(count, 0, "the stream ended without \"%s\": %s", text, seen);
        length += (size_t)count;
        seen[length] = '\0';
        if (strstr(seen, text) != NULL)
            return;
        cr_assert(patience_now() < deadline, "no \"%s\" in: %s", text, seen);
    }
}

static int listen_to_events(void)
{
    int descriptor = http_connect(admin_port(admin), 10);
    http_send(descriptor, "GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await_event(descriptor, "event: status\ndata: {");
    return descriptor;
}

Test(admin, sends_the_status_each_second)
{
    double started = patience_now();
    int descriptor = listen_to_events();
    for (int i = 0; i < 2; i++)
        await_event(descriptor, "event: status\ndata: {");
    cr_assert_geq(patience_now() - started, 0.7, "they came too soon");
    close(descriptor);
}

Test(admin, sends_a_change_at_once)
{
    int descriptor = listen_to_events();
    await_event(descriptor, "event: status\ndata: {");
    shared_text_set(&orders.failure, "there is no queue orders");
    queue_stats_enter(&orders, SUBSCRIPTION_FAILED, clock_monotonic());
    await_event(descriptor, "event: change\ndata: {");
    close(descriptor);
}

Test(admin, stops_while_somebody_listens)
{
    int descriptor = listen_to_events();
    admin_stop(admin);
    admin = NULL;
    char byte;
    while (recv(descriptor, &byte, 1, 0) > 0)
        ;
    close(descriptor);
}

static _Atomic bool busy;

/* A look at the loop that takes the admin thread a moment. */
static bool look_long(void *owner, struct loop_blocked *blocked)
{
    (void)owner, (void)blocked;
    busy = true;
    poll(NULL, 0, 200);
    return false;
}

Test(admin, stops_while_somebody_begins_to_listen)
{
    int listener = http_connect(admin_port(admin), 10), other = http_connect(admin_port(admin), 10);
    assert_status("GET", "/livez", "", 200); /* so those that came before are let in */
    stats.look_who_blocks = look_long;
    http_send(other, "GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await(10, busy, "the admin thread at the answer to the other");
    http_send(listener, "GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    admin_stop(admin);
    admin = NULL;
    close(listener);
    close(other);
}

Test(admin, has_connections_left_when_as_many_listen_as_may)
{
    enum {
        MOST = 16
    };
    int listeners[MOST];
    for (int i = 0; i < MOST; i++)
        listeners[i] = listen_to_events();
    struct http_reply reply = http_get(admin_port(admin), "/api/events");
    cr_assert_eq(reply.status, 503, "%s", reply.text);
    cr_assert(http_says(&reply, "Close a dashboard"), "%s", reply.text);
    http_free(&reply);
    assert_status("HEAD", "/api/events", "", 503);
    for (int i = 0; i < 4 * MOST; i++)
        assert_status("GET", "/livez", "", 200);
    close(listeners[0]);
    await(10, status_of("HEAD", "/api/events") == 200, "a place among the listeners");
    for (int i = 1; i < MOST; i++)
        close(listeners[i]);
}

Test(admin, takes_listeners_that_go_away_and_come_back)
{
    for (int i = 0; i < 20; i++)
        close(listen_to_events());
    assert_status("GET", "/livez", "", 200);
}

/* --- By which name ---------------------------------------------------------------------------------------*/

static int status_as(uint16_t port, const char *host)
{
    char request[200];
    int descriptor = http_connect(port, 10);
    snprintf(request, sizeof request, "GET /api/status HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
             host);
    http_send(descriptor, request);
    struct http_reply reply = http_read(descriptor);
    int status = reply.status;
    if (status != 200)
        cr_assert_not(http_says(&reply, "orders"), "%s", reply.text);
    http_free(&reply);
    return status;
}

Test(admin, answers_on_loopback_to_names_that_no_stranger_can_have)
{
    static const char *const OURS[] = {"127.0.0.1",      "127.0.0.1:9464", "localhost", "LOCALHOST:19464",
                                       "127.0.0.2:9464", "[::1]",          "[::1]:80",  "10.1.2.3:9464"};
    static const char *const STRANGERS[] = {"rebound.example",
                                            "rebound.example:9464",
                                            "127.0.0.1.example",
                                            "localhost.example:1",
                                            ":9464",
                                            "[",
                                            "[rebound.example]",
                                            "0x7f.1"};
    for (size_t i = 0; i < sizeof OURS / sizeof OURS[0]; i++)
        cr_expect_eq(status_as(admin_port(admin), OURS[i]), 200, "%s", OURS[i]);
    for (size_t i = 0; i < sizeof STRANGERS / sizeof STRANGERS[0]; i++)
        cr_expect_eq(status_as(admin_port(admin), STRANGERS[i]), 421, "%s", STRANGERS[i]);
}

Test(admin, says_how_to_ask_where_it_does_not_answer_to_a_name)
{
    int descriptor = http_connect(admin_port(admin), 10);
    http_send(descriptor, "GET / HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n");
    struct http_reply reply = http_read(descriptor);
    cr_assert(http_says(&reply, "Ask by address, such as http://127.0.0.1:9464/"), "%s", reply.text);
    http_free(&reply);
}

Test(admin, answers_a_request_without_a_name)
{
    int descriptor = http_connect(admin_port(admin), 10);
    http_send(descriptor, "GET /livez HTTP/1.0\r\n\r\n");
    struct http_reply reply = http_read(descriptor);
    cr_assert(http_says(&reply, " 200 OK"), "%s", reply.text);
    http_free(&reply);
}

static int status_of_another(const char *host, const char *name)
{
    struct whippet_failure failure;
    const struct admin_options options = {.host = host, .commit = "x", .stats = &stats};
    struct admin *other = admin_start(&options, &failure);
    cr_assert_not_null(other, "%s", failure.text);
    int status = status_as(admin_port(other), name);
    admin_stop(other);
    return status;
}

Test(admin, answers_to_any_name_where_it_is_there_for_others)
{
    cr_assert_eq(status_of_another("0.0.0.0", "worker.example:9464"), 200);
    cr_assert_eq(status_of_another("127.0.0.1", "worker.example:9464"), 421);
}

Test(authority, is_the_name_that_is_configured)
{
    cr_assert(authority_is_ours("worker.example:9464", "worker.example"));
    cr_assert_not(authority_is_ours("worker.example.org:9464", "worker.example"));
}

/* --- Limits ---------------------------------------------------------------------------------------------*/

Test(admin, stands_a_thousand_connections_and_answers_when_they_are_gone)
{
    skip_under_valgrind("it takes it half a minute to let a thousand connections go");
    enum {
        MANY = 1000
    };
    static int descriptors[MANY];
    struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(admin_port(admin))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < MANY; i++) {
        descriptors[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(descriptors[i], (struct sockaddr *)&address, sizeof address);
        http_send(descriptors[i], "GET /met");
    }
    for (int i = 0; i < MANY; i++)
        close(descriptors[i]);
    await(10, status_of("GET", "/livez") == 200, "an answer");
}

Test(admin, leaves_room_for_others_when_one_address_takes_all_it_may)
{
    int descriptors[60];
    for (int i = 0; i < 60; i++) {
        descriptors[i] = http_connect(admin_port(admin), 10);
        http_send(descriptors[i], "GET /livez HTTP/1.1\r\n");
    }
    /* Linux answers for all of 127/8: this is another address. */
    struct sockaddr_in from = {.sin_family = AF_INET},
                       to = {.sin_family = AF_INET, .sin_port = htons(admin_port(admin))};
    inet_pton(AF_INET, "127.0.0.2", &from.sin_addr);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int other = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(other, (struct sockaddr *)&from, sizeof from), 0);
    cr_assert_eq(connect(other, (struct sockaddr *)&to, sizeof to), 0);
    http_send(other, "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    struct http_reply reply = http_read(other);
    cr_assert_eq(reply.status, 200);
    http_free(&reply);
    for (int i = 0; i < 60; i++)
        close(descriptors[i]);
}

/* Whether the other side has ended it. */
static bool was_cut(int descriptor)
{
    char byte;
    return recv(descriptor, &byte, 1, MSG_DONTWAIT) == 0;
}

Test(admin, cuts_a_client_that_sends_its_request_a_byte_at_a_time, .timeout = 60)
{
    static const char REQUEST[] =
        "GET /livez HTTP/1.1\r\nX-Very-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    int descriptor = http_connect(admin_port(admin), 10);
    double started = patience_now(), deadline = patience_deadline(25);
    for (size_t i = 0; !was_cut(descriptor); i++) {
        char byte[2] = {REQUEST[i % (sizeof REQUEST - 1)], '\0'};
        cr_assert(patience_now() < deadline, "it still is connected");
        http_send(descriptor, byte);
        poll(NULL, 0, 250);
    }
    cr_assert_geq(patience_now() - started, 5, "that was hasty");
    close(descriptor);
}

Test(visitors, are_cut_by_what_they_make_us_wait_for)
{
    struct list visitors;
    int pairs[3][2];
    struct visitor *visitor[3];
    list_init(&visitors);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
        visitor[i] = visitor_create(&visitors, pairs[i][0], 100);
    }
    visitor_enter(visitor[1], VISITOR_ANSWERED, 100);
    visitor_enter(visitor[2], VISITOR_LISTENING, 100);
    visitors_cut(&visitors, 109);
    cr_assert_not(was_cut(pairs[0][1]));
    visitors_cut(&visitors, 111);
    cr_assert(was_cut(pairs[0][1]), "one that asks for 11 s");
    cr_assert_not(was_cut(pairs[1][1]), "one that is answered has 30 s");
    visitors_cut(&visitors, 131);
    cr_assert(was_cut(pairs[1][1]));
    visitors_cut(&visitors, 100000);
    cr_assert_not(was_cut(pairs[2][1]), "one that listens may do so for ever");
    for (int i = 0; i < 3; i++) {
        visitor_destroy(visitor[i]);
        close(pairs[i][0]);
        close(pairs[i][1]);
    }
}

/* --- Where it listens -----------------------------------------------------------------------------------*/

static void assert_no_start(const char *host, uint16_t port, const char *text)
{
    struct whippet_failure failure;
    const struct admin_options options = {.host = host, .port = port, .commit = "x", .stats = &stats};
    cr_assert_null(admin_start(&options, &failure));
    cr_assert_not_null(strstr(failure.text, text), "%s", failure.text);
}

Test(admin, names_an_address_that_is_taken)
{
    char text[64];
    snprintf(text, sizeof text, "127.0.0.1:%u: Address already in use", admin_port(admin));
    assert_no_start("127.0.0.1", admin_port(admin), text);
}

Test(admin, names_an_address_that_is_not_of_this_machine)
{
    assert_no_start("192.0.2.1", 0, "192.0.2.1:0");
    assert_no_start("no such host", 0, "no such host: ");
}

Test(admin, listens_on_ipv6_too)
{
    struct whippet_failure failure;
    const struct admin_options options = {.host = "::1", .commit = "x", .stats = &stats};
    struct admin *other = admin_start(&options, &failure);
    if (other == NULL && strstr(failure.text, "Cannot assign") != NULL)
        cr_skip("this machine has no ::1");
    cr_assert_not_null(other, "%s", failure.text);
    struct sockaddr_in6 to = {
        .sin6_family = AF_INET6, .sin6_port = htons(admin_port(other)), .sin6_addr = in6addr_loopback};
    int descriptor = socket(AF_INET6, SOCK_STREAM, 0);
    cr_assert_eq(connect(descriptor, (struct sockaddr *)&to, sizeof to), 0);
    http_send(descriptor, "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    struct http_reply reply = http_read(descriptor);
    cr_assert_eq(reply.status, 200);
    http_free(&reply);
    admin_stop(other);
}
