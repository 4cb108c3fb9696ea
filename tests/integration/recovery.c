/* How soon it consumes again once the broker is back, and where it looks for the broker meanwhile. */
#include "stage.h"

#include "command.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

TestSuite(recovery, .init = stage_open_alone, .fini = stage_close, .timeout = 300);
TestSuite(names, .init = stage_open, .fini = stage_close, .timeout = 300);

#define CONSUMING "consuming: concurrency"

/* --- From the first AMQP that the port speaks to consume-ok ---------------------------------------------*/

struct recovery {
    struct worker *worker;
    unsigned consumed_before; /* how often it has begun to consume */
    uint16_t port;
    double accepts_at;
    double consumes_at;
};

static bool speaks_amqp(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 1};
    char first = 0;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool speaks;

    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    speaks = connect(descriptor, (struct sockaddr *)&address, sizeof(address)) == 0 &&
             send(descriptor, "AMQP\0\0\x09\x01", 8, MSG_NOSIGNAL) == 8 &&
             recv(descriptor, &first, 1, 0) == 1 && first == 1; /* a method: connection.start */
    close(descriptor);
    return speaks;
}

static void *watch_recovery(void *argument)
{
    struct recovery *recovery = argument;

    while (!speaks_amqp(recovery->port)) {
        patience_pause();
    }
    recovery->accepts_at = patience_now();
    while (worker_said(recovery->worker, CONSUMING) == recovery->consumed_before) {
        patience_pause();
    }
    recovery->consumes_at = patience_now();
    return NULL;
}

/* Takes the broker away for longer than several steps of the backoff, and returns the seconds from its first
 * word to the worker's consuming. */
static double recover(struct worker *worker)
{
    struct recovery recovery = {.worker = worker,
                                .consumed_before = worker_said(worker, CONSUMING),
                                .port = (uint16_t)atoi(broker_port(stage_broker()))};
    unsigned tries = worker_said(worker, "trying again in") + 5;
    pthread_t watcher;

    broker_stop(stage_broker());
    await(60, worker_said(worker, "trying again in") >= tries, "five steps of the backoff");
    cr_assert_eq(pthread_create(&watcher, NULL, watch_recovery, &recovery), 0);
    stage_start_broker();
    pthread_join(watcher, NULL);
    return recovery.consumes_at - recovery.accepts_at;
}

/* On a machine that is busy with other things one of three has to be in time. */
Test(recovery, from_a_long_outage_takes_less_than_a_second)
{
    const char *queue = stage_name("orders");
    struct worker *worker;
    double seconds = 0, best = 10;

    stage_start_broker();
    worker = worker_start("'log': {'level': 'debug'}", /* which says each try */
                          "[{'name': '%s', 'processor': 'record', 'type': 'classic',"
                          "  'settings': {'path': '%s'}}]",
                          queue, stage_path("record"));
    worker_await_consuming(worker, queue);
    for (int round = 0; round < 3 && best >= 1; round++) {
        seconds = recover(worker);
        printf("recovery: consuming %.3f s after the port spoke AMQP\n", seconds);
        if (seconds < best) {
            best = seconds;
        }
    }
    cr_assert_lt(best, patience_stretched(1), "%.3f s at best", best);
    client_send(stage_client(), queue, "m", "");
    await(20, records_count(stage_path("record"), "end", "m") == 1, "the message");
    worker_stop(worker, 20);
}

/* --- Names ----------------------------------------------------------------------------------------------*/

static void write_hosts(const char *path, const char *address)
{
    FILE *file = fopen(path, "we"); /* in place: the mount is of this very file */

    cr_assert_not_null(file);
    fprintf(file, "127.0.0.1 localhost\n%s rabbit.example\n", address);
    fclose(file);
}

Test(names, are_resolved_anew_at_each_try)
{
    const char *hosts = stage_path("hosts"), *queue = stage_name("orders");
    const char *possible[] = {"unshare", "-m", "true", NULL};
    const char *prefix[] = {"unshare", "-m", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\"",
                            hosts,     NULL};
    char options[256];
    struct worker *worker;

    if (command_run(possible, NULL, 0) != 0) {
        cr_skip_test("no mount namespace can be had here (unshare -m): names are not changed");
    }
    write_hosts(hosts, "127.0.0.9");
    worker_run_by(prefix);
    snprintf(options, sizeof(options), "'amqp': {'url': 'amqp://guest:guest@rabbit.example:%s/'}",
             broker_port(stage_broker()));
    worker = worker_start(options, "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}}]",
                          queue, stage_path("record"));
    worker_run_by(NULL);
    worker_await_saying(worker, 20, "127.0.0.9");
    write_hosts(hosts, "127.0.0.1");
    worker_await_consuming(worker, queue);
    worker_stop(worker, 20);
}

/* A name server that takes every question and answers none. -1 where it may not be (port 53 takes root). */
static int open_silent_server(const char *address)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(53)};
    struct timeval patience = {.tv_sec = (time_t)patience_stretched(20)};
    int server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, address, &name.sin_addr);
    if (server >= 0 && bind(server, (struct sockaddr *)&name, sizeof(name)) != 0) {
        close(server);
        return -1;
    }
    setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return server;
}

/* Has the next worker ask a server at that address, which never answers it. The server, or no test where
 * there can be none. */
static int silence_names(const char *address)
{
    const char *resolver = stage_path("resolv.conf"), *possible[] = {"unshare", "-m", "true", NULL};
    const char *prefix[] = {
        "unshare", "-m", "sh", "-c", "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"", resolver, NULL};
    int server = open_silent_server(address);
    FILE *file = fopen(resolver, "we");

    if (server < 0 || command_run(possible, NULL, 0) != 0) {
        cr_skip_test(
            "no mount namespace (unshare -m) or no port 53 can be had here: no name server is silent");
    }
    cr_assert_not_null(file);
    fprintf(file, "nameserver %s\noptions timeout:30 attempts:5\n", address);
    fclose(file);
    worker_run_by(prefix);
    return server;
}

static void await_question(int server)
{
    char question[512];

    cr_assert_gt(recv(server, question, sizeof(question), 0), 0, "nobody asked");
}

Test(names, that_nobody_answers_for_do_not_keep_the_worker_from_stopping)
{
    int server = silence_names("127.0.0.53");
    struct worker *worker;

    worker = worker_start("'amqp': {'url': 'amqp://guest:guest@rabbit.example/', 'connect_timeout': '60s'}",
                          "[{'name': 'orders', 'processor': 'record', 'settings': {'path': '%s'}}]",
                          stage_path("record"));
    worker_run_by(NULL);
    await_question(server);
    worker_stop(worker, 20);
    close(server);
}

Test(names, of_the_management_api_that_nobody_answers_for_do_not_either)
{
    int server = silence_names("127.0.0.54");
    struct worker *worker;

    worker = worker_start(
        "'admin': {'listen': '127.0.0.1:0'}, 'management': {'url': 'http://rabbit.example:15672'}",
        "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}}]", stage_name("orders"),
        stage_path("record"));
    worker_run_by(NULL);
    await_question(server);
    worker_stop(worker, 20);
    close(server);
}
