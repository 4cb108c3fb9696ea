/* SIGHUP: what changed is changed, and the rest does not notice. */
#include "http.h"
#include "stage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(reloading, .init = stage_open, .fini = stage_close, .timeout = 300);
TestSuite(reloading_alone, .init = stage_open_alone, .fini = stage_close, .timeout = 300);

enum {
    LINE_SIZE = 512
};

/* A queue that records below the word `record`, with more keys and settings as they are given. */
#define RECORDING(keys, settings)                                                                            \
    "{'name': '%s', 'processor': 'record', " keys " 'settings': {'path': '%s'" settings "}}"

/* The same, with attempts that last as long as the file "hold" is there: for what has to happen meanwhile. */
#define HOLDING(keys) RECORDING(keys, ", 'hold': '%s'")

static size_t seen(const char *word, const char *event)
{
    return records_count(stage_path(word), event, NULL);
}

static void describe(const char *queue, char line[LINE_SIZE])
{
    /* A busy broker may leave a queue out. */
    await(30, (broker_describe_consumer(stage_broker(), queue, line, LINE_SIZE), line[0] != '\0'),
          "a consumer of %s in the broker's list", queue);
}

/* --- Subscriptions --------------------------------------------------------------------------------------*/

Test(reloading, leaves_alone_what_did_not_change)
{
    const char *busy = stage_name("busy"), *other = stage_name("other");
    char busy_before[LINE_SIZE], busy_after[LINE_SIZE], other_before[LINE_SIZE], other_after[LINE_SIZE];
    struct worker *worker = worker_start("", "[" RECORDING("", ", 'delay': '8s'") "," RECORDING("", "") "]",
                                         busy, stage_path("busy"), other, stage_path("other"));
    worker_await_consuming(worker, busy);
    worker_await_consuming(worker, other);
    client_send(stage_client(), busy, "in-mid-attempt", "");
    await(10, seen("busy", "begin") == 1, "the attempt");
    describe(busy, busy_before);
    describe(other, other_before);
    worker_reload(worker, "", "[" RECORDING("'timeout': '1m',", "") "," RECORDING("", ", 'delay': '8s'") "]",
                  other, stage_path("other"), busy, stage_path("busy"));
    worker_await_saying(worker, 10, "1 unchanged, 1 changed, 0 added, 0 removed");
    await(10, worker_said(worker, "is gone") == 1, "the old subscription to go");
    worker_await_consuming(worker, other);
    describe(busy, busy_after);
    describe(other, other_after);
    cr_assert_str_eq(busy_before, busy_after);
    cr_assert_str_neq(other_before, other_after);
    await(15, seen("busy", "end") == 1, "the end of the attempt");
    worker_stop(worker, 10);
    cr_assert_eq(seen("busy", "begin"), 1);
    cr_assert_eq(worker_counts(worker, busy).acked, 1);
    cr_assert_eq(worker_counts(worker, busy).returned, 0);
}

Test(reloading, lets_a_changed_queue_finish_what_it_began_and_begin_the_rest_anew)
{
    const char *queue = stage_name("orders");
    struct worker_counts counts;
    record_hold(stage_path("hold"));
    struct worker *worker = worker_start("", "[" HOLDING("'concurrency': 4, 'prefetch': 20,") "]", queue,
                                         stage_path("record"), stage_path("hold"));
    worker_await_consuming(worker, queue);
    client_send_many(stage_client(), queue, 20);
    await(10, seen("record", "begin") == 4, "4 attempts");
    await(5, client_ready(stage_client(), queue) == 0, "all messages to be prefetched");
    worker_reload(worker, "", "[" HOLDING("'concurrency': 20,") "]", queue, stage_path("record"),
                  stage_path("hold"));
    worker_await_saying(worker, 1, "changed (concurrency, prefetch)");
    await(20, seen("record", "begin") == 20, "20 attempts, found %zu", seen("record", "begin"));
    cr_assert_eq(seen("record", "end"), 0);
    record_let_go(stage_path("hold"));
    await(20, seen("record", "end") == 20, "20 ends, found %zu", seen("record", "end"));
    worker_await_saying(worker, 10, "is gone");
    worker_stop(worker, 10);
    cr_assert_eq(seen("record", "begin"), 20, "%zu attempts: some were made twice", seen("record", "begin"));
    cr_assert_eq(seen("record", "cut"), 0);
    cr_assert_eq(seen("record", "gone"), 2, "a teardown is missing");
    cr_assert_geq(records_most_running(stage_path("record")), 16, "the new concurrency is not in effect");
    cr_assert_eq(client_ready(stage_client(), queue), 0);
    counts = worker_counts(worker, queue);
    cr_assert_eq(counts.acked, 20, "%lu were acked, %lu returned", counts.acked, counts.returned);
    cr_assert_eq(counts.returned, 16, "%lu were returned", counts.returned);
}

