#include "../../src/admin/status.h"
#include "admin_testing.h"
#include <base/bytes.h>
#include <base/memory.h>
#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct text page;

static void begin(void)
{
    registry_open();
    text_init(&page);
}

static void end(void)
{
    text_destroy(&page);
    registry_close();
}

TestSuite(status, .init = begin, .fini = end);

/* The page as JSON, for the caller to cJSON_Delete. */
static cJSON *parse(void)
{
    cr_assert(!page.failed);
    cJSON *root =
        cJSON_ParseWithLength((const char *)buffer_begin(&page.buffer), buffer_length(&page.buffer));
    cr_assert_not_null(root, "no JSON: %.*s", (int)buffer_length(&page.buffer),
                       (const char *)buffer_begin(&page.buffer));
    return root;
}

/* The value at "a.b.0.c". */
static const cJSON *at(const cJSON *root, const char *path)
{
    char copy[128], *rest = copy;
    snprintf(copy, sizeof copy, "%s", path);
    for (const char *word; root != NULL && (word = strsep(&rest, ".")) != NULL;)
        root = cJSON_IsArray(root) ? cJSON_GetArrayItem(root, atoi(word))
                                   : cJSON_GetObjectItemCaseSensitive(root, word);
    cr_assert_not_null(root, "there is no %s", path);
    return root;
}

static void assert_text(const cJSON *root, const char *path, const char *expected)
{
    cr_assert_str_eq(at(root, path)->valuestring, expected, "%s is \"%s\"", path,
                     at(root, path)->valuestring);
}

/* That of what is `least` seconds old, or a little more by the time that it was written. */
static void assert_age(const cJSON *root, const char *path, double least)
{
    double age = at(root, path)->valuedouble;
    cr_assert(age >= least - 0.002 && age < least + 60, "%s is %g", path, age);
}

static void assert_number(const cJSON *root, const char *path, double expected)
{
    cr_assert_float_eq(at(root, path)->valuedouble, expected, 0.002, "%s is %g", path,
                       at(root, path)->valuedouble);
}

Test(status, is_live_while_the_loop_ticks)
{
    cr_assert(status_write_live(&page, &stats));
    cJSON *root = parse();
    cr_assert(cJSON_IsTrue(at(root, "live")));
    cJSON_Delete(root);
}

Test(status, is_live_without_a_broker)
{
    connection_stats_down(&stats.connections[CONNECTION_CONSUME], "refused", clock_monotonic());
    queue_stats_enter(&orders, SUBSCRIPTION_IDLE, clock_monotonic());
    cr_assert(status_write_live(&page, &stats));
}

Test(status, is_not_live_when_the_loop_has_not_ticked_for_long)
{
    stats.loop.ticked_at = clock_monotonic() - STATUS_LIVE_SECONDS - 1;
    cr_assert_not(status_write_live(&page, &stats));
    cJSON *root = parse();
    assert_number(root, "last_tick_seconds_ago", STATUS_LIVE_SECONDS + 1);
    cr_assert_not_null(strstr(at(root, "why")->valuestring, "loop is blocked"));
    cJSON_Delete(root);
}

Test(status, is_ready_when_every_queue_is_consumed)
{
    cr_assert(status_write_ready(&page, &stats));
    cJSON *root = parse();
    cr_assert(cJSON_IsTrue(at(root, "ready")));
    cr_assert_eq(cJSON_GetArraySize(at(root, "not_ready")), 0);
    cJSON_Delete(root);
}

Test(status, names_the_queue_that_is_not_ready_and_why)
{
    shared_text_set(&emails.failure, "there is no queue emails");
    queue_stats_enter(&emails, SUBSCRIPTION_FAILED, clock_monotonic());
    cr_assert_not(status_write_ready(&page, &stats));
    cJSON *root = parse();
    cr_assert_eq(cJSON_GetArraySize(at(root, "not_ready")), 1);
    assert_text(root, "not_ready.0.what", "subscription");
    assert_text(root, "not_ready.0.queue", "emails");
    assert_text(root, "not_ready.0.state", "failed");
    assert_text(root, "not_ready.0.why", "there is no queue emails");
    cJSON_Delete(root);
}

Test(status, names_the_connection_that_is_down_and_why)
{
    connection_stats_down(&stats.connections[CONNECTION_CONSUME], "connection refused", clock_monotonic());
    queue_stats_enter(&orders, SUBSCRIPTION_IDLE, clock_monotonic());
    cr_assert_not(status_write_ready(&page, &stats));
    cJSON *root = parse();
    assert_text(root, "not_ready.0.connection", "consume");
    assert_text(root, "not_ready.0.why", "connection refused");
    assert_text(root, "not_ready.1.queue", "orders");
    assert_text(root, "not_ready.1.why", "connection refused");
    cJSON_Delete(root);
}

