/* What becomes of a message whose processor does not succeed. */
#include "stage.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(failures, .init = stage_open, .fini = stage_close, .timeout = 120);

/* The dead-letter queue of `queue`, by its default name. */
static const char *dead_queue(const char *queue)
{
    static char name[256];

    snprintf(name, sizeof(name), "%s.dead", queue);
    return name;
}

/* Awaits one message in a queue and takes it. */
static struct client_message *take(const char *queue, double seconds)
{
    struct client_message *message = NULL;

    await(seconds, client_ready(stage_client(), queue) > 0, "a message in %s", queue);
    await(5, (message = client_get(stage_client(), queue)) != NULL, "the message in %s", queue);
    return message;
}

static void assert_header(const struct client_message *message, const char *name, const char *expected)
{
    char *found = client_header_text(message, name);

    cr_expect_str_eq(found, expected, "header %s: \"%s\", not \"%s\"", name, found, expected);
    free(found);
}

static void assert_header_matches(const struct client_message *message, const char *name, const char *pattern)
{
    char *found = client_header_text(message, name);
    regex_t regex;

    cr_assert_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    cr_expect_eq(regexec(&regex, found, 0, NULL, 0), 0, "header %s: \"%s\" does not match %s", name, found,
                 pattern);
    regfree(&regex);
    free(found);
}

static void assert_bytes(amqp_bytes_t found, const char *expected, const char *what)
{
    cr_expect(found.len == strlen(expected) && memcmp(found.bytes, expected, found.len) == 0,
              "%s: \"%.*s\", not \"%s\"", what, (int)found.len, (char *)found.bytes, expected);
}

/* Ends the worker. Nothing is left of what was sent to `queue`: neither ready nor held by the worker. Returns
 * what became of it. */
static struct worker_counts settled(struct worker *worker, const char *queue)
{
    worker_stop(worker, 10);
    await(5, client_ready(stage_client(), queue) == 0, "%s to be empty, found %ld", queue,
          client_ready(stage_client(), queue));
    cr_assert_null(client_get(stage_client(), queue), "%s still has a message", queue);
    return worker_counts(worker, queue);
}

static void assert_dead_lettered(struct worker *worker, const char *queue)
{
    struct worker_counts counts = settled(worker, queue);

    cr_assert_eq(counts.dead_lettered, 1, "%lu were dead-lettered", counts.dead_lettered);
    cr_assert_eq(counts.consumed, 1, "%lu were consumed", counts.consumed);
}

static void send_with_properties(const char *queue)
{
    amqp_table_entry_t entries[] = {
        {.key = amqp_cstring_bytes("tenant"), .value = {.kind = AMQP_FIELD_KIND_UTF8}},
        {.key = amqp_cstring_bytes("shard"), .value = {.kind = AMQP_FIELD_KIND_I32, .value.i32 = -7}},
    };
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG |
                  AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_HEADERS_FLAG,
        .content_type = amqp_cstring_bytes("application/json"),
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .message_id = amqp_cstring_bytes("order-1"),
        .correlation_id = amqp_cstring_bytes("correlation"),
        .timestamp = 1700000000,
        .headers = {.num_entries = 2, .entries = entries},
    };

    entries[0].value.value.bytes = amqp_cstring_bytes("acme");
    client_publish(stage_client(), "", queue, &properties, amqp_cstring_bytes("{\"order\": 1}"));
}

static void assert_five_attempts_three_seconds_apart(const char *path)
{
    struct records records = records_read(path);
    double last = 0;
    unsigned attempts = 0;

    for (size_t i = 0; i < records.count; i++) {
        if (strcmp(records.items[i].event, "begin") != 0) {
            continue;
        }
        double pause = records.items[i].at - last;
        cr_assert_eq(records.items[i].attempt, ++attempts, "attempt %u said it was %u", attempts,
                     records.items[i].attempt);
        cr_assert(attempts == 1 || (pause > 2.95 && pause < 3 + patience_stretched(2)),
                  "%.3f s before attempt %u", pause, attempts);
        last = records.items[i].at;
    }
    cr_assert_eq(attempts, 5, "%u attempts", attempts);
    records_destroy(&records);
}

