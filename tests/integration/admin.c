/* The admin port of a real worker on a real broker. */
#include "command.h"
#include "http.h"
#include "stage.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

TestSuite(admin, .init = stage_open, .fini = stage_close, .timeout = 120);

static const char *const ANY_PORT = "'admin': {'listen': '127.0.0.1:0'}";

/* The port that the worker says it has. */
static unsigned port_of(struct worker *worker)
{
    worker_await_saying(worker, 10, "admin port at http://127.0.0.1:");
    return worker_number_behind(worker, "admin port at http://127.0.0.1:");
}

static bool says(unsigned port, const char *path, const char *text)
{
    struct http_reply reply = http_get(port, path);
    bool found = http_says(&reply, text);
    http_free(&reply);
    return found;
}

static int status(unsigned port, const char *path)
{
    struct http_reply reply = http_get(port, path);
    int code = reply.status;
    http_free(&reply);
    return code;
}

/* The sample of that queue with those further labels ("" or ",outcome=\"acked\""). */
static double sample(const struct http_reply *metrics, const char *name, const char *queue,
                     const char *processor, const char *labels)
{
    char text[300];

    snprintf(text, sizeof(text), "%s{queue=\"%s\",processor=\"%s\"%s} ", name, queue, processor, labels);
    return http_sample(metrics, text);
}

static double sample_now(unsigned port, const char *name, const char *queue, const char *processor,
                         const char *labels)
{
    struct http_reply reply = http_get(port, "/metrics");
    double value = sample(&reply, name, queue, processor, labels);
    http_free(&reply);
    return value;
}

static double lag(unsigned port)
{
    struct http_reply reply = http_get(port, "/metrics");
    double value = http_sample(&reply, "whippet_loop_lag_seconds ");
    http_free(&reply);
    return value;
}

Test(admin, is_ready_once_every_queue_is_consumed)
{
    const char *queue = stage_name("orders");
    struct worker *worker = worker_start(ANY_PORT, "[{'name': '%s', 'processor': 'counting'}]", queue);
    unsigned port = port_of(worker);

    await(20, status(port, "/readyz") == 200, "a worker that is ready");
    cr_assert_eq(client_consumers(stage_client(), queue), 1, "it said so before it consumed");
    cr_assert_eq(status(port, "/livez"), 200);
    worker_stop(worker, 20);
}

Test(admin, tells_what_is_not_ready_and_why_and_lives_without_a_broker)
{
    struct worker *worker =
        worker_start("'admin': {'listen': '127.0.0.1:0'}, 'amqp': {'url': 'amqp://127.0.0.1:1/'}",
                     "[{'name': 'orders', 'processor': 'counting'}]");
    unsigned port = port_of(worker);

    await(20, says(port, "/readyz", "Connection refused"), "the reason");
    cr_assert(says(port, "/readyz", "\"queue\":\"orders\",\"processor\":\"counting\",\"state\":\"idle\""));
    cr_assert(says(port, "/readyz", "\"ready\":false"));
    cr_assert_eq(status(port, "/readyz"), 503);
    cr_assert_eq(status(port, "/livez"), 200);
    worker_stop(worker, 20);
}

Test(admin, says_in_the_configuration_s_words_that_its_port_is_taken)
{
    struct worker *first =
        worker_start(ANY_PORT, "[{'name': '%s', 'processor': 'counting'}]", stage_name("orders"));
    char options[100], text[100];

    snprintf(options, sizeof(options), "'admin': {'listen': '127.0.0.1:%u'}", port_of(first));
    struct worker *second =
        worker_start(options, "[{'name': '%s', 'processor': 'counting'}]", stage_name("orders"));
    snprintf(text, sizeof(text), "admin.listen: cannot listen on 127.0.0.1:%u: Address already in use",
             port_of(first));
    worker_await_end(second, 20, 78);
    worker_await_saying(second, 1, text);
    worker_stop(first, 20);
}

/* What `whippet healthcheck` ends with, and the first line it prints. */
static int healthcheck(unsigned port, const char *option, char *line, size_t size)
{
    char url[64];
    const char *arguments[] = {getenv("WHIPPET_PROGRAM"), "healthcheck", "--admin", url, option, NULL};

    snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
    return command_run(arguments, line, size);
}

