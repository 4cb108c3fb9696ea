/* What becomes of a message that kills its worker, and of its neighbours. */
#include "stage.h"

#include "command.h"
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    NEIGHBOURS = 10,
    SIGNALLED = 128,
    STALLED = 70,
};

/* The sanitizers of a sanitized worker are to leave its signals alone, and nobody needs its core. */
static void open_stage(void)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    setenv("ASAN_OPTIONS", "handle_segv=0:handle_abort=0:handle_sigfpe=0:handle_sigill=0:handle_sigbus=0", 1);
    setenv("TSAN_OPTIONS", "handle_segv=0:handle_abort=0:handle_sigfpe=0:handle_sigill=0:handle_sigbus=0", 1);
    stage_open();
}

TestSuite(crashes, .init = open_stage, .fini = stage_close, .timeout = 180);

/* The queue's way to run attempts, as a member of its configuration; "": in the loop. */
static const char *run_mode = "";

static const char *dead_queue(const char *queue)
{
    static char name[256];

    snprintf(name, sizeof(name), "%s.dead", queue);
    return name;
}

/* A worker with a ledger; `more` are further options, or "". */
static struct worker *start_at_once(const char *queue, const char *type, const char *more)
{
    char options[512];

    snprintf(options, sizeof(options), "'state_dir': '%s'%s%s", stage_path("state"),
             strstr(more, "'log'") ? "" : ", 'log': {'format': 'text'}", more);
    return worker_start(options,
                        "[{'name': '%s', 'type': '%s', 'processor': 'crash'%s,"
                        "  'settings': {'path': '%s', 'release': '%s'}}]",
                        queue, type, run_mode, stage_path("record"), stage_path("release"));
}

static struct worker *start(const char *queue, const char *type, const char *more)
{
    struct worker *worker = start_at_once(queue, type, more);

    worker_await_consuming(worker, queue);
    return worker;
}

static void send(const char *queue, const char *id, const char *body)
{
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | (id ? AMQP_BASIC_MESSAGE_ID_FLAG : 0),
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .message_id = amqp_cstring_bytes(id ? id : ""),
    };

    client_publish(stage_client(), "", queue, &properties, amqp_cstring_bytes(body));
}

/* Messages that are at work when the other one strikes, and are well. */
static void send_neighbours(const char *queue)
{
    char id[16];

    for (unsigned i = 0; i < NEIGHBOURS; i++) {
        snprintf(id, sizeof(id), "%u", i);
        send(queue, id, "wait");
    }
}

/* Starts the worker anew whenever it has died, until there is a dead letter; it must die with `status`. */
static void supervise(struct worker *worker, const char *queue, int status)
{
    double deadline = patience_deadline(90);

    while (client_ready(stage_client(), dead_queue(queue)) < 1) {
        cr_assert_lt(patience_now(), deadline, "waited in vain for a dead letter");
        if (!worker_runs(worker)) {
            worker_await_end(worker, 1, status);
            worker_start_again(worker);
        }
        patience_pause();
    }
}

static void assert_header(const struct client_message *message, const char *name, const char *pattern)
{
    char *found = client_header_text(message, name);
    regex_t regex;

    cr_assert_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    cr_expect_eq(regexec(&regex, found, 0, NULL, 0), 0, "header %s: \"%s\" does not match %s", name, found,
                 pattern);
    regfree(&regex);
    free(found);
}

/* The first line of `whippet check` that holds `text`, or "". */
static const char *checked(const struct worker *worker, const char *text)
{
    static char line[1024];
    char command[1024];
    const char *arguments[] = {"sh", "-c", command, NULL};

    snprintf(command, sizeof(command), "'%s' check -c '%s' | grep -F '%s'", getenv("WHIPPET_PROGRAM"),
             worker_configuration(worker), text);
    line[0] = '\0';
    command_run(arguments, line, sizeof(line));
    return line;
}

static void assert_suspects(const struct worker *worker, unsigned count)
{
    char expected[64];

    snprintf(expected, sizeof(expected), "suspects %u", count);
    cr_assert(strstr(checked(worker, "ledger"), expected), "\"%s\" has no \"%s\"", checked(worker, "ledger"),
              expected);
}

/* The whole story: the message kills the worker three times, and comes to rest; all the others are processed.
 */