Test(reloading, lets_a_removed_queue_drain_and_go_and_an_added_one_come)
{
    const char *stays = stage_name("stays"), *goes = stage_name("goes"), *comes = stage_name("comes");
    record_hold(stage_path("hold"));
    struct worker *worker =
        worker_start("", "[" RECORDING("", "") "," HOLDING("'concurrency': 1, 'prefetch': 5,") "]", stays,
                     stage_path("stays"), goes, stage_path("goes"), stage_path("hold"));
    worker_await_consuming(worker, goes);
    client_send_many(stage_client(), goes, 5);
    await(10, seen("goes", "begin") == 1, "an attempt");
    await(5, client_ready(stage_client(), goes) == 0, "all messages to be prefetched");
    worker_reload(worker, "", "[" RECORDING("", "") "," RECORDING("", "") "]", stays, stage_path("stays"),
                  comes, stage_path("comes"));
    worker_await_saying(worker, 1, "1 unchanged, 0 changed, 1 added, 1 removed");
    worker_await_consuming(worker, comes);
    client_send(stage_client(), comes, "1", "");
    await(10, seen("comes", "end") == 1, "the new queue's message");
    cr_assert_eq(seen("goes", "end"), 0);
    record_let_go(stage_path("hold"));
    await(10, seen("goes", "gone") == 1, "the teardown of the old one");
    cr_assert_eq(seen("goes", "end"), 1);
    await(5, client_ready(stage_client(), goes) == 4 && client_consumers(stage_client(), goes) == 0,
          "the rest to be returned");
    worker_await_saying(worker, 5,
                        "consumed 5 = acked 1 + retried 0 + dead-lettered 0 + discarded 0 + returned 4");
    cr_assert_geq(client_consumers(stage_client(), stays), 1);
    worker_stop(worker, 10);
}

static bool metrics_say(unsigned port, const char *queue)
{
    struct http_reply reply = http_get(port, "/metrics");
    bool found = http_says(&reply, queue);
    http_free(&reply);
    return found;
}

static int readiness(unsigned port)
{
    struct http_reply reply = http_get(port, "/readyz");
    int status = reply.status;
    http_free(&reply);
    return status;
}

Test(reloading, shows_a_removed_queue_until_it_has_drained_and_stays_ready)
{
    const char *stays = stage_name("stays"), *goes = stage_name("goes");
    const char *options = "'admin': {'listen': '127.0.0.1:0'}";
    record_hold(stage_path("hold"));
    struct worker *worker = worker_start(options, "[" RECORDING("", "") "," HOLDING("") "]", stays,
                                         stage_path("stays"), goes, stage_path("goes"), stage_path("hold"));
    worker_await_consuming(worker, goes);
    worker_await_consuming(worker, stays);
    unsigned port = worker_number_behind(worker, "admin port at http://127.0.0.1:");
    client_send(stage_client(), goes, "1", "");
    await(10, seen("goes", "begin") == 1, "an attempt");
    await(10, readiness(port) == 200, "a worker that is ready");
    worker_reload(worker, options, "[" RECORDING("", "") "]", stays, stage_path("stays"));
    cr_assert(metrics_say(port, goes), "its metrics went before it had drained");
    cr_assert_eq(readiness(port), 200);
    record_let_go(stage_path("hold"));
    await(10, !metrics_say(port, goes), "its metrics to go");
    cr_assert_eq(seen("goes", "end"), 1);
    cr_assert(metrics_say(port, stays));
    worker_stop(worker, 10);
}