Test(admin, is_asked_by_the_health_check)
{
    struct worker *worker =
        worker_start("'admin': {'listen': '127.0.0.1:0'}, 'amqp': {'url': 'amqp://127.0.0.1:1/'}",
                     "[{'name': 'orders', 'processor': 'counting'}]");
    unsigned port = port_of(worker);
    char line[200] = "";

    await(20, healthcheck(port, NULL, line, sizeof(line)) == 0, "an answer in time, not \"%s\"", line);
    cr_assert_str_eq(line, "the worker is alive");
    cr_assert_eq(healthcheck(port, "--ready", NULL, 0), 1);
    worker_stop(worker, 20);
    cr_assert_eq(healthcheck(port, NULL, NULL, 0), 1, "nobody is there any more");
    cr_assert_eq(healthcheck(port, "--nonsense", NULL, 0), 64);
}

/* As for one that reads the configuration as it is by now. */
static int healthcheck_of(const struct worker *worker, const char *fallback)
{
    const char *option = fallback ? "--fallback" : NULL;
    const char *arguments[] = {getenv("WHIPPET_PROGRAM"),
                               "healthcheck",
                               "--config",
                               worker_configuration(worker),
                               option,
                               fallback,
                               NULL};

    return command_run(arguments, NULL, 0);
}

static void replace_configuration(const struct worker *worker, const char *text)
{
    FILE *file = fopen(worker_configuration(worker), "w");

    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

Test(admin, is_found_by_the_health_check_while_its_configuration_is_edited)
{
    struct worker *worker =
        worker_start("'admin': {'listen': '127.0.0.1:0'}, 'amqp': {'url': 'amqp://127.0.0.1:1/'}",
                     "[{'name': 'orders', 'processor': 'counting'}]");
    unsigned port = port_of(worker);
    char text[200], url[64];

    snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
    snprintf(text, sizeof(text), "{ \"admin\": { \"listen\": \"127.0.0.1:%u\" }, \"queues\": [ 5 ] }", port);
    replace_configuration(worker, text);
    worker_signal(worker, SIGHUP);
    worker_await_saying(worker, 10, "everything goes on as it was");
    await(20, healthcheck_of(worker, NULL) == 0, "the reload refused it: the worker is as it was");

    replace_configuration(worker, "{ \"admin\": ");
    cr_assert_eq(healthcheck_of(worker, NULL), 1, "nobody knows where it is");
    await(20, healthcheck_of(worker, url) == 0, "an answer in time");

    replace_configuration(worker, "{ \"admin\": { \"listen\": \"127.0.0.1:1\" }, \"queues\": [] }");
    cr_assert_eq(healthcheck_of(worker, NULL), 1);
    await(20, healthcheck_of(worker, url) == 0, "an answer in time");
    worker_stop(worker, 20);
    cr_assert_eq(healthcheck_of(worker, url), 1, "nobody is there any more");
    cr_assert_eq(healthcheck_of(worker, "nonsense"), 64);
}

/* Only who may have a file /etc/hosts of his own can tell. */
static bool mounts_are_allowed(void)
{
    const char *arguments[] = {"unshare", "--mount", "true", NULL};

    return command_run(arguments, NULL, 0) == 0;
}

/* As many systems have it: localhost is ::1 first, where the worker does not listen. */
Test(admin, is_asked_at_each_address_of_its_name)
{
    const char *hosts = stage_path("hosts");
    char script[400];
    const char *arguments[] = {"unshare", "--mount", "sh", "-c", script, NULL};
    FILE *file = fopen(hosts, "w");
    struct worker *worker;

    if (!mounts_are_allowed())
        cr_skip_test("no mount namespaces here");
    fputs("::1 localhost\n127.0.0.1 localhost\n", file);
    fclose(file);
    worker = worker_start("'admin': {'listen': '127.0.0.1:0'}, 'amqp': {'url': 'amqp://127.0.0.1:1/'}",
                          "[{'name': 'orders', 'processor': 'counting'}]");
    snprintf(script, sizeof(script),
             "mount --bind %s /etc/hosts && %s healthcheck --admin http://localhost:%u", hosts,
             getenv("WHIPPET_PROGRAM"), port_of(worker));
    await(20, command_run(arguments, NULL, 0) == 0, "an answer in time");
    worker_stop(worker, 20);
}

/* Awaits a datagram with that text, as systemd would get it. */
static void await_told(int socket, const char *text)
{
    char told[512];
    double deadline = patience_deadline(20);

    do {
        ssize_t count = recv(socket, told, sizeof(told) - 1, 0);
        told[count > 0 ? count : 0] = '\0';
        cr_assert(patience_now() < deadline, "systemd was never told %s", text);
    } while (!strstr(told, text));
}

/* What systemd listens to; NOTIFY_SOCKET says where. */
static int notify_socket(struct sockaddr_un *address)
{
    struct timeval limit = {.tv_sec = 1};
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof(address->sun_path), "/tmp/whippet-notify-%d", getpid());
    unlink(address->sun_path);
    cr_assert_eq(bind(descriptor, (struct sockaddr *)address, sizeof(*address)), 0);
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setenv("NOTIFY_SOCKET", address->sun_path, 1);
    return descriptor;
}