static struct worker *assert_quarantined(const char *type, const char *id, const char *body, int status,
                                         const char *cause)
{
    const char *queue = stage_name("poison");
    struct client_message *dead = NULL;
    char error[256];
    struct worker *worker;

    client_declare(stage_client(), queue, type);
    send_neighbours(queue);
    send(queue, id, body);
    send_neighbours(queue);
    worker = start_at_once(queue, type,
                           status == STALLED ? ", 'stall_limit': '2s', 'threads': 32" : ", 'threads': 32");
    supervise(worker, queue, status);
    await(20, records_ended_ids(stage_path("record"), NEIGHBOURS) == NEIGHBOURS, "the neighbours");
    cr_expect_eq(records_count(stage_path("record"), "begin", id ? id : "-"), 3, "it was begun %zu times",
                 records_count(stage_path("record"), "begin", id ? id : "-"));
    await(5, (dead = client_get(stage_client(), dead_queue(queue))) != NULL, "the dead letter");
    snprintf(error, sizeof(error), "^crashed the worker 3 times, the last time: %s.*, found at 20", cause);
    assert_header(dead, "whippet-reason", "^crash$");
    assert_header(dead, "whippet-error", error);
    assert_header(dead, "whippet-attempts", "^3$");
    client_message_destroy(dead);
    await(10, client_ready(stage_client(), queue) == 0, "an empty queue");
    worker_stop(worker, 10);
    cr_expect_leq(client_ready(stage_client(), dead_queue(queue)), 0, "there is another dead letter");
    cr_expect_eq(client_ready(stage_client(), queue), 0, "something is left in the queue");
    assert_suspects(worker, 0);
    return worker;
}

Test(crashes, of_a_segfault_end_in_quarantine_on_a_classic_queue)
{
    struct worker *worker = assert_quarantined("classic", "x", "segfault", SIGNALLED + SIGSEGV, "SIGSEGV");

    cr_expect_eq(worker_said(worker, "message-id=x attempt=1 crashed: SIGSEGV at address 0x10"), 3);
    cr_expect_geq(worker_said(worker, "crash.so+0x"), 3, "no frame of the processor was shown");
    cr_expect_eq(worker_said(worker, "died while this message was at work: SIGSEGV"), 3);
}

Test(crashes, of_a_segfault_end_in_quarantine_on_a_quorum_queue)
{
    assert_quarantined("quorum", "x", "segfault", SIGNALLED + SIGSEGV, "SIGSEGV");
}

Test(crashes, in_a_thread_end_in_quarantine)
{
    run_mode = ", 'run': 'thread'";
    struct worker *worker = assert_quarantined("classic", "x", "segfault", SIGNALLED + SIGSEGV, "SIGSEGV");

    cr_expect_eq(worker_said(worker, "message-id=x attempt=1 crashed: SIGSEGV at address 0x10"), 3);
}

Test(crashes, in_what_a_processor_offloads_end_in_quarantine)
{
    struct worker *worker = assert_quarantined("classic", "x", "offload", SIGNALLED + SIGSEGV, "SIGSEGV");

    cr_expect_eq(worker_said(worker, "message-id=x attempt=1 crashed: SIGSEGV at address 0x10"), 3);
    cr_expect_geq(worker_said(worker, "crash.so+0x"), 3, "no frame of the processor was shown");
}

Test(crashes, in_what_a_thread_offloads_end_in_quarantine)
{
    run_mode = ", 'run': 'thread'";
    assert_quarantined("classic", "x", "offload", SIGNALLED + SIGSEGV, "SIGSEGV");
}

Test(crashes, of_a_message_without_an_id_end_in_quarantine)
{
    assert_quarantined("classic", NULL, "segfault, and nobody knows my name", SIGNALLED + SIGSEGV, "SIGSEGV");
}

Test(crashes, of_a_large_message_without_an_id_end_in_quarantine_on_a_quorum_queue)
{
    static char body[300000];

    memset(body, '.', sizeof(body) - 1);
    memcpy(body, "kill", 4);
    assert_quarantined("quorum", NULL, body, SIGNALLED + SIGKILL, "killed");
}

Test(crashes, by_abort_end_in_quarantine)
{
    struct worker *worker = assert_quarantined("classic", "x", "abort", SIGNALLED + SIGABRT, "SIGABRT");

    cr_expect_eq(worker_said(worker, "crashed: SIGABRT"), 3);
}

Test(crashes, by_a_division_by_zero_end_in_quarantine)
{
#if defined(__x86_64__)
    assert_quarantined("classic", "x", "divide", SIGNALLED + SIGFPE, "SIGFPE");
#else
    cr_skip_test("this processor does not trap it");
#endif
}

