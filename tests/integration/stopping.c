/* The end of a worker: what it began it finishes, what it did not begin it returns. */
#include "stage.h"

#include <signal.h>
#include <stdio.h>

TestSuite(stopping, .init = stage_open, .fini = stage_close, .timeout = 300);

enum {
    MESSAGES = 20,
    AT_ONCE = 4
};

/* A worker with AT_ONCE attempts at work on a queue of MESSAGES, all prefetched. They go on until they are
 * let go. */
static struct worker *start_busy(const char *options, const char *queue)
{
    record_hold(stage_path("hold"));
    struct worker *worker = worker_start(options,
                                         "[{'name': '%s', 'processor': 'record', 'concurrency': %d,"
                                         "  'prefetch': %d, 'settings': {'path': '%s', 'hold': '%s'}}]",
                                         queue, AT_ONCE, MESSAGES, stage_path("record"), stage_path("hold"));

    worker_await_consuming(worker, queue);
    client_send_many(stage_client(), queue, MESSAGES);
    await(10, records_count(stage_path("record"), "begin", NULL) >= AT_ONCE, "%d attempts", AT_ONCE);
    await(5, client_ready(stage_client(), queue) == 0, "all messages to be prefetched");
    return worker;
}

static void await_ready(const char *queue, long expected)
{
    await(5, client_ready(stage_client(), queue) == expected, "%ld messages returned to the queue, found %ld",
          expected, client_ready(stage_client(), queue));
}

static void assert_finishes_what_began(int signal_number)
{
    const char *queue = stage_name("orders");
    struct worker *worker = start_busy("", queue);
    struct worker_counts counts;
    size_t ended;

    worker_signal(worker, signal_number);
    worker_await_saying(worker, 5, "stopping");
    record_let_go(stage_path("hold"));
    worker_await_end(worker, 20, 0);
    ended = records_count(stage_path("record"), "end", NULL);
    cr_assert_eq(records_count(stage_path("record"), "cut", NULL), 0, "attempts were cut short");
    cr_assert_eq(records_count(stage_path("record"), "begin", NULL), ended);
    cr_assert_eq(ended, AT_ONCE, "%zu attempts; those that had not begun were to be returned", ended);
    await_ready(queue, MESSAGES - (long)ended);
    counts = worker_counts(worker, queue);
    cr_assert_eq(counts.acked, ended, "%lu were acked, %zu ended", counts.acked, ended);
    cr_assert_eq(counts.returned, MESSAGES - ended, "%lu were returned", counts.returned);
}

Test(stopping, finishes_what_began_and_returns_the_rest_on_sigterm)
{
    assert_finishes_what_began(SIGTERM);
}

Test(stopping, finishes_what_began_and_returns_the_rest_on_sigint)
{
    assert_finishes_what_began(SIGINT);
}

Test(stopping, takes_no_longer_than_an_idle_worker_needs)
{
    const char *queue = stage_name("idle");
    double start;
    struct worker *worker =
        worker_start("", "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}}]", queue,
                     stage_path("record"));

    worker_await_consuming(worker, queue);
    start = patience_now();
    worker_stop(worker, 8);
    /* Some answers of the broker's are waited for; not the half minute of shutdown_timeout. */
    cr_assert_lt(patience_now() - start, patience_stretched(5), "an idle worker took %.3f s to stop",
                 patience_now() - start);
}

Test(stopping, keeps_the_heartbeats_going)
{
    const char *queue = stage_name("heartbeat");
    char options[256];
    struct worker *worker;
    double until;

    snprintf(options, sizeof(options), "'amqp': {'url': '%s', 'heartbeat': '3s'}", stage_broker()->url);
    worker = start_busy(options, queue);
    worker_signal(worker, SIGTERM);
    /* Time itself is what matters here: the broker would hang up after six seconds. */
    for (until = patience_now() + 12; patience_now() < until;) {
        patience_pause();
    }
    record_let_go(stage_path("hold"));
    worker_await_end(worker, 20, 0);
    await_ready(queue, MESSAGES - AT_ONCE);
    cr_assert_eq(records_count(stage_path("record"), "end", NULL), AT_ONCE);
}

Test(stopping, returns_what_is_left_at_the_shutdown_timeout)
{
    const char *queue = stage_name("orders");
    double start;
    struct worker *worker = start_busy("'shutdown_timeout': '1s'", queue);

    start = patience_now();
    worker_signal(worker, SIGTERM);
    worker_await_end(worker, 10, WORKER_ANY_STATUS);
    cr_assert_gt(patience_now() - start, 0.9, "it ended after %.3f s", patience_now() - start);
    await_ready(queue, MESSAGES);
    cr_assert_eq(records_count(stage_path("record"), "cut", NULL), AT_ONCE, "%zu attempts were cancelled",
                 records_count(stage_path("record"), "cut", NULL));
}

