/* Child processes (`run: process`) that crash, hang, or never come up: what that costs, and whom. */
#include "stage.h"

#include <dirent.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* AddressSanitizer would make an exit of every crash. */
static void open_stage(void)
{
    setenv("ASAN_OPTIONS", "handle_segv=0:allow_user_segv_handler=1", 1);
    stage_open();
}

TestSuite(child_crashes, .init = open_stage, .fini = stage_close, .timeout = 300);

static const char *dead_queue(const char *queue)
{
    static char name[256];

    snprintf(name, sizeof(name), "%s.dead", queue);
    return name;
}

static struct worker *start(const char *queue, const char *more)
{
    struct worker *worker = worker_start("",
                                         "[{'name': '%s', 'processor': 'modes', 'settings': {'path': '%s'},"
                                         "  'run': 'process'%s}]",
                                         queue, stage_path("notes"), more);

    worker_await_consuming(worker, queue);
    return worker;
}

static struct client_message *take(const char *queue, double seconds)
{
    struct client_message *message = NULL;

    await(seconds, client_ready(stage_client(), queue) > 0, "a message in %s", queue);
    await(5, (message = client_get(stage_client(), queue)) != NULL, "the message in %s", queue);
    return message;
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

/* Whether `parent` has that process; `started` takes when, in ticks since the machine's start. */
static bool is_child(const char *process, pid_t parent, unsigned long long *started)
{
    char path[300], text[512] = "", state;
    int of = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%s/stat", process);
    if (atoi(process) <= 0 || !(file = fopen(path, "re"))) {
        return false;
    }
    const char *rest = fgets(text, sizeof(text), file) ? strrchr(text, ')') : NULL;
    fclose(file);
    return rest &&
           sscanf(rest + 1, " %c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
                  &state, &of, started) == 3 &&
           of == parent && state != 'Z';
}

/* Up to `most` process numbers of the children that `parent` has now, from the oldest. */
static unsigned children_of(pid_t parent, pid_t *children, unsigned most)
{
    enum {
        MOST = 8
    };
    DIR *processes = opendir("/proc");
    unsigned long long started[MOST], start;
    unsigned count = 0;

    cr_assert(processes && most <= MOST);
    for (struct dirent *entry; (entry = readdir(processes)) != NULL && count < most;) {
        if (!is_child(entry->d_name, parent, &start)) {
            continue;
        }
        unsigned place = count++;
        for (; place > 0 && started[place - 1] > start; place--) {
            started[place] = started[place - 1];
            children[place] = children[place - 1];
        }
        started[place] = start;
        children[place] = atoi(entry->d_name);
    }
    closedir(processes);
    return count;
}

static pid_t only_child(const struct worker *worker)
{
    pid_t child = 0;

    await(20, children_of(worker_pid(worker), &child, 1) == 1, "a child process");
    return child;
}

static void await_ready(const struct worker *worker, pid_t child)
{
    char line[64];

    snprintf(line, sizeof(line), "the child process %d is ready", (int)child);
    await(20, worker_said(worker, line) > 0, "\"%s\"", line);
}

/* How many attempts were charged for nothing: those beyond the first of each message. One that was run again
 * because its child died right behind its end has several, and counts once. */
static unsigned charged_attempts(void)
{
    enum {
        IDS = 20000
    };
    struct records records = records_read(stage_path("notes"));
    unsigned attempts[IDS] = {0}, charged = 0;

    for (size_t i = 0; i < records.count; i++) {
        const struct record *record = &records.items[i];
        unsigned long id = strtoul(record->id, NULL, 10);
        if (strcmp(record->event, "end") == 0 && id < IDS && record->attempt > attempts[id]) {
            attempts[id] = record->attempt;
        }
    }
    for (size_t id = 0; id < IDS; id++) {
        charged += attempts[id] > 1 ? attempts[id] - 1 : 0;
    }
    records_destroy(&records);
    return charged;
}

static bool is_stopped(pid_t process)
{
    char path[64], text[512] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)process);
    file = fopen(path, "re");
    cr_assert_not_null(file, "no process %d any more", (int)process);
    cr_assert_not_null(fgets(text, sizeof(text), file));
    fclose(file);
    return strstr(text, ") T ") != NULL;
}