Test(reloading, hands_an_exclusive_consumer_over)
{
    const char *queue = stage_name("alone");
    struct worker *worker =
        worker_start("", "[" RECORDING("'type': 'classic', 'exclusive': true,", ", 'delay': '2s'") "]", queue,
                     stage_path("record"));
    worker_await_consuming(worker, queue);
    client_send_many(stage_client(), queue, 2);
    await(10, seen("record", "begin") == 2, "two attempts");
    worker_reload(worker, "", "[" RECORDING("'type': 'classic', 'exclusive': true, 'timeout': '1m',", "") "]",
                  queue, stage_path("record"));
    client_send(stage_client(), queue, "after", "");
    await(10, records_count(stage_path("record"), "end", "after") == 1, "the new subscription's attempt");
    cr_assert_gt(records_first_at(stage_path("record"), "begin", "after"),
                 records_last_at(stage_path("record"), "end", "1"), "it did not wait for the old one");
    cr_assert_eq(worker_said(worker, "not consuming"), 0);
    worker_stop(worker, 10);
}

Test(reloading, of_the_same_file_changes_nothing)
{
    const char *queue = stage_name("orders");
    struct worker *worker = worker_start("", "[" RECORDING("", "") "]", queue, stage_path("record"));
    worker_await_consuming(worker, queue);
    worker_await_saying(worker, 10, "consuming: "); /* which the broker knows a moment earlier */
    for (int i = 0; i < 3; i++) {
        worker_reload(worker, "", "[" RECORDING("", "") "]", queue, stage_path("record"));
    }
    cr_assert_eq(worker_said(worker, "1 unchanged, 0 changed"), 3);
    cr_assert_eq(worker_said(worker, "consuming: "), 1);
    worker_stop(worker, 10);
}

/* --- Plugins --------------------------------------------------------------------------------------------*/

static void copy_plugin(const char *name, const char *to)
{
    char command[1024];

    snprintf(command, sizeof(command), "cp %s/%s.so %s", getenv("WHIPPET_TEST_PLUGINS"), name, to);
    cr_assert_eq(system(command), 0);
}

static unsigned mappings(const struct worker *worker, const char *path)
{
    char maps[64], line[1024];
    unsigned count = 0;

    snprintf(maps, sizeof(maps), "/proc/%d/maps", worker_pid(worker));
    FILE *file = fopen(maps, "re");
    while (fgets(line, sizeof(line), file)) {
        count += strstr(line, path) != NULL;
    }
    fclose(file);
    return count;
}

#define PLUGGED "[{'name': '%s', 'processor': '%s', 'settings': {'path': '%s', 'hold': '%s'}}]"

static void assert_new_plugin_takes_over(bool by_renaming)
{
    const char *queue = stage_name("orders"), *plugin = stage_path("plugin.so"), *new = stage_path("new.so");
    unsigned mapped;

    copy_plugin("record", plugin);
    record_hold(stage_path("hold"));
    struct worker *worker =
        worker_start("", PLUGGED, queue, plugin, stage_path("record"), stage_path("hold"));
    worker_await_consuming(worker, queue);
    mapped = mappings(worker, plugin);
    client_send(stage_client(), queue, "old", "");
    await(10, seen("record", "begin") == 1, "the old one's attempt");
    copy_plugin("record2", by_renaming ? new : plugin);
    if (by_renaming) {
        cr_assert_eq(rename(new, plugin), 0);
    }
    worker_reload(worker, "", PLUGGED, queue, plugin, stage_path("record"), stage_path("hold"));
    worker_await_saying(worker, 1, "changed (its plugin)");
    client_send(stage_client(), queue, "new", "");
    await(15, records_count(stage_path("record"), "begin2", "new") == 1, "the new one's attempt");
    cr_assert_eq(seen("record", "end"), 0, "the old one was to be at work still");
    record_let_go(stage_path("hold"));
    await(20, seen("record", "end2") == 1, "the new one's end");
    await(20, records_count(stage_path("record"), "end", "old") == 1, "the old one's end");
    await(10, seen("record", "gone") == 1, "the old one to be torn down");
    await(5, mappings(worker, plugin) == mapped, "the old one to be unloaded: %u mappings, %u at first",
          mappings(worker, plugin), mapped);
    worker_stop(worker, 10);
    cr_assert_eq(seen("record", "begin"), 1);
}

Test(reloading, takes_a_plugin_that_was_replaced)
{
    assert_new_plugin_takes_over(true);
}

Test(reloading, takes_a_plugin_that_was_overwritten_while_it_ran)
{
    assert_new_plugin_takes_over(false);
}

/* --- What can't be applied ------------------------------------------------------------------------------*/