Test(crashes, by_sigkill_end_in_quarantine)
{
    assert_quarantined("classic", "x", "kill", SIGNALLED + SIGKILL, "killed");
}

Test(crashes, by_an_overflow_of_the_stack_say_how_to_avoid_it)
{
    struct worker *worker = assert_quarantined("classic", "x", "dig", SIGNALLED + SIGSEGV, "SIGSEGV");

    cr_expect_eq(worker_said(worker, "stack overflow in processor crash: raise stack_size (now 256KiB)"), 3);
}

Test(crashes, by_a_loop_that_is_blocked_for_good_end_in_quarantine)
{
    /* It is looked at twice a second, and told in whole seconds. */
    struct worker *worker =
        assert_quarantined("classic", "x", "block", STALLED, "blocked the loop for [23] s");

    cr_expect_geq(worker_said(worker, "message-id=x attempt=1 the loop is blocked for 1"), 3);
}

Test(crashes, are_counted_by_all_workers_of_a_folder_together)
{
    const char *queue = stage_name("shared");
    struct worker *workers[2];

    client_declare(stage_client(), queue, "classic");
    workers[0] = start(queue, "classic", "");
    workers[1] = start(queue, "classic", "");
    await(10, client_consumers(stage_client(), queue) == 2, "two consumers");
    send(queue, "x", "segfault");
    while (client_ready(stage_client(), dead_queue(queue)) < 1) {
        for (unsigned i = 0; i < 2; i++) {
            if (!worker_runs(workers[i])) {
                worker_await_end(workers[i], 1, SIGNALLED + SIGSEGV);
                worker_start_again(workers[i]);
            }
        }
        patience_pause();
    }
    cr_expect_eq(records_count(stage_path("record"), "begin", "x"), 3, "it was begun %zu times",
                 records_count(stage_path("record"), "begin", "x"));
    for (unsigned i = 0; i < 2; i++) {
        if (!worker_runs(workers[i])) {
            worker_await_end(workers[i], 1, SIGNALLED + SIGSEGV);
            worker_start_again(workers[i]);
        }
        await(10, client_consumers(stage_client(), queue) > 0, "a consumer");
    }
    worker_await_saying(workers[0], 10, "starts:");
    worker_await_saying(workers[1], 10, "starts:");
    await(20, client_consumers(stage_client(), queue) == 2, "two consumers");
    worker_stop(workers[0], 10);
    worker_stop(workers[1], 10);
}

Test(crashes, from_outside_are_charged_and_forgotten_once_the_message_is_done)
{
    const char *queue = stage_name("innocent");
    struct worker *worker;

    client_declare(stage_client(), queue, "classic");
    worker = start(queue, "classic", "");
    send(queue, "x", "until");
    await(10, records_count(stage_path("record"), "begin", "x") == 1, "its beginning");
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 10, SIGNALLED + SIGKILL);
    worker_start_again(worker);
    worker_await_saying(worker, 20, "message-id=x attempt=1 a worker (process ");
    await(10, records_count(stage_path("record"), "begin", "x") == 2, "its second beginning");
    assert_suspects(worker, 1);
    cr_expect(checked(worker, "message x: crashed the worker 1 time, once: killed")[0],
              "check does not name it");
    fclose(fopen(stage_path("release"), "we"));
    await(10, records_count(stage_path("record"), "end", "x") == 1, "its end");
    await(10, client_ready(stage_client(), queue) == 0, "an empty queue");
    worker_stop(worker, 10);
    assert_suspects(worker, 0);
    cr_expect_leq(client_ready(stage_client(), dead_queue(queue)), 0);
}

/* At a worker's end that was asked for, in the middle of a message that blocks its thread. */
static void assert_not_charged(const char *more, int second_signal, int status)
{
    const char *queue = stage_name("slow");
    struct worker *worker;

    run_mode = ", 'run': 'thread'";
    client_declare(stage_client(), queue, "classic");
    worker = start(queue, "classic", more);
    send(queue, "x", "until");
    await(10, records_count(stage_path("record"), "begin", "x") == 1, "its beginning");
    worker_signal(worker, SIGTERM);
    worker_await_saying(worker, 10, "stopping");
    if (second_signal != 0) {
        worker_signal(worker, second_signal);
    }
    worker_await_end(worker, 20, status);
    worker = start_at_once(queue, "classic", ""); /* with an account of its own */
    await(10, records_count(stage_path("record"), "begin", "x") == 2, "its second beginning");
    cr_assert_eq(worker_said(worker, "died while this message was at work"), 0);
    assert_suspects(worker, 0);
    fclose(fopen(stage_path("release"), "we"));
    await(10, records_count(stage_path("record"), "end", "x") == 1, "its end");
    worker_stop(worker, 10);
}