/* Whether `process` has begun a message that it has not ended. */
static bool has_begun(pid_t process)
{
    struct records records = records_read(stage_path("notes"));
    long at_work = 0;

    for (size_t i = 0; i < records.count; i++) {
        if (records.items[i].process == process) {
            at_work += strcmp(records.items[i].event, "begin") == 0 ? 1 : -1;
        }
    }
    records_destroy(&records);
    return at_work > 0;
}

/* One that has just ended all that it had, and has read no more yet, has nobody to be charged: it goes on. */
static bool stop_at_work(pid_t child)
{
    cr_assert_eq(kill(child, SIGSTOP), 0);
    await(20, is_stopped(child), "the child stops");
    if (!has_begun(child)) {
        cr_assert_eq(kill(child, SIGCONT), 0);
        return false;
    }
    return true;
}

Test(child_crashes, in_what_a_processor_offloads_cost_the_guilty_message_alone)
{
    const char *queue = stage_name("offloaded");
    struct worker *worker = start(queue, ", 'retry': {'delay': '100ms'}");

    client_send_copies(stage_client(), queue, 20, "sleep 12000");
    await(10, records_count(stage_path("notes"), "begin", NULL) == 20, "20 at work");
    client_send(stage_client(), queue, "20", "offexit 1");
    await(80, records_ended_ids(stage_path("notes"), 21) == 21, "21 ends, found %zu",
          records_ended_ids(stage_path("notes"), 21));
    cr_assert_eq(records_count(stage_path("notes"), "begin", "20"), 2, "the guilty one, twice");
    cr_assert_eq(charged_attempts(), 1, "%u attempts were charged", charged_attempts());
    worker_stop(worker, 20);
}

Test(child_crashes, cost_the_guilty_message_one_attempt_and_the_others_none)
{
    const char *queue = stage_name("guilty");
    struct worker *worker = start(queue, ", 'retry': {'delay': '100ms'}");

    /* Long enough that all are at work still when the guilty one comes, on a busy machine, too. */
    client_send_copies(stage_client(), queue, 20, "sleep 12000");
    await(10, records_count(stage_path("notes"), "begin", NULL) == 20, "20 at work");
    client_send(stage_client(), queue, "20", "segv 1");
    await(80, records_ended_ids(stage_path("notes"), 21) == 21, "21 ends, found %zu",
          records_ended_ids(stage_path("notes"), 21));
    cr_assert_eq(records_count(stage_path("notes"), "begin", "20"), 2, "the guilty one, twice");
    cr_assert_eq(records_count(stage_path("notes"), "begin", "7"), 2, "an innocent one, run again");
    cr_assert_eq(charged_attempts(), 1, "%u attempts were charged", charged_attempts());
    cr_assert_eq(worker_said(worker, "SIGSEGV"), 2, "the child's end, and the attempt's");
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).acked, 21);
    cr_assert_eq(worker_counts(worker, queue).consumed, 21, "the broker has noticed");
}

Test(child_crashes, of_every_attempt_end_in_a_dead_letter_that_says_so)
{
    const char *queue = stage_name("always");
    struct client_message *dead;
    struct worker *worker = start(queue, ", 'retry': {'attempts': 3, 'delay': '50ms'}");

    client_send(stage_client(), queue, "s", "segv");
    dead = take(dead_queue(queue), 30);
    assert_header(dead, "whippet-reason", "^crash$");
    assert_header(dead, "whippet-error", "^the child process ended by SIGSEGV");
    assert_header(dead, "whippet-attempts", "^3$");
    client_message_destroy(dead);
    cr_assert_eq(records_count(stage_path("notes"), "begin", "s"), 3);
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).dead_lettered, 1);
}

Test(child_crashes, include_a_processor_that_ends_the_process)
{
    const char *queue = stage_name("exit");
    struct client_message *dead;
    struct worker *worker = start(queue, ", 'retry': {'attempts': 1}");

    client_send(stage_client(), queue, "e", "exit");
    dead = take(dead_queue(queue), 30);
    assert_header(dead, "whippet-reason", "^crash$");
    assert_header(dead, "whippet-error", "ended itself with exit status 3");
    client_message_destroy(dead);
    worker_stop(worker, 20);
}

