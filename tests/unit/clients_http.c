/* whippet_http against a real server (libmicrohttpd), and against some that are none. */
#include <async/loop.h>
#include <async/task.h>
#include <base/bytes.h>
#include <base/memory.h>
#include <certificate.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
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
        web_stall(exchange, 0.2);
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

static int count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

/* --- What is sent and what comes ------------------------------------------------------------------------*/

Test(http, gets_a_page)
{
    struct call *call = ask("/page");
    cr_assert_eq(call->error, 0, "%s", call->words);
    cr_assert_eq(call->status, 200);
    cr_assert_str_eq(call->body, "fine");
    cr_assert_str_eq(call->words, "");
    cr_assert_str_eq(seen, "GET /page|User-Agent: whippet|");
}

Test(http, posts_a_body_with_headers_and_credentials)
{
    static const whippet_http_header headers[] = {
        {"Content-Type", "application/json"}, {"X-One", "1"}, {"X-Two", NULL}, {"User-Agent", "me"}};
    struct call call = {.request = {.headers = headers,
                                    .header_count = 4,
                                    .body = bytes_of_text("{\"a\": 1}"),
                                    .user = "ada",
                                    .password = "s3cret"}};
    run_call(&call, "/post");
    cr_assert_eq(call.error, 0, "%s", call.words);
    cr_assert_str_eq(seen, "POST /post|Content-Type: application/json|Authorization: Basic YWRhOnMzY3JldA==|"
                           "X-One: 1|User-Agent: me|{\"a\": 1}");
}

Test(http, sends_an_empty_body_and_no_content_type_of_its_own)
{
    struct call call = {.request = {.body = bytes_of_text("")}};
    run_call(&call, "/empty");
    cr_assert_eq(call.error, 0, "%s", call.words);
    cr_assert_str_eq(seen, "POST /empty|User-Agent: whippet|");
}

Test(http, sends_two_megabytes_at_once)
{
    static char body[2000000];
    memset(body, 'b', sizeof body);
    struct call call = {.request = {.method = "PUT", .body = bytes_of(body, sizeof body)}};
    run_call(&call, "/large");
    cr_assert_eq(call.error, 0, "%s", call.words);
    assert_has(seen, "PUT /large|User-Agent: whippet|bbb");
}

static void assert_method(const char *method, const char *noted)
{
    struct call call = {.request = {.method = method}};
    run_call(&call, "/method");
    cr_assert_eq(call.error, 0, "%s: %s", method, call.words);
    cr_assert_str_eq(seen, noted);
}

Test(http, speaks_other_methods_with_and_without_a_body)
{
    assert_method("DELETE", "DELETE /method|User-Agent: whippet|");
    assert_method("PATCH", "PATCH /method|User-Agent: whippet|");
    assert_method("HEAD", "HEAD /method|User-Agent: whippet|");
}

Test(http, takes_any_status_for_a_response)
{
    static const int STATUSES[] = {204, 404, 429, 500, 503};
    for (size_t i = 0; i < sizeof STATUSES / sizeof STATUSES[0]; i++) {
        char path[32];
        snprintf(path, sizeof path, "/status/%d", STATUSES[i]);
        struct call *call = ask(path);
        cr_assert_eq(call->error, 0, "%s", call->words);
        cr_assert_eq(call->status, STATUSES[i], "status %d", call->status);
    }
}

Test(http, finds_a_header_whatever_its_case)
{
    struct call *call = ask("/headers");
    cr_assert_eq(call->error, 0, "%s", call->words);
    cr_assert_str_eq(call->field, "some value");
}

Test(http, uses_a_connection_again)
{
    for (int i = 0; i < 3; i++)
        cr_assert_eq(ask("/page")->error, 0);
    cr_assert_eq(clients[1], clients[2]);
    cr_assert_eq(clients[2], clients[3]);
}