Test(crashes, are_none_where_a_stop_leaves_a_message_behind)
{
    assert_not_charged(", 'shutdown_timeout': '300ms'", 0, 1);
}

Test(crashes, are_none_where_a_second_signal_leaves_a_message_behind)
{
    assert_not_charged("", SIGTERM, 1);
}

Test(crashes, are_none_where_a_stop_takes_too_long_for_somebody)
{
    assert_not_charged("", SIGKILL, SIGNALLED + SIGKILL);
}

Test(crashes, are_reported_as_json_where_the_log_is)
{
    const char *queue = stage_name("json");
    const char *arguments[] = {"sh", "-c", NULL, NULL};
    char command[512], lines[32];
    struct worker *worker;

    client_declare(stage_client(), queue, "classic");
    worker = start(queue, "classic", ", 'log': {'format': 'json'}");
    send(queue, "x", "segfault");
    worker_await_end(worker, 20, SIGNALLED + SIGSEGV);
    cr_expect_eq(worker_said(worker, "\"message\":\"crashed: SIGSEGV at address 0x10; the process ends\""),
                 1);
    cr_expect_geq(worker_said(worker, "\"message\":\"  #"), 3);
    snprintf(command, sizeof(command), "grep -cv '^{\"time\":.*}$' '%s'", stage_path("stderr.0"));
    arguments[2] = command;
    command_run(arguments, lines, sizeof(lines));
    cr_expect_str_eq(lines, "0", "%s lines are not JSON", lines);
}

Test(crashes, do_not_need_a_ledger_to_be_reported_nor_to_be_survived)
{
    const char *queue = stage_name("without");
    struct worker *worker;

    fclose(fopen(stage_path("state"), "we"));
    client_declare(stage_client(), queue, "classic");
    worker = start(queue, "classic", "");
    worker_await_saying(worker, 5, "no ledger is kept: ");
    send(queue, "x", "segfault");
    worker_await_end(worker, 20, SIGNALLED + SIGSEGV);
    cr_expect_eq(worker_said(worker, "message-id=x attempt=1 crashed: SIGSEGV"), 1);
    await(10, client_ready(stage_client(), queue) == 1, "the message back in its queue");
    client_purge(stage_client(), queue);
    worker_start_again(worker);
    worker_await_consuming(worker, queue);
    client_purge(stage_client(), queue);
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 10, WORKER_ANY_STATUS);
}

/* --- Blocked loops --------------------------------------------------------------------------------------*/

Test(crashes, a_blocked_loop_is_named_within_two_seconds_and_when_it_goes_on)
{
    const char *queue = stage_name("blocked");
    struct worker *worker;
    double began;

    client_declare(stage_client(), queue, "classic");
    worker = start(queue, "classic", "");
    send(queue, "x", "until");
    await(10, records_count(stage_path("record"), "begin", "x") == 1, "its beginning");
    began = records_first_at(stage_path("record"), "begin", "x");
    worker_await_saying(worker, 5, "message-id=x attempt=1 the loop is blocked for 1");
    cr_expect_lt(patience_now() - began, patience_stretched(2), "it was named after %.1f s",
                 patience_now() - began);
    await(5, worker_said(worker, "the loop is blocked for ") >= 2, "it to be named again");
    cr_expect_geq(worker_said(worker, "crash.so+0x"), 1, "no frame of the processor was shown");
    fclose(fopen(stage_path("release"), "we"));
    worker_await_saying(worker, 5, "the loop goes on; it was blocked for about ");
    worker_stop(worker, 10);
}

Test(crashes, a_stopped_process_is_not_taken_for_a_blocked_loop)
{
    const char *queue = stage_name("stopped");
    struct worker *worker;

    client_declare(stage_client(), queue, "classic");
    worker = start(queue, "classic", ", 'stall_limit': '8s'");
    send(queue, "x", "until");
    await(10, records_count(stage_path("record"), "begin", "x") == 1, "its beginning");
    worker_signal(worker, SIGSTOP);
    /* Time itself is what matters here: longer than the limit. */
    poll(NULL, 0, 10000);
    worker_signal(worker, SIGCONT);
    poll(NULL, 0, 700);
    fclose(fopen(stage_path("release"), "we"));
    await(10, records_count(stage_path("record"), "end", "x") == 1, "its end");
    worker_stop(worker, 10);
}