Test(status, is_ready_but_says_so_when_the_broker_takes_no_messages)
{
    stats.connections[CONNECTION_PUBLISH].blocked = true;
    cr_assert(status_write_ready(&page, &stats));
    cJSON *root = parse();
    assert_text(root, "blocked.0", "publish");
    cJSON_Delete(root);
}

Test(status, is_not_ready_while_the_worker_stops)
{
    stats.stopping = true;
    cr_assert_not(status_write_ready(&page, &stats));
}

Test(status, tells_everything_of_a_queue)
{
    registry_deliver(&orders, ATTEMPT_OK, 0.03, OUTCOME_ACKED);
    registry_deliver(&orders, ATTEMPT_RETRY, 20, OUTCOME_DEAD_LETTERED);
    queue_counters_arrived(&orders.counters, PHASE_WAITING, clock_monotonic());
    queue_stats_fail(&orders, "no route to \"host\"", clock_monotonic());
    status_write(&page, &stats, "abcdef", SIZE_MAX);
    cJSON *root = parse();
    assert_text(root, "version", "1.2.3");
    assert_text(root, "commit", "abcdef");
    assert_text(root, "queues.0.queue", "orders");
    assert_text(root, "queues.0.processor", "log");
    assert_text(root, "queues.0.state", "consuming");
    assert_number(root, "queues.0.consumed", 3);
    assert_number(root, "queues.0.settled.acked", 1);
    assert_number(root, "queues.0.settled.dead_lettered", 1);
    assert_number(root, "queues.0.in_flight", 1);
    assert_number(root, "queues.0.waiting", 1);
    assert_number(root, "queues.0.attempts.ok", 1);
    assert_number(root, "queues.0.attempts.retry", 1);
    assert_number(root, "queues.0.durations.count", 2);
    assert_number(root, "queues.0.durations.sum_seconds", 20.03);
    assert_number(root, "queues.0.durations.buckets.3.count", 1);
    assert_number(root, "queues.0.durations.buckets.3.up_to_seconds", 0.05);
    assert_number(root, "queues.0.durations.buckets.14.count", 1);
    assert_text(root, "queues.0.last_error.text", "no route to \"host\"");
    cr_assert_not_null(at(root, "queues.0.last_delivery")->valuestring);
    cr_assert(cJSON_IsNull(at(root, "queues.1.last_delivery")));
    cr_assert(cJSON_IsNull(at(root, "queues.1.last_error")));
    assert_text(root, "connections.0.connection", "consume");
    assert_text(root, "connections.0.address", "amqp://guest@rabbit:5672/");
    assert_number(root, "connections.1.epoch", 1);
    cJSON_Delete(root);
}

static bool blocked_by_a_task(void *owner, struct loop_blocked *blocked)
{
    *blocked = (struct loop_blocked){.seconds = 3, .by_task = true, .attempt = 2, .message_id = "stone"};
    snprintf(blocked->queue, sizeof blocked->queue, "%s", (const char *)owner);
    return true;
}

Test(status, names_the_task_that_blocks_the_loop)
{
    stats.look_who_blocks = blocked_by_a_task;
    stats.looks = (void *)(uintptr_t) "emails";
    status_write(&page, &stats, "abcdef", SIZE_MAX);
    cJSON *root = parse();
    assert_number(root, "loop.blocked.seconds", 3);
    assert_text(root, "loop.blocked.queue", "emails");
    assert_text(root, "loop.blocked.processor", "exec");
    assert_text(root, "loop.blocked.message_id", "stone");
    assert_number(root, "loop.blocked.attempt", 2);
    cJSON_Delete(root);
}

static bool blocked_by_a_long_name(void *owner, struct loop_blocked *blocked)
{
    (void)owner;
    *blocked = (struct loop_blocked){.seconds = 1, .by_task = true, .queue = "ema", .queue_is_cut = true};
    return true;
}

Test(status, finds_the_queue_by_the_beginning_of_its_name)
{
    stats.look_who_blocks = blocked_by_a_long_name;
    status_write(&page, &stats, "abcdef", SIZE_MAX);
    cJSON *root = parse();
    assert_text(root, "loop.blocked.queue", "emails");
    cr_assert(cJSON_IsNull(at(root, "loop.blocked.message_id")));
    cJSON_Delete(root);
}

static bool blocked_by_the_worker(void *owner, struct loop_blocked *blocked)
{
    (void)owner;
    *blocked = (struct loop_blocked){.seconds = 1};
    return true;
}

Test(status, names_nobody_where_no_message_blocks_the_loop)
{
    stats.look_who_blocks = blocked_by_the_worker;
    status_write(&page, &stats, "abcdef", SIZE_MAX);
    cJSON *root = parse();
    cr_assert(cJSON_IsNull(at(root, "loop.blocked.queue")));
    cr_assert(cJSON_IsNull(at(root, "loop.blocked.processor")));
    cJSON_Delete(root);
}