/* libcurl's handles are used again, too. */
Test(http, keeps_nothing_of_a_request_for_the_next)
{
    static const whippet_http_header headers[] = {{"Content-Type", "a/b"}, {"X-One", "1"}};
    struct call call = {.request = {.method = "PUT",
                                    .headers = headers,
                                    .header_count = 2,
                                    .body = bytes_of_text("secret body"),
                                    .user = "ada",
                                    .password = "s3cret",
                                    .redirects = 3,
                                    .body_limit = 10}};
    run_call(&call, "/first");
    cr_assert_eq(call.error, 0, "%s", call.words);
    cr_assert_eq(ask("/second")->error, 0);
    cr_assert_str_eq(seen, "GET /second|User-Agent: whippet|");
    cr_assert_eq(ask("/redirect/1")->status, 302);
    cr_assert_eq(ask("/headers")->error, 0);
}

Test(http, asks_many_at_the_same_time)
{
    static struct call calls[20];
    for (int i = 0; i < 20; i++) {
        aim(&calls[i], "http", web_server_port(server), "/late");
        start_task(call_http, &calls[i], INFINITY);
    }
    double began = patience_now();
    run_tasks();
    for (int i = 0; i < 20; i++)
        cr_assert_eq(calls[i].error, 0, "%s", calls[i].words);
    cr_assert_lt(patience_now() - began, 20 * 0.2, "they were asked one after the other");
}

static int sleep_long(whippet_task *task, void *arg)
{
    (void)arg;
    return whippet_sleep(task, 1000);
}

Test(http, keeps_no_connection_open_for_long)
{
    cr_assert_eq(ask("/page")->error, 0);
    int before = count_descriptors();
    loop_set_leaping(loop, true);
    start_task(sleep_long, NULL, INFINITY);
    run_tasks();
    cr_assert_lt(count_descriptors(), before);
    cr_assert_eq(ask("/page")->error, 0);
}

/* --- Redirects ------------------------------------------------------------------------------------------*/

Test(http, takes_a_redirect_for_a_response_by_default)
{
    struct call *call = ask("/redirect/1");
    cr_assert_eq(call->error, 0, "%s", call->words);
    cr_assert_eq(call->status, 302);
}

Test(http, follows_redirects_with_method_and_body_when_told_so)
{
    struct call call = {.request = {.redirects = 3, .body = bytes_of_text("data")}};
    run_call(&call, "/redirect/3");
    cr_assert_eq(call.error, 0, "%s", call.words);
    cr_assert_eq(call.status, 200);
    cr_assert_str_eq(seen, "POST /end|User-Agent: whippet|data");
}

Test(http, follows_no_more_redirects_than_it_is_told)
{
    struct call call = {.request = {.redirects = 2}};
    run_call(&call, "/redirect/3");
    cr_assert_eq(call.error, WHIPPET_E_LIMIT);
    assert_has(call.words, "redirects");
}

/* --- Time -----------------------------------------------------------------------------------------------*/

Test(http, gives_up_after_its_own_timeout_and_the_task_goes_on)
{
    struct call call = {.request = {.timeout = 0.1}};
    run_call(&call, "/never");
    cr_assert_eq(call.error, WHIPPET_E_TIMEOUT);
    assert_has(call.words, "/never: no whole response in time");
    call.request.timeout = 0;
    call.request.url = NULL;
    run_call(&call, "/page");
    cr_assert_eq(call.error, 0, "%s", call.words);
}

Test(http, ends_at_the_tasks_deadline)
{
    struct call call = {0};
    aim(&call, "http", web_server_port(server), "/never");
    start_task(call_http, &call, 0.1);
    run_tasks();
    cr_assert_eq(call.error, WHIPPET_E_TIMEOUT);
}

Test(http, is_not_fooled_by_a_server_that_sends_a_little_now_and_then)
{
    struct call call = {.request = {.timeout = 0.3}};
    run_call(&call, "/trickle");
    cr_assert_eq(call.error, WHIPPET_E_TIMEOUT, "%s", call.words);
}

static int cancel_soon(whippet_task *task, void *arg)
{
    whippet_task *child = whippet_spawn(task, call_http, arg);
    whippet_sleep(task, 0.1);
    whippet_cancel(child);
    return whippet_join(task, child, NULL);
}

Test(http, is_cancelled_and_hangs_up)
{
    struct call call = {0};
    cr_assert_eq(ask("/page")->error, 0); /* what libcurl opens once is open */
    int before = count_descriptors();
    aim(&call, "http", web_server_port(server), "/never");
    start_task(cancel_soon, &call, INFINITY);
    run_tasks();
    cr_assert_eq(call.error, WHIPPET_E_CANCELLED);
    assert_has(call.words, "cancelled");
    cr_assert_leq(count_descriptors(), before);
}