Test(admin, tells_systemd_how_it_is)
{
    const char *queue = stage_name("orders");
    struct sockaddr_un address;
    int descriptor = notify_socket(&address);

    /* So seldom that the socket takes all that it is told while this process waits for a CPU. */
    setenv("WATCHDOG_USEC", "1600000", 1);
    struct worker *worker = worker_start("", "[{'name': '%s', 'processor': 'counting'}]", queue);
    await_told(descriptor, "READY=1");
    cr_assert_eq(client_consumers(stage_client(), queue), 1, "it said so before it consumed");
    await_told(descriptor, "WATCHDOG=1");
    await_told(descriptor, "STATUS=1 of 1 queues consumed");
    worker_signal(worker, SIGHUP);
    await_told(descriptor, "RELOADING=1\nMONOTONIC_USEC=");
    await_told(descriptor, "READY=1");
    worker_signal(worker, SIGTERM);
    await_told(descriptor, "STOPPING=1");
    worker_await_end(worker, 20, 0);
    unlink(address.sun_path);
}

Test(admin, tells_systemd_that_it_is_ready_though_that_was_busy_at_first)
{
    const char *queue = stage_name("orders");
    struct sockaddr_un address;
    int descriptor = notify_socket(&address), others = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    while (sendto(others, "", 1, MSG_DONTWAIT, (struct sockaddr *)&address, sizeof(address)) >= 0) {
    }
    cr_assert_eq(errno, EAGAIN);
    setenv("WATCHDOG_USEC", "20000", 1);
    struct worker *worker = worker_start("", "[{'name': '%s', 'processor': 'counting'}]", queue);
    worker_await_consuming(worker, queue);
    usleep(200000); /* some twenty ticks, none of which can be seen */
    await_told(descriptor, "READY=1");
    worker_stop(worker, 20);
    unlink(address.sun_path);
}

Test(admin, counts_what_became_of_messages)
{
    const char *queue = stage_name("orders"), *path = stage_path("record");
    struct worker *worker =
        worker_start(ANY_PORT,
                     "[{'name': '%s', 'processor': 'record', 'retry': {'delay': '10ms'},"
                     "  'settings': {'path': '%s', 'fail_attempts': 1, 'reason': 'not yet'}}]",
                     queue, path);
    unsigned port = port_of(worker);

    worker_await_consuming(worker, queue);
    client_send_many(stage_client(), queue, 3);
    await(20, sample_now(port, "whippet_settled_total", queue, "record", ",outcome=\"acked\"") == 3,
          "three acks");
    struct http_reply metrics = http_get(port, "/metrics");
    cr_assert_eq(sample(&metrics, "messaging_client_consumed_messages_total", queue, "record", ""), 3);
    cr_assert_eq(sample(&metrics, "whippet_attempts_total", queue, "record", ",result=\"retry\""), 3);
    cr_assert_eq(sample(&metrics, "whippet_attempts_total", queue, "record", ",result=\"ok\""), 3);
    cr_assert_eq(sample(&metrics, "whippet_in_flight", queue, "record", ""), 0);
    cr_assert_eq(sample(&metrics, "messaging_process_duration_seconds_count", queue, "record", ""), 6);
    http_free(&metrics);
    cr_assert(says(port, "/api/status", "\"last_error\":{\"text\":\"not yet\""));
    worker_stop(worker, 20);
}