/* What libc keeps until the process ends: a child is not to be killed on its last few steps. */
Test(stopping, loses_nothing_of_what_child_processes_have_printed)
{
    enum {
        CHILDREN = 8,
        LINES = 80
    };
    const char *queue = stage_name("printing");
    struct worker *worker =
        worker_start("",
                     "[{'name': '%s', 'processor': 'modes', 'run': 'process', 'processes': %d,"
                     "  'concurrency': %d, 'settings': {'path': '%s'}}]",
                     queue, CHILDREN, CHILDREN, stage_path("notes"));

    worker_await_consuming(worker, queue);
    client_send_copies(stage_client(), queue, LINES, "print hello");
    await(20, records_ended_ids(stage_path("notes"), LINES) == LINES, "all of them");
    worker_stop(worker, 20);
    cr_assert_eq(worker_said(worker, "hello"), LINES, "%u of %d lines", worker_said(worker, "hello"), LINES);
}

Test(stopping, happens_at_once_on_a_second_signal)
{
    const char *queue = stage_name("orders");
    double start;
    struct worker *worker = start_busy("", queue);

    worker_signal(worker, SIGTERM);
    worker_await_saying(worker, 5, "stopping");
    cr_assert(worker_runs(worker), "one signal was enough");
    start = patience_now();
    worker_signal(worker, SIGTERM);
    worker_await_end(worker, 5, WORKER_ANY_STATUS);
    cr_assert_lt(patience_now() - start, patience_stretched(2), "it took %.3f s", patience_now() - start);
    await_ready(queue, MESSAGES);
}

/* On a quiet machine a release build takes 20 to 60 ms, of which the broker's answers are the most. */
Test(stopping, of_a_thousand_messages_at_rest_takes_a_moment)
{
    enum {
        RESTING = 1000
    };
    const char *queue = stage_name("resting");
    double start;
    struct worker *worker =
        worker_start("",
                     "[{'name': '%s', 'processor': 'record', 'prefetch': %d, 'type': 'classic',"
                     "  'retry': {'delay': '60s'}, 'settings': {'path': '%s', 'verdict': 'retry'}}]",
                     queue, RESTING, stage_path("record"));

    worker_await_consuming(worker, queue);
    client_send_many(stage_client(), queue, RESTING);
    await(20, records_count(stage_path("record"), "end", NULL) == RESTING, "%d first attempts", RESTING);
    start = patience_now();
    worker_signal(worker, SIGTERM);
    worker_await_end(worker, 10, 0);
    cr_log_info("1,000 at rest were returned in %.0f ms", (patience_now() - start) * 1e3);
    cr_assert_lt(patience_now() - start, patience_stretched(4), "it took %.3f s", patience_now() - start);
    await_ready(queue, RESTING);
}

Test(stopping, returns_messages_that_wait_for_another_attempt)
{
    const char *queue = stage_name("waiting");
    double start;
    struct worker *worker = worker_start("",
                                         "[{'name': '%s', 'processor': 'record', 'retry': {'delay': '60s'},"
                                         "  'settings': {'path': '%s', 'verdict': 'retry'}}]",
                                         queue, stage_path("record"));

    worker_await_consuming(worker, queue);
    client_send_many(stage_client(), queue, MESSAGES);
    await(10, records_count(stage_path("record"), "end", NULL) == MESSAGES, "%d first attempts", MESSAGES);
    start = patience_now();
    worker_signal(worker, SIGTERM);
    worker_await_end(worker, 10, 0);
    cr_assert_lt(patience_now() - start, patience_stretched(5), "it waited %.3f s for later attempts",
                 patience_now() - start);
    await_ready(queue, MESSAGES);
}

Test(stopping, leaves_nothing_lost_when_it_is_killed)
{
    const char *queue = stage_name("orders");
    struct worker *worker = start_busy("", queue);

    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 5, 128 + SIGKILL);
    await_ready(queue, MESSAGES);
}

#define TAKES_DOWN                                                                                           \
    "{'name': '%s', 'processor': 'modes', 'run': 'process',"                                                 \
    " 'settings': {'path': '%s', 'teardown': '1500ms'}}"

/* The last queue's as well, and all of them at once. */
Test(stopping, lets_every_teardown_in_child_processes_come_to_its_end)
{
    const char *notes = stage_path("notes"), *last = stage_name("fourth");
    struct worker *worker = worker_start(
        "'shutdown_timeout': '5s'", "[" TAKES_DOWN "," TAKES_DOWN "," TAKES_DOWN "," TAKES_DOWN "]",
        stage_name("first"), notes, stage_name("second"), notes, stage_name("third"), notes, last, notes);

    worker_await_consuming(worker, stage_name("first"));
    worker_await_consuming(worker, stage_name("second"));
    worker_await_consuming(worker, stage_name("third"));
    worker_await_consuming(worker, last);
    worker_stop(worker, 20);
    cr_assert_eq(records_count(notes, "down", NULL), 4, "only %zu of 4", records_count(notes, "down", NULL));
}