/* Nothing of it changes, and it says why. */
static void assert_refused(struct worker *worker, const char *queue, const char *first, const char *second)
{
    char before[LINE_SIZE], after[LINE_SIZE];

    describe(queue, before);
    worker_signal(worker, SIGHUP);
    worker_await_saying(worker, 10, "not reloaded: everything goes on as it was");
    worker_await_saying(worker, 1, first);
    worker_await_saying(worker, 1, second);
    describe(queue, after);
    cr_assert_str_eq(before, after);
    client_send(stage_client(), queue, "still-there", "");
    await(10, records_count(stage_path("record"), "end", "still-there") == 1, "a message's attempt");
    worker_stop(worker, 10);
}

Test(reloading, of_a_broken_file_changes_nothing_and_tells_every_error)
{
    const char *queue = stage_name("orders");
    struct worker *worker = worker_start("", "[" RECORDING("", "") "]", queue, stage_path("record"));
    worker_await_consuming(worker, queue);
    worker_configure(worker, "'shutdown_timeout': 'soon'", "[" RECORDING("'timeut': 3,", "") "]", queue,
                     stage_path("record"));
    assert_refused(worker, queue, "shutdown_timeout: expected a duration", "queues[0].timeut: ");
}

Test(reloading, of_a_file_that_is_no_json_changes_nothing)
{
    const char *queue = stage_name("orders");
    struct worker *worker = worker_start("", "[" RECORDING("", "") "]", queue, stage_path("record"));
    worker_await_consuming(worker, queue);
    worker_configure(worker, "", "[");
    assert_refused(worker, queue, "whippet.json.0:", "column");
}

Test(reloading, with_processors_that_can_not_be_had_changes_nothing_and_tells_of_each)
{
    const char *queue = stage_name("orders");
    struct worker *worker = worker_start("", "[" RECORDING("", "") "]", queue, stage_path("record"));
    worker_await_consuming(worker, queue);
    worker_configure(
        worker, "",
        "[" RECORDING("'timeout': 9,",
                      "") ", {'name': 'x', 'processor': 'nowhere'}, {'name': 'y', 'processor': 'record'}]",
        queue, stage_path("record"));
    assert_refused(worker, queue, "queues[1].processor: there is no processor", "needs the option");
}

Test(reloading, with_a_processor_whose_setup_fails_changes_nothing)
{
    const char *queue = stage_name("orders");
    struct worker *worker = worker_start("", "[" RECORDING("", "") "]", queue, stage_path("record"));
    worker_await_consuming(worker, queue);
    worker_configure(worker, "",
                     "[" RECORDING("'timeout': 9,", "") ", {'name': 'x', 'processor': 'refuses_setup'}]",
                     queue, stage_path("record"));
    assert_refused(worker, queue, "queues[1].processor", "could not be set up");
    cr_assert_eq(client_consumers(stage_client(), queue), 0);
}

/* --- The rest of the file -------------------------------------------------------------------------------*/

Test(reloading, applies_the_log_format_and_the_shutdown_timeout_at_once_and_names_what_needs_a_restart)
{
    const char *queue = stage_name("orders");
    double start;
    struct worker *worker =
        worker_start("", "[" RECORDING("", ", 'delay': '60s'") "]", queue, stage_path("record"));
    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "1", "");
    await(10, seen("record", "begin") == 1, "the attempt");
    worker_reload(worker, "'shutdown_timeout': '1s', 'stack_size': '512KiB', 'log': {'format': 'text'}",
                  "[" RECORDING("", ", 'delay': '60s'") "]", queue, stage_path("record"));
    worker_await_saying(worker, 1, "stack_size: needs a restart to take effect; the rest is applied");
    start = patience_now();
    worker_signal(worker, SIGTERM);
    worker_await_end(worker, 10, WORKER_ANY_STATUS);
    cr_assert_lt(patience_now() - start, patience_stretched(8), "it took %.3f s: the old shutdown_timeout",
                 patience_now() - start);
    cr_assert_eq(worker_said(worker, "\"message\":\"stopping"), 0, "the old log format is in effect still");
}