static int cancel_at_once(whippet_task *task, void *arg)
{
    whippet_task *child = whippet_spawn(task, call_http, arg);
    whippet_sleep(task, 0);
    whippet_cancel(child);
    return whippet_join(task, child, NULL);
}

Test(http, is_cancelled_before_it_has_begun)
{
    struct call call = {0};
    cr_assert_eq(ask("/page")->error, 0); /* libcurl is loaded */
    aim(&call, "http", web_server_port(server), "/page");
    start_task(cancel_at_once, &call, INFINITY);
    run_tasks();
    cr_assert_eq(call.error, WHIPPET_E_CANCELLED);
    cr_assert_eq(web_server_requests(server), 1, "it was sent");
}

Test(http, can_be_cancelled_while_libcurl_is_loaded)
{
    struct call call = {0};
    aim(&call, "http", web_server_port(server), "/page");
    start_task(cancel_at_once, &call, INFINITY);
    run_tasks();
    cr_assert_eq(call.error, WHIPPET_E_CANCELLED);
    cr_assert_eq(ask("/page")->error, 0);
}

Test(http, gives_up_on_a_connection_that_does_not_come_about)
{
    struct call call = {.request = {.connect_timeout = 0.1}};
    aim(&call, "https", raw_server_start(NULL), "/");
    run_call(&call, NULL);
    cr_assert_eq(call.error, WHIPPET_E_TIMEOUT, "%s", call.words);
    assert_has(call.words, "https://127.0.0.1:");
}

/* --- Servers that are none, or bad ones -----------------------------------------------------------------*/

static struct call *ask_raw(const char *bytes)
{
    static struct call call;
    call = (struct call){0};
    aim(&call, "http", raw_server_start(bytes), "/");
    return run_call(&call, NULL);
}

Test(http, says_that_nobody_listens)
{
    struct call call = {0};
    aim(&call, "http", unused_port(), "/");
    run_call(&call, NULL);
    cr_assert_eq(call.error, WHIPPET_E_REFUSED, "%s", call.words);
    assert_has(call.words, "GET http://127.0.0.1:");
    assert_has(call.words, "Failed to connect");
}

Test(http, says_that_a_name_is_not_known)
{
    struct call call = {.request = {.url = "http://no-such-host.invalid/", .connect_timeout = 100}};
    run_call(&call, NULL);
    cr_assert_eq(call.error, WHIPPET_E_UNAVAILABLE, "%s", call.words);
    assert_has(call.words, "no-such-host.invalid");
}

Test(http, says_that_it_was_answered_with_something_else)
{
    struct call *call = ask_raw("SSH-2.0-OpenSSH_9.2\r\n");
    cr_assert_eq(call->error, WHIPPET_E_PROTOCOL, "%s", call->words);
    cr_assert_eq(call->status, 0);
}

Test(http, says_that_the_connection_ended_before_an_answer)
{
    struct call *call = ask_raw("");
    cr_assert_eq(call->error, WHIPPET_E_CLOSED, "%s", call->words);
}

Test(http, says_that_the_connection_ended_within_the_answer)
{
    struct call *call = ask("/half");
    cr_assert_eq(call->error, WHIPPET_E_CLOSED, "%s", call->words);
    cr_assert_eq(call->status, 200);
    cr_assert_eq(ask_raw("HTTP/1.1 200 OK\r\nContent-Le")->error, WHIPPET_E_CLOSED);
}

Test(http, does_not_read_a_gigabyte)
{
    struct call *call = ask("/gigabyte");
    cr_assert_eq(call->error, WHIPPET_E_LIMIT, "%s", call->words);
    cr_assert_eq(call->status, 200);
    assert_has(call->words, "larger than 1048576 bytes");
}

Test(http, does_not_read_for_ever_where_no_length_is_told)
{
    struct call call = {.request = {.body_limit = 100000}};
    run_call(&call, "/endless");
    cr_assert_eq(call.error, WHIPPET_E_LIMIT, "%s", call.words);
    assert_has(call.words, "larger than 100000 bytes");
}

