/* The poller against a server that answers as it is told to, with queues that no worker stands behind. */
#include "admin_testing.h"
#include "patience.h"
#include <arpa/inet.h>
#include <base/memory.h>
#include <management/poller.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOUND   "{\"rabbitmq_version\":\"3.10.8\"}"
#define FIGURES "{\"messages_ready\":7,\"messages_unacknowledged\":2,\"consumers\":3}"

/* What it answers with, and what it was asked. */
static struct {
    int listening;
    unsigned port;
    pthread_t thread;
    pthread_mutex_t lock;
    int status; /* 0: it takes requests and does not answer */
    const char *overview;
    const char *queue;
    char asked[8192]; /* the last request */
} server = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct management_poller *poller;

/* To what was asked last; false: it is told to be silent. */
static bool answer(int descriptor)
{
    char reply[1024];
    pthread_mutex_lock(&server.lock);
    const char *body = strstr(server.asked, "/api/overview") != NULL ? server.overview : server.queue;
    int status = server.status != 0 && strstr(server.asked, "/emails") != NULL ? 404 : server.status;
    pthread_mutex_unlock(&server.lock);
    if (status == 0)
        return false;
    int length = snprintf(reply, sizeof reply,
                          "HTTP/1.1 %d Whatever\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                          status, strlen(body), body);
    cr_assert_eq(write(descriptor, reply, (size_t)length), length);
    return true;
}

static void *serve(void *arg)
{
    int held = -1;
    (void)arg;
    for (;;) {
        int descriptor = accept4(server.listening, NULL, NULL, SOCK_CLOEXEC);
        if (descriptor < 0)
            break;
        char request[8192];
        ssize_t count = read(descriptor, request, sizeof request - 1);
        request[count > 0 ? count : 0] = '\0';
        pthread_mutex_lock(&server.lock);
        memcpy(server.asked, request, sizeof request);
        pthread_mutex_unlock(&server.lock);
        if (answer(descriptor)) {
            close(descriptor);
            continue;
        }
        if (held >= 0)
            close(held);
        held = descriptor;
    }
    if (held >= 0)
        close(held);
    return NULL;
}

static void open_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    server.listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(server.listening, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(getsockname(server.listening, (struct sockaddr *)&address, &size), 0);
    cr_assert_eq(listen(server.listening, 16), 0);
    server.port = ntohs(address.sin_port);
    pthread_create(&server.thread, NULL, serve, NULL);
}

static void begin(void)
{
    registry_open();
    server.status = 200;
    server.overview = SOUND;
    server.queue = FIGURES;
    open_server();
}

static void end(void)
{
    management_poller_stop(poller);
    shutdown(server.listening, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.listening);
    registry_close();
}

TestSuite(poller, .init = begin, .fini = end, .timeout = 90);

static struct management_access access_with(const char *credentials)
{
    static char url[100];
    snprintf(url, sizeof url, "http://%s127.0.0.1:%u", credentials, server.port);
    return (struct management_access){
        .url = url, .user = "guest", .password = "secret", .vhost = "/orders & co"};
}

static void start(const char *credentials)
{
    struct whippet_failure failure;
    struct management_access access = access_with(credentials);
    poller = management_poller_start(&access, 0.05, &stats, &failure);
    cr_assert_not_null(poller, "%s", failure.text);
}

static void change(const struct management_access *access, double interval)
{
    struct whippet_failure failure;
    cr_assert_eq(management_poller_change(poller, access, interval, &failure), 0);
}

/* What the stats say is wrong; valid until the next call. */
static const char *error_now(void)
{
    static char text[SHARED_TEXT_SIZE];
    shared_text_get(&stats.management.error, text);
    return text;
}

static void await_error(const char *text)
{
    double deadline = patience_deadline(20);
    while (strstr(error_now(), text) == NULL || stats.management.up) { /* which are not changed at once */
        cr_assert(patience_now() < deadline, "no \"%s\" in \"%s\"", text, error_now());
        patience_pause();
    }
    cr_assert_null(strstr(error_now(), "secret"));
}

static void await_known(struct queue_stats *queue, bool known)
{
    double deadline = patience_deadline(20);
    while (queue->broker.known != known) {
        cr_assert(patience_now() < deadline, "%s", error_now());
        patience_pause();
    }
}

static void set(int status, const char *overview, const char *queue)
{
    pthread_mutex_lock(&server.lock);
    server.status = status;
    server.overview = overview;
    server.queue = queue;
    pthread_mutex_unlock(&server.lock);
}

Test(poller, writes_down_what_the_api_says_of_each_queue)
{
    start("");
    await_known(&orders, true);
    cr_assert_eq(orders.broker.ready, 7);
    cr_assert_eq(orders.broker.unacknowledged, 2);
    cr_assert_eq(orders.broker.consumers, 3);
    cr_assert_not(emails.broker.known, "there is no such queue");
    double deadline = patience_deadline(20);
    while (!stats.management.up && patience_now() < deadline)
        patience_pause();
    cr_assert_str_eq(error_now(), "", "a queue that is not there is no error");
}

/* The request that the server got last with `text` in it. */
static void await_asked(const char *text)
{
    double deadline = patience_deadline(20);
    bool found = false;
    while (!found) {
        pthread_mutex_lock(&server.lock);
        found = strstr(server.asked, text) != NULL;
        cr_assert(found || patience_now() < deadline, "no \"%s\" in \"%s\"", text, server.asked);
        pthread_mutex_unlock(&server.lock);
        patience_pause();
    }
}

Test(poller, asks_for_names_as_they_are_and_as_the_user_that_it_was_given)
{
    start("");
    await_asked("GET /api/queues/%2Forders%20%26%20co/orders?columns=");
    await_asked("Authorization: Basic Z3Vlc3Q6c2VjcmV0\r\n");
}

Test(poller, asks_as_the_user_of_the_url_where_that_names_one)
{
    start("a:b@");
    await_asked("Authorization: Basic YTpi\r\n");
    char where[SHARED_TEXT_SIZE];
    shared_text_get(&stats.management.where, where);
    cr_assert_eq(strncmp(where, "http://127.0.0.1:", 17), 0, "%s", where);
}

Test(poller, says_that_the_broker_has_no_management_plugin)
{
    set(404, "", "");
    start("");
    await_error("rabbitmq-plugins enable rabbitmq_management");
}

Test(poller, says_that_the_user_may_not_ask)
{
    set(401, "{\"error\":\"not_authorised\"}", "");
    start("");
    await_error("rabbitmqctl set_user_tags");
}

Test(poller, says_that_the_broker_is_too_old)
{
    set(200, "{\"rabbitmq_version\":\"3.6.16\"}", FIGURES);
    start("");
    await_error("RabbitMQ 3.6.16 at http://127.0.0.1:");
    cr_assert_not(orders.broker.known);
}

Test(poller, says_that_figures_are_switched_off)
{
    set(200, "{\"rabbitmq_version\":\"4.1.0\",\"disable_stats\":true}", FIGURES);
    start("");
    await_error("management_agent.disable_metrics_collector");
}

Test(poller, says_that_something_else_answers)
{
    set(200, "<html>hello</html>", "");
    start("");
    await_error("is no JSON");
    set(200, "{\"hello\":1}", "");
    await_error("does not say which RabbitMQ it is");
}

Test(poller, knows_nothing_of_a_queue_that_has_no_figures_yet)
{
    set(200, SOUND, "{\"consumers\":1}");
    start("");
    await_asked("/orders?columns=");
    cr_assert_not(orders.broker.known);
}

Test(poller, forgets_figures_when_the_api_fails_and_has_them_again_when_it_answers)
{
    start("");
    await_known(&orders, true);
    set(500, "", "");
    await_known(&orders, false);
    await_error("answers with status 500");
    set(200, SOUND, FIGURES);
    await_known(&orders, true);
}

Test(poller, ends_soon_while_it_waits_for_an_answer)
{
    set(0, "", "");
    start("");
    await_asked("/api/overview");
    double started = patience_now();
    management_poller_stop(poller);
    poller = NULL;
    cr_assert_lt(patience_now() - started, patience_stretched(5), "it waited for an answer");
}

Test(poller, asks_of_another_virtual_host_and_as_another_user_when_it_is_told_to)
{
    struct management_access access = access_with("");
    start("");
    await_asked("GET /api/queues/%2Forders%20%26%20co/orders?columns=");
    access.vhost = "other";
    change(&access, 0.05);
    await_asked("GET /api/queues/other/orders?columns=");
    await_asked("Authorization: Basic Z3Vlc3Q6c2VjcmV0\r\n");
    access.password = "hidden";
    change(&access, 0.05);
    await_asked("Authorization: Basic Z3Vlc3Q6aGlkZGVu\r\n");
    await_known(&orders, true);
}

Test(poller, is_told_so_while_it_waits_for_an_answer_or_for_the_next_round)
{
    struct management_access access = access_with("");
    set(0, "", "");
    start("");
    await_asked("/api/overview");
    set(200, SOUND, FIGURES);
    access.vhost = "other";
    change(&access, 3600);
    await_asked("GET /api/queues/other/");
    await_known(&orders, true);
    access.vhost = "third";
    change(&access, 3600);
    await_asked("GET /api/queues/third/");
}

Test(poller, forgets_everything_when_there_is_nothing_to_ask_any_more)
{
    struct management_access access = access_with("");
    start("");
    await_known(&orders, true);
    access.url = NULL;
    change(&access, 0.05);
    await_known(&orders, false);
    await(20, !stats.management.asked, "the end of asking");
    access = access_with("");
    change(&access, 0.05);
    await_known(&orders, true);
    cr_assert(stats.management.asked);
}

Test(poller, keeps_what_it_knows_where_nothing_changes)
{
    struct management_access access = access_with("");
    start("");
    await_known(&orders, true);
    set(0, "", "");
    change(&access, 0.05);
    patience_pause();
    cr_assert(orders.broker.known);
}

static pthread_t denied; /* alone: libcurl, on the other threads, is not made for it */

static bool permit_others(size_t size)
{
    (void)size;
    return !pthread_equal(pthread_self(), denied);
}

Test(poller, goes_on_as_it_was_when_memory_is_short)
{
    struct whippet_failure failure;
    struct management_access access = access_with("");
    start("");
    await_known(&orders, true);
    access.vhost = "other";
    denied = pthread_self();
    memory_permit = permit_others;
    cr_assert_eq(management_poller_change(poller, &access, 0.05, &failure), WHIPPET_E_MEMORY);
    memory_permit = NULL;
    await_asked("GET /api/queues/%2Forders%20%26%20co/orders?columns=");
}
