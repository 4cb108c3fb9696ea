/* background(): what a processor does beside its attempts (tests/plugins/background.c), in every run mode. */
#include "every_mode.h"
#include "stage.h"

#include <signal.h>
#include <string.h>

TestSuite(background, .init = stage_open, .fini = stage_close, .timeout = 120);

static struct worker *start(const char *mode, const char *options, const char *queue, const char *settings)
{
    struct worker *worker = worker_start(options,
                                         "[{'name': '%s', 'processor': 'background', 'run': '%s',"
                                         "  'settings': {'path': '%s'%s}}]",
                                         queue, mode, stage_path("notes"), settings);
    worker_await_consuming(worker, queue);
    return worker;
}

static size_t noted(const char *event)
{
    return records_count(stage_path("notes"), event, NULL);
}

static void await_answered(size_t count)
{
    await(30, noted("done") == count, "%zu attempts with an answer, found %zu", count, noted("done"));
}

IN_EVERY_MODE_OF(background, it_serves_attempts_and_ends_before_teardown)
{
    const char *queue = stage_name("numbered");
    struct worker *worker = start(mode, "", queue, "");

    client_send_many(stage_client(), queue, 500);
    await_answered(500);
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).acked, 500);
    cr_assert_eq(worker_said(worker, "in the background"), 1);
    cr_assert_eq(noted("begin"), 1);
    cr_assert_eq(noted("end"), 1);
    cr_assert_eq(noted("down"), 1);
    cr_assert_leq(records_first_at(stage_path("notes"), "end", NULL),
                  records_first_at(stage_path("notes"), "down", NULL));
}

IN_EVERY_MODE_OF(background, when_it_fails_that_is_said_and_attempts_go_on)
{
    const char *queue = stage_name("left");
    struct worker *worker = start(mode, "", queue, "");

    client_send(stage_client(), queue, "l", "leave");
    worker_await_saying(worker, 20, "the processor's background() has ended; its attempts go on without it");
    client_send(stage_client(), queue, "l", "leave");
    await_answered(2);
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).acked, 2);
    cr_assert_eq(noted("end"), 0);
    cr_assert_eq(noted("down"), 1);
}

/* Nobody would ever hear of its messages else. */
Test(background, one_that_blocks_in_a_child_ends_with_it_and_the_child_s_messages_are_run_in_another)
{
    const char *queue = stage_name("sticks");
    struct worker *worker = worker_start("",
                                         "[{'name': '%s', 'processor': 'background', 'run': 'process',"
                                         "  'timeout': '500ms', 'retry': {'delay': '20ms'},"
                                         "  'settings': {'path': '%s'}}]",
                                         queue, stage_path("notes"));
    worker_await_consuming(worker, queue);

    client_send(stage_client(), queue, "s", "stick");
    await_answered(1);
    client_send_many(stage_client(), queue, 3);
    await_answered(4);
    cr_assert_eq(worker_said(worker, "held up by code that has not come to an await"), 1);
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).acked, 4);
}

Test(background, one_that_stays_ends_with_the_process)
{
    const char *queue = stage_name("stays");
    struct worker *worker = start("loop", "'shutdown_timeout': '500ms'", queue, ", 'stays': true");

    worker_signal(worker, SIGTERM);
    worker_await_end(worker, 20, 1);
    cr_assert_eq(worker_said(worker, "background() did not come to an end when it was cancelled"), 1);
    cr_assert_eq(noted("down"), 0);
}

Test(background, one_that_stays_in_a_child_ends_with_the_child)
{
    const char *queue = stage_name("stays");
    struct worker *worker = start("process", "", queue, ", 'stays': true");

    worker_stop(worker, 30);
    cr_assert_eq(noted("down"), 0);
}

IN_EVERY_MODE_OF(background, a_changed_queue_has_a_new_one)
{
    const char *queue = stage_name("changed");
    struct worker *worker = start(mode, "", queue, "");

    worker_reload(worker, "",
                  "[{'name': '%s', 'processor': 'background', 'run': '%s', 'concurrency': 3,"
                  "  'settings': {'path': '%s'}}]",
                  queue, mode, stage_path("notes"));
    await(20, noted("down") == 1, "the old one's end");
    await(20, noted("begin") == 2, "the new one's beginning");
    cr_assert_eq(noted("end"), 1);
    client_send_many(stage_client(), queue, 20);
    await_answered(20);
    worker_stop(worker, 20);
    cr_assert_eq(noted("down"), 2);
}