Test(status, tells_what_the_management_api_says)
{
    const struct broker_numbers numbers = {.ready = 318, .unacknowledged = 41, .consumers = 3};
    status_write(&page, &stats, "abcdef", SIZE_MAX);
    cJSON *root = parse();
    cr_assert(cJSON_IsNull(at(root, "management")), "nobody asks it");
    cJSON_Delete(root);
    text_destroy(&page);
    stats.management.asked = true;
    shared_text_set(&stats.management.where, "http://rabbit:15672");
    stats_set_management(&stats, NULL);
    stats_set_broker(&stats, "orders", &numbers);
    status_write(&page, &stats, "abcdef", SIZE_MAX);
    root = parse();
    assert_text(root, "management.url", "http://rabbit:15672");
    cr_assert(cJSON_IsTrue(at(root, "management.up")));
    assert_number(root, "queues.0.broker.ready", 318);
    assert_number(root, "queues.0.broker.unacknowledged", 41);
    assert_number(root, "queues.0.broker.consumers", 3);
    cr_assert(cJSON_IsNull(at(root, "queues.1.broker")));
    cJSON_Delete(root);
    text_destroy(&page);
    stats_set_management(&stats, "it refuses this user");
    status_write(&page, &stats, "abcdef", SIZE_MAX);
    root = parse();
    assert_text(root, "management.error.text", "it refuses this user");
    cr_assert(cJSON_IsNull(at(root, "queues.0.broker")), "it is old news");
    cJSON_Delete(root);
}

/* On a list for the board; `id` may be NULL. */
static void add_task(struct in_flight_list *list, const char *queue, const char *id, const char *state,
                     unsigned attempt, double arrived_at, double at_work_since)
{
    const struct in_flight_row row = {.queue = queue,
                                      .processor = "log",
                                      .state = state,
                                      .attempt = attempt,
                                      .arrived_at = arrived_at,
                                      .at_work_since = at_work_since};
    cr_assert(in_flight_list_add(list, &row, bytes_of_text(id)));
}

Test(status, lists_what_is_in_flight_those_at_work_before_those_that_rest)
{
    double now = clock_monotonic();
    struct in_flight_list *list = in_flight_list_create(now);
    add_task(list, "orders", "resting", "between two attempts", 4, now - 1000, 0);
    add_task(list, "orders", "m1", "sleeping", 2, now - 50, now - 2);
    add_task(list, "emails", NULL, "waiting for its turn", 0, now - 20, 0);
    add_task(list, "orders", "slow", "running", 1, now - 5, now - 5);
    cr_assert(in_flight_board_show(&stats.board, list));
    status_write(&page, &stats, "abcdef", SIZE_MAX);
    cJSON *root = parse();
    assert_number(root, "in_flight.count", 4);
    assert_age(root, "in_flight.tasks.0.attempt_age_seconds", 5);
    assert_text(root, "in_flight.tasks.0.message_id", "slow");
    assert_text(root, "in_flight.tasks.0.processor", "log");
    assert_text(root, "in_flight.tasks.1.message_id", "m1");
    assert_text(root, "in_flight.tasks.1.state", "sleeping");
    assert_number(root, "in_flight.tasks.1.attempt", 2);
    assert_age(root, "in_flight.tasks.1.age_seconds", 50);
    assert_age(root, "in_flight.tasks.1.attempt_age_seconds", 2);
    assert_text(root, "in_flight.tasks.2.message_id", "resting");
    cr_assert(cJSON_IsNull(at(root, "in_flight.tasks.2.attempt_age_seconds")));
    assert_text(root, "in_flight.tasks.3.queue", "emails");
    cr_assert(cJSON_IsNull(at(root, "in_flight.tasks.3.message_id")));
    cJSON_Delete(root);
}

Test(status, lists_the_slowest_alone_where_that_is_asked_for)
{
    double now = clock_monotonic();
    struct in_flight_list *list = in_flight_list_create(now);
    for (unsigned i = 0; i < 9; i++)
        add_task(list, "orders", "m", "sleeping", 1, now - i, now - i);
    cr_assert(in_flight_board_show(&stats.board, list));
    status_write(&page, &stats, "abcdef", 2);
    cJSON *root = parse();
    assert_number(root, "in_flight.count", 9);
    cr_assert_eq(cJSON_GetArraySize(at(root, "in_flight.tasks")), 2);
    assert_age(root, "in_flight.tasks.0.age_seconds", 8);
    assert_age(root, "in_flight.tasks.1.age_seconds", 7);
    cJSON_Delete(root);
}

static bool refuse(size_t size)
{
    (void)size;
    return false;
}

Test(status, is_whole_or_not_there_at_all_when_memory_is_short)
{
    memory_permit = refuse;
    status_write(&page, &stats, "abcdef", SIZE_MAX);
    memory_permit = NULL;
    cr_assert(page.failed);
}