Test(child_crashes, include_a_processor_that_writes_into_the_worker_s_socket)
{
    const char *queue = stage_name("scribble");
    struct worker *worker = start(queue, ", 'retry': {'delay': '50ms'}");

    client_send(stage_client(), queue, "s", "scribble 1");
    await(30, records_count(stage_path("notes"), "end", "s") >= 1, "an end");
    worker_await_saying(worker, 10, "makes no sense");
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).acked, 1);
}

Test(child_crashes, by_what_a_processor_writes_into_the_worker_s_socket_are_not_blamed_on_the_kernel)
{
    const char *queue = stage_name("scribbles");
    struct client_message *dead;
    struct worker *worker = start(queue, ", 'retry': {'attempts': 1}, 'concurrency': 1");

    client_send(stage_client(), queue, "s", "scribble");
    dead = take(dead_queue(queue), 30);
    assert_header(dead, "whippet-reason", "^crash$");
    assert_header(dead, "whippet-error", "makes no sense");
    client_message_destroy(dead);
    worker_stop(worker, 20);
}

/* Its end takes a while: what comes meanwhile is for the other one. */
Test(child_crashes, of_a_child_that_has_lost_its_socket_keep_no_message_from_another)
{
    const char *queue = stage_name("hangup");
    struct worker *worker =
        start(queue, ", 'processes': 2, 'concurrency': 32, 'prefetch': 200, 'retry': {'delay': '50ms'}");

    for (unsigned i = 0; i < 20; i++) {
        client_send(stage_client(), queue, "h", "hangup 1");
        client_send_many(stage_client(), queue, 500);
    }
    await(60, records_ended_ids(stage_path("notes"), 500) == 500 && client_ready(stage_client(), queue) == 0,
          "all of them");
    worker_stop(worker, 20);
    cr_assert_eq(worker_said(worker, "out of memory to hand it"), 0);
}

Test(child_crashes, from_outside_and_under_load_lose_nothing_and_charge_one_message_each)
{
    enum {
        MESSAGES = 5000,
        MORE = 1000,
        KILLS = 6
    };
    const char *queue = stage_name("load");
    struct worker *worker;
    unsigned sent = MESSAGES;

    client_declare(stage_client(), queue, "classic");
    client_send_many(stage_client(), queue, MESSAGES);
    worker = worker_start("'log': {'level': 'debug'}",
                          "[{'name': '%s', 'processor': 'modes', 'run': 'process',"
                          "  'settings': {'path': '%s', 'delay': '100ms'}, 'processes': 2,"
                          "  'type': 'classic', 'concurrency': 32, 'prefetch': 200,"
                          "  'retry': {'delay': '20ms'}}]",
                          queue, stage_path("notes"));
    worker_await_consuming(worker, queue);
    for (unsigned kills = 0; kills < KILLS; kills++) {
        size_t before = records_count(stage_path("notes"), "end", NULL);
        pid_t children[2];
        if (records_ended_ids(stage_path("notes"), sent) + MORE >
            sent) { /* it is to last until the last kill */
            client_send_numbered(stage_client(), queue, sent, MORE, 0);
            sent += MORE;
        }
        await(20, records_count(stage_path("notes"), "end", NULL) > before + 100, "load");
        await(20, children_of(worker_pid(worker), children, 2) == 2, "two children");
        await(20, stop_at_work(children[0]), "a child with a message at work");
        cr_assert_eq(kill(children[0], SIGSEGV), 0);
        cr_assert_eq(kill(children[0], SIGCONT), 0);
        await(20, worker_said(worker, "a child process has ended") == kills + 1, "the end of a child");
    }
    await(60, records_ended_ids(stage_path("notes"), sent) == sent, "%u ends, found %zu", sent,
          records_ended_ids(stage_path("notes"), sent));
    worker_stop(worker, 20);
    cr_assert_eq(charged_attempts(), KILLS, "%u attempts were charged for %d crashes", charged_attempts(),
                 KILLS);
    cr_assert_eq(worker_counts(worker, queue).acked, sent);
    cr_assert_eq(worker_counts(worker, queue).consumed, sent, "the broker has noticed");
    cr_assert_eq(client_ready(stage_client(), queue), 0);
}