Test(http, takes_a_response_that_just_fits)
{
    struct call call = {.request = {.body_limit = 4}};
    cr_assert_eq(run_call(&call, "/page")->error, 0, "%s", call.words);
    cr_assert_str_eq(call.body, "fine");
    call.request.body_limit = 3;
    cr_assert_eq(run_call(&call, "/page")->error, WHIPPET_E_LIMIT, "%s", call.words);
}

Test(http, does_not_read_endless_headers)
{
    struct call call = {.request = {.header_limit = 10000}};
    run_call(&call, "/headers");
    cr_assert_eq(call.error, WHIPPET_E_LIMIT, "%s", call.words);
    assert_has(call.words, "headers are larger than 10000 bytes");
}

/* --- What can't be sent ---------------------------------------------------------------------------------*/

static void assert_invalid(const whippet_http_request *request, const char *words)
{
    struct whippet_failure failure = {0};
    struct call call = {.request = *request};
    run_call(&call, "/");
    cr_assert_eq(call.error, WHIPPET_E_INVALID, "%d: %s", call.error, call.words);
    assert_has(call.words, words);
    whippet_http_request checked = call.request;
    cr_assert_eq(whippet_http_check(&checked, &failure), WHIPPET_E_INVALID);
    assert_has(failure.text, words);
}

Test(http, refuses_to_smuggle_a_header)
{
    static const whippet_http_header line_break = {"X-One", "a\r\nX-Two: b"}, name = {"X One", "a"};
    assert_invalid(&(whippet_http_request){.headers = &line_break, .header_count = 1}, "control characters");
    assert_invalid(&(whippet_http_request){.headers = &name, .header_count = 1}, "\"X One\"");
    assert_invalid(&(whippet_http_request){.method = "GET /x HTTP/1.1\r\n"}, "no HTTP method");
}

static void assert_bad_url(const char *url, const char *words)
{
    struct whippet_failure failure = {0};
    whippet_http_request request = {.url = url};
    struct call call = {.request = request};
    cr_assert_eq(whippet_http_check(&request, &failure), WHIPPET_E_INVALID);
    assert_has(failure.text, words);
    run_call(&call, NULL);
    cr_assert(call.error == WHIPPET_E_INVALID || call.error == WHIPPET_E_PROTOCOL, "%d: %s", call.error,
              call.words);
}

Test(http, takes_urls_of_web_servers_only)
{
    assert_bad_url("file:///etc/passwd", "expected http:// or https://");
    assert_bad_url("ftp://host/", "expected http:// or https://");
    assert_bad_url("http://", "is no URL");
    assert_bad_url("http://host:port/", "is no URL");
}

Test(http, checks_for_libcurl_alone)
{
    struct whippet_failure failure = {0};
    cr_assert_eq(whippet_http_check(NULL, &failure), 0, "%s", failure.text);
}

Test(http, checks_the_ca_file)
{
    struct whippet_failure failure = {0};
    whippet_http_request request = {.url = "https://host/", .ca_file = "/no/such/file"};
    cr_assert_neq(whippet_http_check(&request, &failure), 0);
    assert_has(failure.text, "/no/such/file");
}

Test(http, shows_no_secrets_of_the_url)
{
    struct call call = {.request = {.url = "http://ada:s3cret@127.0.0.1:1/path?token=t0ken#f"}};
    run_call(&call, NULL);
    cr_assert_neq(call.error, 0);
    assert_has(call.words, "GET http://127.0.0.1:1/path: ");
    cr_assert_null(strstr(call.words, "s3cret"));
    cr_assert_null(strstr(call.words, "t0ken"));
}

/* --- TLS ------------------------------------------------------------------------------------------------*/

static char folder[] = "/tmp/whippet-http-XXXXXX";
static char ca_file[64], certificate_file[64], key_file[64];

/* A server whose certificate is for `names`, from `begins` to `ends`, signed by the CA in ca_file. */
static struct web_server *start_tls(const char *names, long begins, long ends)
{
    cr_assert_not_null(mkdtemp(folder));
    sprintf(ca_file, "%s/ca.pem", folder);
    sprintf(certificate_file, "%s/certificate.pem", folder);
    sprintf(key_file, "%s/key.pem", folder);
    struct certificate authority = certificate_authority("CA of the test");
    struct certificate certificate = certificate_issue(&authority, names, begins, ends);
    certificate_write(&authority, ca_file);
    certificate_write(&certificate, certificate_file);
    certificate_write_key(&certificate, key_file, NULL);
    certificate_destroy(&authority);
    certificate_destroy(&certificate);
    return web_server_start(handle, NULL, certificate_file, key_file);
}