Test(failures, are_tried_five_times_three_seconds_apart_and_dead_lettered)
{
    const char *queue = stage_name("orders");
    char host[256] = "";
    struct client_message *dead;
    struct worker *worker = worker_start("",
                                         "[{'name': '%s', 'processor': 'record', 'settings':"
                                         "  {'path': '%s', 'verdict': 'retry', 'reason': 'no row yet'}}]",
                                         queue, stage_path("record"));

    worker_await_consuming(worker, queue);
    send_with_properties(queue);
    dead = take(dead_queue(queue), 25);
    assert_five_attempts_three_seconds_apart(stage_path("record"));

    assert_header(dead, "whippet-reason", "retry-exhausted");
    assert_header(dead, "whippet-error", "no row yet");
    assert_header(dead, "whippet-attempts", "5");
    assert_header(dead, "whippet-queue", queue);
    assert_header(dead, "whippet-exchange", "");
    assert_header(dead, "whippet-routing-key", queue);
    assert_header(dead, "whippet-processor", "record");
    assert_header_matches(dead, "whippet-failed-at", "^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\\.[0-9]+)?Z$");
    gethostname(host, sizeof(host) - 1);
    assert_header(dead, "whippet-host", host);

    assert_header(dead, "tenant", "acme");
    assert_header(dead, "shard", "-7");
    assert_bytes(dead->content.body, "{\"order\": 1}", "body");
    assert_bytes(dead->content.properties.content_type, "application/json", "content type");
    assert_bytes(dead->content.properties.message_id, "order-1", "message id");
    assert_bytes(dead->content.properties.correlation_id, "correlation", "correlation id");
    cr_expect_eq(dead->content.properties.timestamp, 1700000000, "timestamp");
    cr_expect_eq(dead->content.properties.delivery_mode, AMQP_DELIVERY_PERSISTENT, "delivery mode");
    client_message_destroy(dead);
    assert_dead_lettered(worker, queue);
}

Test(failures, in_the_retry_helper_are_tried_five_times_three_seconds_apart)
{
    const char *queue = stage_name("helper");
    struct client_message *dead;
    struct worker *worker =
        worker_start("", "[{'name': '%s', 'processor': 'retrying', 'settings': {'path': '%s'}}]", queue,
                     stage_path("record"));

    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "m", "");
    dead = take(dead_queue(queue), 25);
    assert_five_attempts_three_seconds_apart(stage_path("record"));
    assert_header(dead, "whippet-reason", "rejected");
    assert_header(dead, "whippet-error", "retry exhausted");
    client_message_destroy(dead);
    assert_dead_lettered(worker, queue);
}

Test(failures, that_heal_in_time_are_acknowledged)
{
    const char *queue = stage_name("healing");
    struct worker_counts counts;
    struct worker *worker =
        worker_start("",
                     "[{'name': '%s', 'processor': 'record', 'retry': {'attempts': 3, 'delay': '100ms'},"
                     "  'settings': {'path': '%s', 'fail_attempts': 2}}]",
                     queue, stage_path("record"));

    worker_await_consuming(worker, queue);
    client_send_many(stage_client(), queue, 20);
    await(10, records_count(stage_path("record"), "end", NULL) == 60, "60 attempts, found %zu",
          records_count(stage_path("record"), "end", NULL));
    counts = settled(worker, queue);
    cr_assert_eq(counts.acked, 20, "%lu were acked", counts.acked);
    cr_assert_leq(client_ready(stage_client(), dead_queue(queue)), 0, "there are dead letters");
    cr_assert_eq(records_count(stage_path("record"), "begin", NULL), 60);
}

Test(failures, include_a_verdict_that_says_nothing)
{
    const char *queue = stage_name("nothing");
    struct client_message *dead;
    struct worker *worker =
        worker_start("",
                     "[{'name': '%s', 'processor': 'record', 'retry': {'attempts': 2, 'delay': '100ms'},"
                     "  'settings': {'path': '%s', 'verdict': 'nothing'}}]",
                     queue, stage_path("record"));

    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "m", "");
    dead = take(dead_queue(queue), 10);
    assert_header(dead, "whippet-reason", "retry-exhausted");
    assert_header(dead, "whippet-attempts", "2");
    client_message_destroy(dead);
    assert_dead_lettered(worker, queue);
}

