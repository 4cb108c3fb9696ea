/* The processor http: real messages through a real broker to a real web server, in every run mode. */
#include "stage.h"
#include "web_server.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct web_server *server;

enum {
    ARRIVALS = 256
};

/* What the endpoint got, in its order. */
static struct {
    pthread_mutex_t mutex;
    double at[ARRIVALS];
    char id[ARRIVALS][64];
    unsigned count;
} arrived = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Counts, this one included. */
static unsigned note_arrival(const char *id)
{
    unsigned same = 1;

    pthread_mutex_lock(&arrived.mutex);
    for (unsigned i = 0; i < arrived.count && i < ARRIVALS; i++) {
        same += strcmp(arrived.id[i], id) == 0;
    }
    if (arrived.count < ARRIVALS) {
        arrived.at[arrived.count] = patience_now();
        snprintf(arrived.id[arrived.count], sizeof(arrived.id[0]), "%s", id);
        arrived.count++;
    }
    pthread_mutex_unlock(&arrived.mutex);
    return same;
}

static unsigned arrivals(void)
{
    pthread_mutex_lock(&arrived.mutex);
    unsigned count = arrived.count;
    pthread_mutex_unlock(&arrived.mutex);
    return count;
}

/* "busy…" is told to come back in two seconds at first, "bad…" is refused. */
static void handle(struct web_exchange *exchange, void *owner)
{
    const char *id = web_header(exchange, "X-Id");
    unsigned times = note_arrival(id != NULL ? id : "");

    (void)owner;
    exchange->answer = "the endpoint says so";
    if (strncmp(exchange->body, "busy", 4) == 0 && times == 1) {
        exchange->status = 503;
        exchange->fields[0] = "Retry-After";
        exchange->fields[1] = "2";
    } else if (strncmp(exchange->body, "bad", 3) == 0) {
        exchange->status = 400;
    }
}

static void open_all(void)
{
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    stage_open();
    server = web_server_start(handle, NULL, NULL, NULL);
}

static void close_all(void)
{
    stage_close();
    web_server_stop(server);
}

TestSuite(http, .init = open_all, .fini = close_all, .timeout = 120);

/* The processor's shared object. */
static const char *processor(void)
{
    static char path[4096];

    snprintf(path, sizeof(path), "%s/../../processors/http.so", getenv("WHIPPET_TEST_PLUGINS"));
    return path;
}

static struct worker *start(const char *mode, const char *queue)
{
    struct worker *worker =
        worker_start("",
                     "[{'name': '%s', 'processor': '%s', 'run': '%s', 'retry': {'delay': '50ms'},"
                     "  'settings': {'url': 'http://127.0.0.1:%u/', 'headers': {'X-Id': '{message_id}'}}}]",
                     queue, processor(), mode, web_server_port(server));

    worker_await_consuming(worker, queue);
    return worker;
}

/* Accepted, refused, and told to come back: each message ends as it should, and the books add up. */
static void settle_by_the_answer(const char *mode)
{
    const char *queue = stage_name("orders");
    char dead[256];
    struct client_message *letter = NULL;
    struct worker *worker = start(mode, queue);

    snprintf(dead, sizeof(dead), "%s.dead", queue);
    client_send(stage_client(), queue, "a", "good");
    client_send(stage_client(), queue, "b", "bad");
    client_send(stage_client(), queue, "c", "busy");
    await(30, arrivals() == 4, "four requests, found %u", arrivals());
    await(10, client_ready(stage_client(), dead) == 1, "a dead letter");
    await(5, (letter = client_get(stage_client(), dead)) != NULL, "the dead letter");
    char *error = client_header_text(letter, "whippet-error");
    cr_expect_str_eq(error, "status 400: the endpoint says so");
    free(error);
    client_message_destroy(letter);
    worker_stop(worker, 20);
    struct worker_counts counts = worker_counts(worker, queue);
    cr_assert_eq(counts.acked, 2, "%lu acked", counts.acked);
    cr_assert_eq(counts.dead_lettered, 1, "%lu dead-lettered", counts.dead_lettered);

    double first = 0, again = 0;
    for (unsigned i = 0; i < arrived.count; i++) {
        if (strcmp(arrived.id[i], "c") == 0) {
            first = first > 0 ? first : arrived.at[i];
            again = arrived.at[i];
        }
    }
    cr_assert_geq(again - first, 1.9, "it came back after %.3f s", again - first);
}

Test(http, settles_by_the_answer_in_the_loop)
{
    settle_by_the_answer("loop");
}

Test(http, settles_by_the_answer_in_a_thread)
{
    settle_by_the_answer("thread");
}

Test(http, settles_by_the_answer_in_a_process)
{
    settle_by_the_answer("process");
}

Test(http, of_a_stopped_worker_is_not_lost)
{
    const char *queue = stage_name("stopped");
    struct worker *worker =
        worker_start("'shutdown_timeout': '500ms'",
                     "[{'name': '%s', 'processor': '%s', 'settings': {'url': 'http://127.0.0.1:%u/'}}]",
                     queue, processor(), raw_server_start(NULL));

    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "a", "body");
    await(10, worker_in_flight(worker) == 1, "the message at work");
    worker_signal(worker, 15);
    worker_await_end(worker, 20, WORKER_ANY_STATUS);
    await(10, client_ready(stage_client(), queue) == 1, "the message in its queue again");
}