static void stop_tls(struct web_server *tls_server)
{
    web_server_stop(tls_server);
    unlink(ca_file);
    unlink(certificate_file);
    unlink(key_file);
    rmdir(folder);
}

static const long DAY = 86400;

Test(http, trusts_the_ca_it_is_given)
{
    struct web_server *tls_server = start_tls("IP:127.0.0.1", -DAY, DAY);
    struct call call = {.request = {.ca_file = ca_file}};
    aim(&call, "https", web_server_port(tls_server), "/page");
    for (int i = 0; i < 2; i++) {
        run_call(&call, NULL);
        cr_assert_eq(call.error, 0, "%s", call.words);
        cr_assert_str_eq(call.body, "fine");
    }
    stop_tls(tls_server);
}

static void assert_untrusted(const char *names, long begins, long ends, bool has_ca, const char *words)
{
    struct web_server *tls_server = start_tls(names, begins, ends);
    struct call call = {.request = {.ca_file = has_ca ? ca_file : NULL}};
    aim(&call, "https", web_server_port(tls_server), "/page");
    run_call(&call, NULL);
    cr_assert_eq(call.error, WHIPPET_E_REFUSED, "%s", call.words);
    assert_has(call.words, words);
    stop_tls(tls_server);
}

Test(http, does_not_trust_a_strangers_certificate)
{
    assert_untrusted("IP:127.0.0.1", -DAY, DAY, false, "unable to get local issuer certificate");
}

Test(http, does_not_trust_a_certificate_for_another_name)
{
    assert_untrusted("DNS:elsewhere.example", -DAY, DAY, true, "127.0.0.1");
}

Test(http, does_not_trust_an_expired_certificate)
{
    assert_untrusted("IP:127.0.0.1", -2 * DAY, -DAY, true, "expired");
}

Test(http, says_that_tls_is_not_spoken)
{
    struct call call = {0};
    aim(&call, "https", web_server_port(server), "/page");
    run_call(&call, NULL);
    cr_assert_eq(call.error, WHIPPET_E_PROTOCOL, "%s", call.words);
}

/* --- Memory ---------------------------------------------------------------------------------------------*/

static size_t allocations_left;
static bool denied;

static bool permit_some(size_t size)
{
    (void)size;
    denied = denied || allocations_left == 0;
    return allocations_left > 0 && allocations_left-- > 0;
}

static bool permit_but_one(size_t size)
{
    (void)size;
    bool denies = !denied && allocations_left == 0;
    denied = denied || denies;
    allocations_left -= allocations_left > 0 ? 1 : 0;
    return !denies;
}

/* Each allocation on the way fails in turn, libcurl's too: an error comes, or it is done without. */
static void starve(bool (*permit)(size_t size), const char *path)
{
    cr_assert_eq(ask(path)->error, 0);
    denied = true;
    for (size_t n = 0; denied; n++) {
        struct call call = {.request = {.timeout = 20, .body = bytes_of_text("body")}};
        aim(&call, "http", web_server_port(server), path);
        loop_destroy(loop);
        struct whippet_failure failure;
        loop = loop_create(64 * 1024, &failure);
        start_task(call_http, &call, INFINITY);
        denied = false;
        allocations_left = n;
        memory_permit = permit;
        run_tasks();
        memory_permit = NULL;
        cr_assert_lt(n, 5000, "it never has enough");
        cr_assert(call.ended);
        cr_assert(call.error == 0 || call.error == WHIPPET_E_MEMORY || call.words[0] != '\0',
                  "allocation %zu: %d", n, call.error);
        cr_assert_neq(call.error, WHIPPET_E_TIMEOUT, "allocation %zu: %s", n, call.words);
    }
    cr_assert_eq(ask(path)->error, 0);
}

Test(http, survives_any_allocation_that_fails)
{
    starve(permit_but_one, "/page");
}

Test(http, survives_the_end_of_memory_at_any_moment)
{
    starve(permit_some, "/page");
}
