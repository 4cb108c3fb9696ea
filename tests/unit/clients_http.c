/* whippet_http against a real server (libmicrohttpd), and against some that are none. */
#include "clients_http_testing.h"
#include <under_valgrind.h>

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
    skip_under_valgrind("it measures a time, and Valgrind takes thirty times that");
    static struct call calls[20];
    for (int i = 0; i < 20; i++) {
        aim(&calls[i], "http", web_server_port(server), "/late");
        start_task(call_http, &calls[i], INFINITY);
    }
    double began = patience_now();
    run_tasks();
    for (int i = 0; i < 20; i++)
        cr_assert_eq(calls[i].error, 0, "%s", calls[i].words);
    cr_assert_lt(patience_now() - began, 20 * patience_stretched(LATE),
                 "they were asked one after the other");
}

static int sleep_long(whippet_task *task, void *arg)
{
    (void)arg;
    return whippet_sleep(task, 1000);
}

Test(http, keeps_no_connection_open_for_long)
{
    cr_assert_eq(ask("/page")->error, 0);
    unsigned before = open_descriptors();
    loop_set_leaping(loop, true);
    start_task(sleep_long, NULL, INFINITY);
    run_tasks();
    cr_assert_lt(open_descriptors(), before);
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
