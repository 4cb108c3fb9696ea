/* What is in flight, as /api/status lists it and SIGUSR1 logs it. */
#include "http.h"
#include "stage.h"

#include <cjson/cJSON.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(in_flight, .init = stage_open, .fini = stage_close, .timeout = 120);

static const char *const OPTIONS = "'admin': {'listen': '127.0.0.1:0'}, 'log': {'format': 'text'}";

/* The port that the worker says it has. */
static unsigned port_of(struct worker *worker)
{
    worker_await_saying(worker, 10, "admin port at http://127.0.0.1:");
    return worker_number_behind(worker, "admin port at http://127.0.0.1:");
}

/* /api/status, for the caller to cJSON_Delete. */
static cJSON *status_of(unsigned port)
{
    struct http_reply reply = http_get(port, "/api/status");
    cJSON *status = cJSON_ParseWithLength(reply.body, reply.size);

    cr_assert_not_null(status, "no JSON: %.200s", reply.text);
    http_free(&reply);
    return status;
}

static const cJSON *tasks_of(const cJSON *status)
{
    return cJSON_GetObjectItem(cJSON_GetObjectItem(status, "in_flight"), "tasks");
}

static unsigned listed(unsigned port)
{
    cJSON *status = status_of(port);
    unsigned count = (unsigned)cJSON_GetArraySize(tasks_of(status));
    cJSON_Delete(status);
    return count;
}

static const char *text_of(const cJSON *task, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(task, name));
    return text ? text : "";
}

static void kill_worker(struct worker *worker)
{
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 10, WORKER_ANY_STATUS);
}

/* --- All of it ------------------------------------------------------------------------------------------*/

/* Each of the ids "0", "1", … must be there once; other ids do not count. */
static void assert_each_once(const cJSON *tasks, unsigned count)
{
    unsigned *times = calloc(count, sizeof(*times));
    const cJSON *task;

    cJSON_ArrayForEach(task, tasks)
    {
        char *end;
        unsigned long id = strtoul(text_of(task, "message_id"), &end, 10);
        if (*end == '\0' && id < count) {
            times[id]++;
        }
    }
    for (unsigned id = 0; id < count; id++) {
        cr_assert_eq(times[id], 1, "message %u is listed %u times", id, times[id]);
    }
    free(times);
}

static bool is_blocked(const cJSON *status)
{
    return cJSON_IsObject(cJSON_GetObjectItem(cJSON_GetObjectItem(status, "loop"), "blocked"));
}

static bool blocks(unsigned port)
{
    cJSON *status = status_of(port);
    bool blocked = is_blocked(status);
    cJSON_Delete(status);
    return blocked;
}

Test(in_flight, is_listed_to_the_last_message_while_the_loop_is_blocked_too)
{
    const unsigned messages = worker_is_traced() ? 3000 : 12000;
    const char *held = stage_name("held"), *stone = stage_name("stone");

    client_declare(stage_client(), held, "classic");
    client_send_many(stage_client(), held, messages);
    struct worker *worker =
        worker_start(OPTIONS,
                     "[{'name': '%s', 'processor': 'record', 'type': 'classic', 'concurrency': 1,"
                     "  'prefetch': %u, 'settings': {'path': '%s', 'delay': '4m'}},"
                     " {'name': '%s', 'processor': 'record', 'settings': {'path': '%s', 'block': '100s'}}]",
                     held, messages + 10, stage_path("held"), stone, stage_path("stone"));
    unsigned port = port_of(worker);

    await(60, listed(port) == messages, "%u messages in flight, %u are", messages, listed(port));
    worker_signal(worker, SIGUSR1);
    await(60, worker_said(worker, "in flight: ") == messages, "a line for each");
    worker_await_consuming(worker, stone);
    client_send(stage_client(), stone, "stone", "x");
    await(60, blocks(port), "the loop to be blocked");
    cJSON *status = status_of(port);
    cr_assert(is_blocked(status));
    assert_each_once(tasks_of(status), messages);
    cr_assert_eq(cJSON_GetObjectItem(cJSON_GetObjectItem(status, "in_flight"), "count")->valuedouble,
                 cJSON_GetArraySize(tasks_of(status)));
    cJSON_Delete(status);
    kill_worker(worker);
}

/* --- What each does -------------------------------------------------------------------------------------*/

static const struct doing {
    const char *id; /* of the message */
    const char *processor;
    const char *state;
    bool is_at_work;
} DOINGS[] = {
    {"thread", "record", "running in a thread", true},
    {"sleep", "record", "sleeping", true},
    {"second", "record", "waiting for its turn", false},
    {"wait", "waiting", "waiting for a descriptor", true},
    {"retry", "record", "between two attempts", false},
    {"reject", "record", "on its way to another queue", true},
};

enum {
    DOING_COUNT = sizeof(DOINGS) / sizeof(DOINGS[0])
};

static struct worker *start_doing_all(const char *full)
{
    const char *path = stage_path("record");