Test(reloading, applies_the_log_level_at_once)
{
    const char *queue = stage_name("orders");
    struct worker *worker = worker_start("", "[" RECORDING("", "") "]", queue, stage_path("record"));
    worker_await_consuming(worker, queue);
    worker_reload(worker, "'log': {'level': 'error'}", "[" RECORDING("", "") "]", queue,
                  stage_path("record"));
    worker_signal(worker, SIGUSR1);
    worker_configure(worker, "'log': {'level': 'info'}", "[" RECORDING("", "") "]", queue,
                     stage_path("record"));
    worker_signal(worker, SIGHUP);
    await(10, (worker_signal(worker, SIGUSR1), worker_said(worker, "0 in flight") > 0),
          "the level info again");
    cr_assert_eq(worker_said(worker, " unchanged, "), 1, "the level error was not in effect");
    worker_stop(worker, 10);
}

#define MODES "[{'name': '%s', 'processor': 'modes', 'run': 'process', 'settings': {'path': '%s'}}]"

/* The queue is what it was, and so is its child. */
Test(reloading, applies_the_log_level_in_child_processes_too)
{
    const char *queue = stage_name("level");
    struct worker *worker = worker_start("'log': {'level': 'error'}", MODES, queue, stage_path("notes"));

    worker_await_consuming(worker, queue);
    worker_configure(worker, "'log': {'level': 'info'}", MODES, queue, stage_path("notes"));
    worker_signal(worker, SIGHUP);
    await(10, (worker_signal(worker, SIGUSR1), worker_said(worker, "0 in flight") > 0), "the level info");
    client_send(stage_client(), queue, "a", "awaits");
    worker_await_saying(worker, 20, "every await works");
    worker_stop(worker, 20);
    cr_assert_eq(records_count(stage_path("notes"), "down", NULL), 1, "the child was started anew");
}

Test(reloading, makes_the_connection_anew_and_repeats_no_message)
{
    const char *queue = stage_name("orders");
    char amqp[256];
    struct worker *worker =
        worker_start("", "[" RECORDING("", ", 'delay': '2s'") "]", queue, stage_path("record"));

    worker_await_consuming(worker, queue);
    client_send_many(stage_client(), queue, 5);
    await(10, seen("record", "begin") == 5, "5 attempts");
    snprintf(amqp, sizeof(amqp), "'amqp': {'url': '%s', 'heartbeat': '7s'}", stage_broker()->url);
    worker_reload(worker, amqp, "[" RECORDING("", ", 'delay': '2s'") "]", queue, stage_path("record"));
    worker_await_saying(worker, 1, "the connections are made anew (amqp.");
    await(15, worker_said(worker, "connected to ") == 4, "two new connections");
    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "after", "");
    await(10, records_count(stage_path("record"), "end", "after") == 1, "a message by the new connection");
    worker_stop(worker, 10);
    cr_assert_eq(seen("record", "begin"), 6, "messages were repeated");
    cr_assert_eq(client_ready(stage_client(), queue), 0);
}

Test(reloading, goes_to_another_broker_and_comes_back)
{
    const char *queue = stage_name("orders");
    struct worker *worker = worker_start("", "[" RECORDING("", "") "]", queue, stage_path("record"));

    worker_await_consuming(worker, queue);
    worker_reload(worker, "'amqp': {'url': 'amqp://127.0.0.1:1/', 'reconnect': {'max': '1s'}}",
                  "[" RECORDING("", "") "]", queue, stage_path("record"));
    worker_await_saying(worker, 10, "Connection refused");
    await(10, client_consumers(stage_client(), queue) == 0, "the consumer to go");
    worker_reload(worker, "", "[" RECORDING("", "") "]", queue, stage_path("record"));
    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "1", "");
    await(10, seen("record", "end") == 1, "a message's attempt");
    worker_stop(worker, 10);
}

/* --- Under way ------------------------------------------------------------------------------------------*/

/* A channel of a busy quorum queue may drop acks as it is closed, and then messages come twice. */
#define CLASSIC "'type': 'classic', "