Test(admin, lists_what_is_in_flight)
{
    const char *queue = stage_name("orders"), *path = stage_path("record");
    struct worker *worker =
        worker_start(ANY_PORT,
                     "[{'name': '%s', 'processor': 'record', 'concurrency': 1, 'prefetch': 2,"
                     "  'settings': {'path': '%s', 'delay': '60s'}}]",
                     queue, path);
    unsigned port = port_of(worker);

    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "first", "x");
    client_send(stage_client(), queue, "second", "x");
    await(20, says(port, "/api/status", "\"message_id\":\"first\",\"attempt\":1,\"state\":\"sleeping\""),
          "the first");
    await(20,
          says(port, "/api/status",
               "\"message_id\":\"second\",\"attempt\":0,\"state\":\"waiting for its turn\""),
          "the second");
    worker_signal(worker, SIGUSR1);
    worker_await_saying(worker, 10, "in flight: sleeping");
    worker_await_saying(worker, 10, "in flight: waiting for its turn");
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 10, WORKER_ANY_STATUS);
}

Test(admin, answers_while_a_processor_blocks_the_loop)
{
    const char *queue = stage_name("orders"), *path = stage_path("record");
    struct worker *worker = worker_start(ANY_PORT,
                                         "[{'name': '%s', 'processor': 'record',"
                                         "  'settings': {'path': '%s', 'block': '20s'}}]",
                                         queue, path);
    unsigned port = port_of(worker);

    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "stone", "x");
    await(20, records_count(path, "begin", NULL) == 1, "the beginning");
    double started = patience_now();
    cr_assert_eq(status(port, "/metrics"), 200);
    cr_assert_eq(status(port, "/api/status"), 200);
    cr_assert_eq(sample_now(port, "whippet_running", queue, "record", ""), 1);
    cr_assert_lt(patience_now() - started, 19, "the answers came when the loop was free again");
    await(18, lag(port) > 1, "the lag that goes on");
    char blocker[300];
    snprintf(blocker, sizeof(blocker),
             "\"queue\":\"%s\",\"processor\":\"record\",\"message_id\":\"stone\",\"attempt\":1}", queue);
    cr_assert(says(port, "/api/status", blocker), "the status does not name who blocks the loop");
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 10, WORKER_ANY_STATUS);
}

Test(admin, adds_up_in_every_scrape_while_a_hundred_thousand_messages_run, .timeout = 300)
{
    const unsigned messages = worker_is_traced() ? 10000 : 100000;
    static const char *const OUTCOMES[] = {"acked", "retried", "dead_lettered", "discarded", "returned"};
    const char *queue = stage_name("orders");
    struct worker *worker;
    double consumed, before = 0, deadline = patience_deadline(200);
    unsigned scrapes = 0, sent = messages;

    client_declare(stage_client(), queue, "classic");
    client_send_many(stage_client(), queue, messages);
    worker = worker_start(
        ANY_PORT, "[{'name': '%s', 'processor': 'counting', 'prefetch': 500, 'type': 'classic'}]", queue);
    unsigned port = port_of(worker);
    do {
        struct http_reply metrics = http_get(port, "/metrics");
        double sum = sample(&metrics, "whippet_in_flight", queue, "counting", "");
        consumed = sample(&metrics, "messaging_client_consumed_messages_total", queue, "counting", "");
        cr_assert_leq(sum, 500, "more in flight than there may be: %g", sum);
        for (int i = 0; i < 5; i++) {
            char outcome[40];
            snprintf(outcome, sizeof(outcome), ",outcome=\"%s\"", OUTCOMES[i]);
            sum += sample(&metrics, "whippet_settled_total", queue, "counting", outcome);
        }
        cr_assert_eq(sum, consumed, "consumed %g, but %g are accounted for", consumed, sum);
        cr_assert_geq(consumed, before, "a counter went back");
        before = consumed;
        scrapes++;
        http_free(&metrics);
        cr_assert(patience_now() < deadline, "only %g were consumed", consumed);
        if (consumed >= sent && scrapes <= 10) { /* too few to tell, as this process had to wait for a CPU */
            client_send_many(stage_client(), queue, messages / 4);
            sent += messages / 4;
        }
    } while (consumed < sent);
    worker_stop(worker, 20);
}