Test(failures, wait_longer_each_time_under_exponential_backoff)
{
    const char *queue = stage_name("backoff");
    double least[] = {0, 0.2, 0.4, 0.8}, last = 0;
    struct records records;
    struct worker *worker =
        worker_start("",
                     "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s', 'verdict': 'retry'},"
                     "  'retry': {'attempts': 4, 'delay': '200ms', 'backoff': 'exponential'}}]",
                     queue, stage_path("record"));

    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "m", "");
    client_message_destroy(take(dead_queue(queue), 10));
    records = records_read(stage_path("record"));
    cr_assert_eq(records.count, 8, "%zu lines", records.count);
    for (unsigned attempt = 0; attempt < 4; attempt++) {
        double at = records.items[2 * attempt].at;
        cr_assert(attempt == 0 || (at - last > least[attempt] * 0.98 &&
                                   at - last < least[attempt] + patience_stretched(2)),
                  "%.3f s before attempt %u", at - last, attempt + 1);
        last = at;
    }
    records_destroy(&records);
    assert_dead_lettered(worker, queue);
}

Test(failures, that_are_rejected_are_dead_lettered_at_once)
{
    const char *queue = stage_name("rejected"), *dead_letter = stage_name("graveyard");
    struct client_message *dead;
    struct worker *worker =
        worker_start("",
                     "[{'name': '%s', 'processor': 'record', 'dead_letter': '%s', 'settings':"
                     "  {'path': '%s', 'verdict': 'reject', 'reason': 'no key k'}}]",
                     queue, dead_letter, stage_path("record"));

    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "m", "the body");
    dead = take(dead_letter, 10);
    cr_assert_eq(records_count(stage_path("record"), "begin", NULL), 1);
    assert_header(dead, "whippet-reason", "rejected");
    assert_header(dead, "whippet-error", "no key k");
    assert_header(dead, "whippet-attempts", "1");
    assert_bytes(dead->content.body, "the body", "body");
    client_message_destroy(dead);
    assert_dead_lettered(worker, queue);
}

Test(failures, are_dropped_and_logged_under_discard)
{
    const char *queue = stage_name("dropped");
    struct worker_counts counts;
    struct worker *worker =
        worker_start("",
                     "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s', 'verdict': 'retry'},"
                     "  'on_failure': 'discard', 'retry': {'attempts': 2, 'delay': '100ms'}}]",
                     queue, stage_path("record"));

    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "m", "");
    worker_await_saying(worker, 10, "discarded (");
    cr_assert_eq(records_count(stage_path("record"), "begin", NULL), 2);
    counts = settled(worker, queue);
    cr_assert_eq(counts.discarded, 1, "%lu were discarded", counts.discarded);
    cr_assert_leq(client_ready(stage_client(), dead_queue(queue)), 0, "there is a dead letter");
}

Test(failures, include_attempts_that_take_too_long)
{
    const char *queue = stage_name("late");
    struct client_message *dead;
    double took;
    struct worker *worker =
        worker_start("",
                     "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s', 'delay': '30s'},"
                     "  'timeout': '300ms', 'retry': {'attempts': 2, 'delay': '100ms'}}]",
                     queue, stage_path("record"));

    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "m", "");
    dead = take(dead_queue(queue), 10);
    cr_assert_eq(records_count(stage_path("record"), "cut", NULL), 2);
    took = records_first_at(stage_path("record"), "cut", NULL) -
           records_first_at(stage_path("record"), "begin", NULL);
    cr_assert(took > 0.2 && took < 0.3 + patience_stretched(2), "the first attempt was cut after %.3f s",
              took);
    assert_header(dead, "whippet-reason", "timeout");
    assert_header(dead, "whippet-attempts", "2");
    client_message_destroy(dead);
    assert_dead_lettered(worker, queue);
}

Test(failures, that_wait_for_their_next_attempt_leave_room_for_others)
{
    const char *queue = stage_name("waiting");
    struct worker_counts counts;
    double delay = patience_stretched(2), fifth, again;
    struct worker *worker =
        worker_start("",
                     "[{'name': '%s', 'processor': 'record', 'concurrency': 1, 'prefetch': 10,"
                     "  'retry': {'delay': '%.0fs'}, 'settings': {'path': '%s', 'fail_attempts': 1}}]",
                     queue, delay, stage_path("record"));

    worker_await_consuming(worker, queue);
    client_send_many(stage_client(), queue, 5);
    await(10, records_count(stage_path("record"), "end", NULL) == 10, "ten attempts, found %zu",
          records_count(stage_path("record"), "end", NULL));
    cr_assert_eq(records_most_running(stage_path("record")), 1);
    fifth = records_first_at(stage_path("record"), "begin", "4");
    again = records_last_at(stage_path("record"), "begin", "0");
    cr_assert_lt(fifth, again, "the fifth message began %.3f s after the first began again", fifth - again);
    counts = settled(worker, queue);
    cr_assert_eq(counts.acked, 5, "%lu were acked", counts.acked);
}