Test(child_crashes, are_told_from_attempts_that_hold_their_process_up)
{
    const char *queue = stage_name("spin");
    struct client_message *dead;
    struct worker *worker;
    char more[128];

    /* Far more than the innocent ones need, on a busy machine, too. */
    snprintf(more, sizeof(more),
             ", 'concurrency': 8, 'timeout': '%.0fs', 'retry': {'attempts': 2, 'delay': '20ms'}",
             patience_stretched(2));
    worker = start(queue, more);

    client_send(stage_client(), queue, "spin", "spin");
    await(10, records_count(stage_path("notes"), "begin", "spin") == 1, "it spins");
    client_send_copies(stage_client(), queue, 5, "sleep 1");
    dead = take(dead_queue(queue), 60);
    assert_header(dead, "whippet-reason", "^timeout$");
    assert_header(dead, "whippet-error", "held up its child process");
    assert_header(dead, "whippet-attempts", "^2$");
    client_message_destroy(dead);
    await(20, records_ended_ids(stage_path("notes"), 5) == 5, "the others");
    cr_assert_eq(charged_attempts(), 0, "an innocent one paid");
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).acked, 5);
}

Test(child_crashes, of_the_parent_take_its_children_along)
{
    const char *queue = stage_name("orphan");
    struct worker *worker = start(queue, "");
    pid_t child = only_child(worker);

    client_send(stage_client(), queue, "o", "sleep 60000");
    await(10, records_count(stage_path("notes"), "begin", "o") == 1, "a beginning");
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 20, 128 + SIGKILL);
    await(10, kill(child, 0) != 0, "the end of the child");
    await(10, client_ready(stage_client(), queue) == 1, "the message back in its queue");
}

Test(child_crashes, of_a_child_while_the_worker_stops_return_its_messages)
{
    const char *queue = stage_name("stopping");
    struct worker *worker = start(queue, "");
    pid_t child = only_child(worker);

    client_send_copies(stage_client(), queue, 5, "sleep 60000");
    await(10, records_count(stage_path("notes"), "begin", NULL) == 5, "five at work");
    worker_signal(worker, SIGTERM);
    worker_await_saying(worker, 10, "stopping");
    kill(child, SIGSEGV);
    worker_await_end(worker, 20, 0);
    cr_assert_eq(worker_counts(worker, queue).returned, 5);
    await(10, client_ready(stage_client(), queue) == 5, "the messages back in their queue");
}

Test(child_crashes, do_not_come_from_signals_that_the_whole_group_gets)
{
    const char *queue = stage_name("group");
    struct worker *worker = start(queue, "");
    pid_t child = only_child(worker);

    client_send(stage_client(), queue, "g", "sleep 1000");
    await(10, records_count(stage_path("notes"), "begin", "g") == 1, "a beginning");
    kill(child, SIGINT);
    kill(child, SIGTERM);
    kill(child, SIGHUP);
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).acked, 1);
    cr_assert_eq(records_count(stage_path("notes"), "down", NULL), 1, "teardown() was not called");
}

static void set_down(bool down)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "%s.down", stage_path("notes"));
    if (!down) {
        unlink(path);
        return;
    }
    file = fopen(path, "we");
    cr_assert_not_null(file);
    fclose(file);
}

enum {
    STOPPED = 3
};

/* A worker whose children have stopped before they could read the message that the first of them was sent;
 * those that come after them are held up in their setup(). */
static struct worker *start_with_stopped_children(const char *queue, pid_t children[STOPPED])
{
    struct worker *worker =
        worker_start("'log': {'level': 'debug'}",
                     "[{'name': '%s', 'processor': 'modes', 'run': 'process', 'processes': 3,"
                     "  'settings': {'path': '%s', 'setup': 'wait'},"
                     "  'retry': {'delay': '20ms'}}]",
                     queue, stage_path("notes"));