Test(reloading, again_and_again_under_load_loses_nothing, .timeout = 290)
{
    enum {
        RELOADS = 20
    };
    const unsigned messages = worker_is_traced() ? 2000 : 10000;
    const char *queue = stage_name("load"), *other = stage_name("other");
    struct worker *worker =
        worker_start("", "[" RECORDING(CLASSIC "'retry': {'delay': '10ms'},", ", 'delay': '2ms'") "]", queue,
                     stage_path("record"));
    worker_await_consuming(worker, queue);
    client_send_many(stage_client(), queue, messages);
    for (int i = 0; i < RELOADS; i++) {
        if (i % 2 == 0) {
            worker_configure(
                worker, "",
                "[" RECORDING(CLASSIC "'concurrency': %d,", ", 'delay': '2ms'") "," RECORDING("", "") "]",
                queue, 20 + i, stage_path("record"), other, stage_path("other"));
        } else {
            worker_configure(worker, "", "[" RECORDING(CLASSIC "'timeout': %d,", ", 'delay': '1ms'") "]",
                             queue, 10 + i, stage_path("record"));
        }
        worker_signal(worker, SIGHUP);
        patience_pause();
    }
    /* One that comes while another is under way may make one with it, and a file that is half written is
     * none. */
    await(30, (worker_signal(worker, SIGHUP), worker_said(worker, " unchanged, ") >= 2), "two reloads");
    await(60, records_ended_ids(stage_path("record"), messages) == messages, "%u messages, found %zu",
          messages, records_ended_ids(stage_path("record"), messages));
    await(10, client_ready(stage_client(), queue) == 0, "an empty queue");
    worker_stop(worker, 10);
    cr_assert_eq(client_ready(stage_client(), queue), 0);
    cr_assert_eq(seen("record", "begin"), seen("record", "end"));
    cr_assert_eq(seen("record", "end"), messages, "%zu attempts", seen("record", "end"));
    cr_assert_eq(worker_counts(worker, queue).acked, messages, "%lu were acked",
                 worker_counts(worker, queue).acked);
}

Test(reloading, while_it_stops_is_left_out)
{
    const char *queue = stage_name("orders");
    record_hold(stage_path("hold"));
    struct worker *worker =
        worker_start("", "[" HOLDING("") "]", queue, stage_path("record"), stage_path("hold"));
    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "1", "");
    await(10, seen("record", "begin") == 1, "the attempt");
    worker_signal(worker, SIGTERM);
    worker_await_saying(worker, 5, "stopping");
    worker_signal(worker, SIGHUP);
    worker_await_saying(worker, 5, "not reloaded: the worker is stopping");
    record_let_go(stage_path("hold"));
    worker_await_end(worker, 20, 0);
    cr_assert_eq(seen("record", "end"), 1);
}

static void assert_stops_in_order_while_it_reloads(const char *options)
{
    const char *queue = stage_name("orders");
    struct worker *worker =
        worker_start("", "[" RECORDING("", ", 'delay': '2s'") "]", queue, stage_path("record"));
    worker_await_consuming(worker, queue);
    client_send_many(stage_client(), queue, 3);
    await(10, seen("record", "begin") == 3, "3 attempts");
    worker_reload(worker, options, "[" RECORDING("'timeout': '1m',", ", 'delay': '2s'") "]", queue,
                  stage_path("record"));
    worker_signal(worker, SIGTERM);
    worker_await_end(worker, 10, 0);
    cr_assert_eq(seen("record", "end"), 3);
    cr_assert_eq(seen("record", "gone"), 2);
    await(10, client_ready(stage_client(), queue) == 0, "an empty queue, found %ld",
          client_ready(stage_client(), queue));
}

Test(reloading, ends_in_order_when_it_is_told_to_stop_meanwhile)
{
    assert_stops_in_order_while_it_reloads("");
}

Test(reloading, ends_in_order_when_it_is_told_to_stop_while_the_connection_is_made_anew)
{
    char amqp[256];

    snprintf(amqp, sizeof(amqp), "'amqp': {'url': '%s', 'heartbeat': '7s'}", stage_broker()->url);
    assert_stops_in_order_while_it_reloads(amqp);
}

Test(reloading_alone, works_while_the_broker_is_down)
{
    stage_start_broker();
    const char *queue = stage_name("orders"), *other = stage_name("other");
    struct worker *worker = worker_start("", "[" RECORDING("", "") "]", queue, stage_path("record"));
    worker_await_consuming(worker, queue);
    broker_stop(stage_broker());
    worker_await_saying(worker, 10, "trying again");
    worker_reload(worker, "", "[" RECORDING("'timeout': '1m',", "") "," RECORDING("", "") "]", queue,
                  stage_path("record"), other, stage_path("other"));
    worker_await_saying(worker, 10, "is gone");
    stage_start_broker();
    worker_await_consuming(worker, queue);
    worker_await_consuming(worker, other);
    client_send(stage_client(), queue, "1", "");
    await(10, seen("record", "end") == 1, "a message's attempt");
    worker_stop(worker, 10);
}