    client_declare_full(stage_client(), full);
    return worker_start(
        OPTIONS,
        "[{'name': '%s', 'processor': 'record', 'run': 'thread', 'settings': {'path': '%s', 'block': "
        "'100s'}},"
        " {'name': '%s', 'processor': 'record', 'concurrency': 1, 'prefetch': 2,"
        "  'settings': {'path': '%s', 'delay': '4m'}},"
        " {'name': '%s', 'processor': 'waiting'},"
        " {'name': '%s', 'processor': 'record', 'timeout': '10s', 'retry': {'attempts': 2, 'delay': '4m'},"
        "  'settings': {'path': '%s', 'verdict': 'retry'}},"
        " {'name': '%s', 'processor': 'record', 'dead_letter': '%s',"
        "  'settings': {'path': '%s', 'verdict': 'reject'}}]",
        stage_name("thread"), path, stage_name("sleep"), path, stage_name("wait"), stage_name("retry"), path,
        stage_name("reject"), full, path);
}

/* The queue that a message goes to: the second has that of the one that sleeps. */
static const char *queue_of(const struct doing *doing)
{
    return stage_name(strcmp(doing->id, "second") == 0 ? "sleep" : doing->id);
}

static const cJSON *find_task(const cJSON *status, const struct doing *doing)
{
    const cJSON *task;

    cJSON_ArrayForEach(task, tasks_of(status))
    {
        if (strcmp(text_of(task, "message_id"), doing->id) == 0) {
            return task;
        }
    }
    return NULL;
}

static bool all_do(unsigned port, double least_age)
{
    cJSON *status = status_of(port);
    unsigned count = 0;

    for (unsigned i = 0; i < DOING_COUNT; i++) {
        const cJSON *task = find_task(status, &DOINGS[i]);
        count += task && strcmp(text_of(task, "state"), DOINGS[i].state) == 0 &&
                 cJSON_GetObjectItem(task, "age_seconds")->valuedouble >= least_age;
    }
    cJSON_Delete(status);
    return count == DOING_COUNT;
}

static void assert_age(const cJSON *age, const char *id, double least, double most)
{
    cr_assert(cJSON_IsNumber(age), "%s has no age", id);
    cr_assert(age->valuedouble >= least - 0.001 && age->valuedouble <= most + 0.001,
              "%s is %g s old, not %g to %g", id, age->valuedouble, least, most);
}

static void assert_listed(unsigned port, double sent_at, double seen_at)
{
    double asked_at = patience_now();
    cJSON *status = status_of(port);
    double most = patience_now() - sent_at, least = asked_at - seen_at;

    for (unsigned i = 0; i < DOING_COUNT; i++) {
        const struct doing *doing = &DOINGS[i];
        const cJSON *task = find_task(status, doing);
        cr_assert_not_null(task, "%s is not listed", doing->id);
        cr_assert_str_eq(text_of(task, "queue"), queue_of(doing));
        cr_assert_str_eq(text_of(task, "processor"), doing->processor);
        cr_assert_str_eq(text_of(task, "state"), doing->state);
        cr_assert_eq(cJSON_GetObjectItem(task, "attempt")->valuedouble,
                     strcmp(doing->id, "second") == 0 ? 0 : 1);
        assert_age(cJSON_GetObjectItem(task, "age_seconds"), doing->id, least, most);
        const cJSON *attempt_age = cJSON_GetObjectItem(task, "attempt_age_seconds");
        if (doing->is_at_work) {
            assert_age(attempt_age, doing->id, least, most);
        } else {
            cr_assert(cJSON_IsNull(attempt_age), "no attempt of %s is at work", doing->id);
        }
    }
    cJSON_Delete(status);
}

/* "…orders-1[record] message-id=m attempt=1 in flight: sleeping; age 1.2 s": the age is checked to the
 * second. */
static void assert_logged(struct worker *worker, double sent_at, double seen_at)
{
    double least = patience_now() - seen_at;

    worker_signal(worker, SIGUSR1);
    for (unsigned i = 0; i < DOING_COUNT; i++) {
        const struct doing *doing = &DOINGS[i];
        char text[400];
        snprintf(text, sizeof(text), "%s[%s] message-id=%s%s in flight: %s; age ", queue_of(doing),
                 doing->processor, doing->id, strcmp(doing->id, "second") == 0 ? "" : " attempt=1",
                 doing->state);
        worker_await_saying(worker, 10, text);
        unsigned age = worker_number_behind(worker, text);
        cr_assert(age + 1 > least && age <= patience_now() - sent_at + 0.1, "%s is %u s old", doing->id, age);
    }
}

Test(in_flight, says_what_each_does_and_for_how_long)
{
    struct worker *worker = start_doing_all(stage_name("full"));
    unsigned port = port_of(worker);

    for (unsigned i = 0; i < DOING_COUNT; i++) {
        worker_await_consuming(worker, queue_of(&DOINGS[i]));
    }
    double sent_at = patience_now();
    for (unsigned i = 0; i < DOING_COUNT; i++) {
        client_send(stage_client(), queue_of(&DOINGS[i]), DOINGS[i].id, "x");
    }
    await(30, all_do(port, 0), "each to do what it is to do");
    double seen_at = patience_now();
    await(30, all_do(port, 2), "each to be two seconds old");
    assert_listed(port, sent_at, seen_at);
    assert_logged(worker, sent_at, seen_at);
    kill_worker(worker);
}