    worker_await_consuming(worker, queue);
    await(20, children_of(worker_pid(worker), children, STOPPED) == STOPPED, "three children");
    for (unsigned i = 0; i < STOPPED; i++) {
        await_ready(worker, children[i]);
        cr_assert_eq(kill(children[i], SIGSTOP), 0);
    }
    set_down(true);
    client_send(stage_client(), queue, "m", "");
    await(20, client_ready(stage_client(), queue) == 0, "the message at the worker");
    await(10, (worker_signal(worker, SIGUSR1), worker_said(worker, "running in a child process") > 0),
          "the message on its way to a child");
    return worker;
}

static void kill_first(const struct worker *worker, const pid_t *children, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        cr_assert_eq(kill(children[i], SIGKILL), 0);
        await(20, worker_said(worker, "a child process has ended") == i + 1, "the end of a child");
    }
}

Test(child_crashes, charge_no_message_that_never_was_on_the_child_s_cpu)
{
    const char *queue = stage_name("unbegun");
    pid_t children[STOPPED];
    struct worker *worker = start_with_stopped_children(queue, children);

    kill_first(worker, children, 2);
    kill(children[2], SIGCONT);
    await(20, records_ended_ids(stage_path("notes"), 1) == 1, "an end");
    cr_assert_eq(charged_attempts(), 0, "it was charged without having begun");
    set_down(false);
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).acked, 1);
}

/* Else one that brings its child down as it is read would do so for ever. */
Test(child_crashes, charge_a_message_that_three_children_died_of_before_they_began_it)
{
    const char *queue = stage_name("unread");
    pid_t children[STOPPED];
    struct worker *worker = start_with_stopped_children(queue, children);

    kill_first(worker, children, 3);
    worker_await_saying(worker, 10, "attempt 1 of 5 failed");
    set_down(false);
    await(20, records_ended_ids(stage_path("notes"), 1) == 1, "an end");
    cr_assert_eq(charged_attempts(), 1);
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).acked, 1);
}

static void come_up_late(const char *how, const char *complaint)
{
    const char *queue = stage_name("late");
    struct worker *worker;

    set_down(true);
    worker = worker_start("'log': {'level': 'debug'}",
                          "[{'name': '%s', 'processor': 'modes', 'run': 'process', 'declare': 'create',"
                          "  'settings': {'path': '%s', 'setup': '%s'}}]",
                          queue, stage_path("notes"), how);
    worker_await_saying(worker, 20, complaint);
    await(20, worker_said(worker, complaint) >= 3, "more tries");
    cr_assert_eq(worker_said(worker, "\"level\":\"error\""), 1, "it was not complained of once");
    cr_assert_eq(worker_said(worker, "consuming"), 0, "it took messages that nobody could run");
    set_down(false);
    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "m", "");
    await(20, records_count(stage_path("notes"), "end", "m") == 1, "an end");
    worker_stop(worker, 20);
}

Test(child_crashes, in_setup_are_said_and_tried_again)
{
    come_up_late("segv", "ended by SIGSEGV (Segmentation fault) before it was set up");
}

Test(child_crashes, are_not_needed_for_a_setup_to_fail_and_be_tried_again)
{
    come_up_late("fail", "could not be set up: the database is down");
}

Test(child_crashes, leave_no_process_behind_when_the_work_does_not_end)
{
    const char *queue = stage_name("stuck");
    struct worker *worker =
        worker_start("'shutdown_timeout': '300ms'",
                     "[{'name': '%s', 'processor': 'modes', 'settings': {'path': '%s'}, 'run': 'process'}]",
                     queue, stage_path("notes"));
    pid_t child;

    worker_await_consuming(worker, queue);
    child = only_child(worker);
    client_send(stage_client(), queue, "s", "spin");
    await(10, records_count(stage_path("notes"), "begin", "s") == 1, "it spins");
    worker_stop(worker, 20);
    cr_assert_neq(kill(child, 0), 0, "the child is still there");
    cr_assert_eq(worker_counts(worker, queue).returned, 1);
    await(10, client_ready(stage_client(), queue) == 1, "the message back in its queue");
}
