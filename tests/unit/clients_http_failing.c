/* whippet_http where servers are late, bad or not to be trusted, and where nothing can be sent. */
#include "clients_http_testing.h"

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
    unsigned before = open_descriptors();
    aim(&call, "http", web_server_port(server), "/never");
    start_task(cancel_soon, &call, INFINITY);
    run_tasks();
    cr_assert_eq(call.error, WHIPPET_E_CANCELLED);
    assert_has(call.words, "cancelled");
    cr_assert_leq(open_descriptors(), before);
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

/* Of which libcurl says that memory is short. */
Test(http, does_not_read_a_header_that_is_endless)
{
    static char response[200000] = "HTTP/1.1 200 OK\r\nX-Large: ";
    size_t begun = strlen(response);
    memset(response + begun, 'h', sizeof response - begun - 1);
    struct call *call = ask_raw(response);
    cr_assert_eq(call->error, WHIPPET_E_LIMIT, "%s", call->words);
    cr_assert_eq(call->status, 200);
    assert_has(call->words, "headers are larger than");
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
static const double AMPLE = 100; /* seconds: reading all authorities' certificates takes Valgrind a dozen */

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
    struct call call = {.request = {.ca_file = has_ca ? ca_file : NULL, .connect_timeout = AMPLE}};
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
    struct call call = {.request = {.connect_timeout = AMPLE}};
    aim(&call, "https", web_server_port(server), "/page");
    run_call(&call, NULL);
    cr_assert_eq(call.error, WHIPPET_E_PROTOCOL, "%s", call.words);
}
