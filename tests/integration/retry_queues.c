/* Retries that wait at the broker: retry.via = "broker". */
#include "stage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(retry_queues, .init = stage_open, .fini = stage_close, .timeout = 300);

/* The delay queue of `queue`, as "250ms"; or its dead-letter queue, as "dead". Valid until the next but
 * three. */
static const char *beside(const char *queue, const char *end)
{
    static char names[4][256];
    static unsigned next;
    char *name = names[next++ % 4];

    snprintf(name, sizeof(names[0]), strcmp(end, "dead") == 0 ? "%s.%s" : "%s.retry.%s", queue, end);
    return name;
}

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

static void assert_text(amqp_bytes_t found, const char *expected, const char *what)
{
    cr_expect(found.len == strlen(expected) && memcmp(found.bytes, expected, found.len) == 0,
              "%s: \"%.*s\", not \"%s\"", what, (int)found.len, (char *)found.bytes, expected);
}

static struct worker *start(const char *queue, const char *type, const char *retry, const char *settings)
{
    struct worker *worker =
        worker_start("",
                     "[{'name': '%s', 'type': '%s', 'processor': 'record', 'retry': {'via': 'broker', %s},"
                     "  'settings': {'path': '%s', %s}}]",
                     queue, type, retry, stage_path("record"), settings);

    worker_await_consuming(worker, queue);
    return worker;
}

static void assert_attempts_apart(const char *path, unsigned expected, double least, double most)
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
        cr_assert(attempts == 1 || (pause >= least && pause <= most), "%.3f s before attempt %u", pause,
                  attempts);
        last = records.items[i].at;
    }
    cr_assert_eq(attempts, expected, "%u attempts", attempts);
    records_destroy(&records);
}

/* The kill may have come after the delay queue's confirm and before the ack: then the attempt comes twice. */
static void assert_count_goes_on(const char *path, unsigned expected, double least)
{
    struct records records = records_read(path);
    double first_at[2] = {0, 0};
    unsigned highest = 0;

    for (size_t i = 0; i < records.count; i++) {
        const struct record *record = &records.items[i];
        if (strcmp(record->event, "begin") != 0)
            continue;
        cr_expect(record->attempt == highest || record->attempt == highest + 1, "attempt %u came after %u",
                  record->attempt, highest);
        if (record->attempt <= highest)
            continue;
        highest = record->attempt;
        first_at[0] = first_at[1];
        first_at[1] = record->at;
        cr_expect(highest == 1 || first_at[1] - first_at[0] >= least, "%.3f s before attempt %u",
                  first_at[1] - first_at[0], highest);
    }
    cr_expect_eq(highest, expected, "the last attempt was %u", highest);
    records_destroy(&records);
}

/* Each failed attempt is a delivery of its own. */
static void fail_five_times(const char *type)
{
    const char *queue = stage_name(type);
    struct worker *worker = start(queue, type, "'delay': '1s'", "'verdict': 'retry', 'reason': 'no row yet'");
    struct client_message *dead;
    struct worker_counts counts;

    client_send(stage_client(), queue, "m", "the body");
    dead = take(beside(queue, "dead"), 20);
    assert_attempts_apart(stage_path("record"), 5, 0.95, patience_stretched(5));
    assert_header(dead, "whippet-reason", "retry-exhausted");
    assert_header(dead, "whippet-error", "no row yet");
    assert_header(dead, "whippet-attempts", "5");
    assert_header(dead, "whippet-exchange", "");
    assert_header(dead, "whippet-routing-key", queue);
    assert_header(dead, "whippet-attempt", "(absent)");
    assert_header(dead, "x-death", "(absent)");
    assert_header(dead, "x-first-death-queue", "(absent)");
    assert_text(dead->content.body, "the body", "body");
    client_message_destroy(dead);
    worker_stop(worker, 10);
    counts = worker_counts(worker, queue);
    cr_assert_eq(counts.consumed, 5, "%lu were consumed", counts.consumed);
    cr_assert_eq(counts.retried, 4, "%lu were retried", counts.retried);
    cr_assert_eq(counts.dead_lettered, 1, "%lu were dead-lettered", counts.dead_lettered);
    cr_assert_eq(client_ready(stage_client(), queue), 0);
    cr_assert_eq(client_ready(stage_client(), beside(queue, "1s")), 0);
}

Test(retry_queues, bring_a_message_back_until_its_attempts_are_used_up)
{
    fail_five_times("quorum");
}

Test(retry_queues, serve_classic_queues_too)
{
    fail_five_times("classic");
}

/* RabbitMQ drops a message that comes round to a queue which it has expired in before. Ours never does. */
Test(retry_queues, are_no_cycle_that_the_broker_cuts)
{
    enum {
        ATTEMPTS = 40
    };
    const char *queue = stage_name("rounds");
    struct worker *worker = start(queue, "quorum", "'attempts': 40, 'delay': '50ms'", "'verdict': 'retry'");

    client_send_many(stage_client(), queue, 5);
    await(60, client_ready(stage_client(), beside(queue, "dead")) == 5, "5 dead letters, found %ld",
          client_ready(stage_client(), beside(queue, "dead")));
    cr_assert_eq(records_count(stage_path("record"), "begin", NULL), 5 * ATTEMPTS);
    worker_stop(worker, 10);
}

Test(retry_queues, are_one_for_each_delay_of_a_growing_backoff)
{
    const char *queue = stage_name("growing");
    struct worker *worker =
        start(queue, "quorum", "'delay': '100ms', 'backoff': 'exponential', 'max_delay': '300ms'",
              "'verdict': 'retry'");

    cr_assert_eq(client_ready(stage_client(), beside(queue, "100ms")), 0);
    cr_assert_eq(client_ready(stage_client(), beside(queue, "200ms")), 0);
    cr_assert_eq(client_ready(stage_client(), beside(queue, "300ms")), 0);
    client_send(stage_client(), queue, "m", "");
    client_message_destroy(take(beside(queue, "dead"), 20));
    assert_attempts_apart(stage_path("record"), 5, 0.09, patience_stretched(5));
    worker_stop(worker, 10);
}

/* An original with everything a copy can't keep in its place; by way of an exchange and with another queue as
 * CC. */
static void send_in_full(const char *exchange, const char *routing_key, const char *cc)
{
    amqp_field_value_t cc_entry = {.kind = AMQP_FIELD_KIND_UTF8};
    amqp_table_entry_t entries[] = {
        {.key = amqp_cstring_bytes("tenant"), .value = {.kind = AMQP_FIELD_KIND_UTF8}},
        {.key = amqp_cstring_bytes("shard"), .value = {.kind = AMQP_FIELD_KIND_I32, .value.i32 = -7}},
        {.key = amqp_cstring_bytes("CC"), .value = {.kind = AMQP_FIELD_KIND_ARRAY}},
    };
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG |
                  AMQP_BASIC_EXPIRATION_FLAG | AMQP_BASIC_USER_ID_FLAG | AMQP_BASIC_HEADERS_FLAG |
                  AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_PRIORITY_FLAG | AMQP_BASIC_REPLY_TO_FLAG,
        .content_type = amqp_cstring_bytes("application/json"),
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .priority = 3,
        .reply_to = amqp_cstring_bytes("answers"),
        .message_id = amqp_cstring_bytes("order-1"),
        .expiration = amqp_cstring_bytes("60000"),
        .timestamp = 1700000000,
        .user_id = amqp_cstring_bytes("guest"),
        .headers = {.num_entries = 3, .entries = entries},
    };

    entries[0].value.value.bytes = amqp_cstring_bytes("acme");
    cc_entry.value.bytes = amqp_cstring_bytes(cc);
    entries[2].value.value.array = (amqp_array_t){.num_entries = 1, .entries = &cc_entry};
    client_publish(stage_client(), exchange, routing_key, &properties, amqp_cstring_bytes("{\"order\": 1}"));
}

Test(retry_queues, keep_a_message_as_it_was_and_show_where_it_came_from)
{
    const char *queue = stage_name("origin"), *exchange = stage_name("events"), *cc = stage_name("cc");
    struct client_message *dead;
    struct worker *worker;

    worker = worker_start(
        "",
        "[{'name': '%s', 'processor': 'record', 'retry': {'via': 'broker', 'delay': '100ms', 'attempts': 3},"
        "  'bindings': [{'exchange': '%s', 'exchange_type': 'topic', 'routing_key': 'order.*'}],"
        "  'settings': {'path': '%s', 'verdict': 'retry', 'origin': true}}]",
        queue, exchange, stage_path("record"));
    worker_await_consuming(worker, queue);
    send_in_full(exchange, "order.new", cc);
    dead = take(beside(queue, "dead"), 20);
    cr_assert_eq(records_count(stage_path("record"), "begin", NULL), 3);
    assert_header(dead, "whippet-exchange", exchange);
    assert_header(dead, "whippet-routing-key", "order.new");
    assert_header(dead, "whippet-expiration", "60000");
    assert_header(dead, "whippet-user-id", "guest");
    assert_header(dead, "tenant", "acme");
    assert_header(dead, "shard", "-7");
    assert_header(dead, "whippet-cc", "(type A)");
    assert_header(dead, "CC", "(absent)");
    assert_text(dead->content.body, "{\"order\": 1}", "body");
    assert_text(dead->content.properties.content_type, "application/json", "content type");
    assert_text(dead->content.properties.reply_to, "answers", "reply to");
    cr_expect_eq(dead->content.properties.priority, 3);
    cr_expect_eq(dead->content.properties.timestamp, 1700000000);
    cr_expect_eq(dead->content.properties._flags & (AMQP_BASIC_EXPIRATION_FLAG | AMQP_BASIC_USER_ID_FLAG), 0);
    client_message_destroy(dead);
    worker_await_saying(worker, 1, "attempt 1 came from");
    char expected[400];
    snprintf(expected, sizeof(expected), "attempt 3 came from %s with order.new", exchange);
    worker_await_saying(worker, 1, expected);
    worker_stop(worker, 10);
}

Test(retry_queues, have_no_copy_go_where_the_original_went_too)
{
    const char *queue = stage_name("copied"), *cc = stage_name("cc");
    struct worker *worker;

    client_declare(stage_client(), cc, "classic");
    worker = start(queue, "quorum", "'delay': '100ms', 'attempts': 3", "'verdict': 'retry'");
    send_in_full("", queue, cc);
    client_message_destroy(take(beside(queue, "dead"), 20));
    cr_assert_eq(client_ready(stage_client(), cc), 1, "CC has %ld", client_ready(stage_client(), cc));
    worker_stop(worker, 10);
}

Test(retry_queues, keep_the_count_when_the_worker_is_killed)
{
    const char *queue = stage_name("killed");
    struct worker *worker = start(queue, "quorum", "'delay': '3s', 'attempts': 3", "'verdict': 'retry'");

    client_send(stage_client(), queue, "m", "");
    await(10, client_ready(stage_client(), beside(queue, "3s")) == 1, "the message in the delay queue");
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 20, 128 + SIGKILL);
    worker = start(queue, "quorum", "'delay': '3s', 'attempts': 3", "'verdict': 'retry'");
    client_message_destroy(take(beside(queue, "dead"), 20));
    assert_count_goes_on(stage_path("record"), 3, 2.9);
    worker_stop(worker, 10);
}

Test(retry_queues, are_declared_again_when_they_were_deleted)
{
    const char *queue = stage_name("deleted");
    struct worker *worker = start(queue, "quorum", "'delay': '100ms', 'attempts': 2", "'verdict': 'retry'");

    client_delete(stage_client(), beside(queue, "100ms"));
    client_send(stage_client(), queue, "m", "");
    worker_await_saying(worker, 10, "not parked in");
    client_message_destroy(take(beside(queue, "dead"), 20));
    worker_stop(worker, 10);
}

/* It would keep messages for ever. */
Test(retry_queues, that_exist_with_other_arguments_are_refused)
{
    const char *queue = stage_name("other");
    struct worker *worker;

    client_declare(stage_client(), beside(queue, "3s"), "quorum");
    worker = worker_start("",
                          "[{'name': '%s', 'processor': 'record', 'retry': {'via': 'broker'},"
                          "  'settings': {'path': '%s'}}]",
                          queue, stage_path("record"));
    worker_await_saying(worker, 20, "it exists with other arguments: delete it once it is empty");
    cr_assert_eq(client_consumers(stage_client(), queue), 0);
    client_delete(stage_client(), beside(queue, "3s"));
    worker_await_consuming(worker, queue);
    worker_stop(worker, 10);
}

/* The queue itself is gone while a message waits: the delay queue keeps it until the queue is back. The
 * broker tries again every three minutes, unless told otherwise. */
Test(retry_queues, keep_messages_while_their_queue_is_away)
{
    const char *queue = stage_name("away");
    struct worker *worker;
    double expired;

    broker_control(stage_broker(), "eval",
                   "application:set_env(rabbit, dead_letter_worker_publisher_confirm_timeout, 1000).", NULL);
    worker = start(queue, "quorum", "'delay': '10s', 'attempts': 2", "'verdict': 'retry'");
    client_send(stage_client(), queue, "m", "");
    await(10, client_ready(stage_client(), beside(queue, "10s")) == 1, "the message in the delay queue");
    expired = patience_now() + 10.5;
    worker_signal(worker, SIGKILL); /* which is quick: the queue must be gone before the message comes back */
    worker_await_end(worker, 20, 128 + SIGKILL);
    client_delete(stage_client(), queue);
    await(20, client_ready(stage_client(), beside(queue, "10s")) <= 0 || patience_now() > expired,
          "the delay");
    worker = start(queue, "quorum", "'delay': '10s', 'attempts': 2", "'verdict': 'retry'");
    client_message_destroy(take(beside(queue, "dead"), 60));
    worker_stop(worker, 10);
}

TestSuite(retry_queues_alone, .init = stage_open_alone, .fini = stage_close, .timeout = 300);

Test(retry_queues_alone, keep_the_count_when_the_broker_is_killed)
{
    const char *queue = stage_name("power_cut");
    struct worker *worker;

    stage_start_broker();
    worker = start(queue, "quorum", "'delay': '6s', 'attempts': 3", "'verdict': 'retry'");
    client_send(stage_client(), queue, "m", "");
    await(10, client_ready(stage_client(), beside(queue, "6s")) == 1, "the message in the delay queue");
    await(10, broker_messages(stage_broker(), &queue, 1) == 0, "the ack of the original");
    broker_kill(stage_broker());
    stage_start_broker();
    client_message_destroy(take(beside(queue, "dead"), 60));
    assert_count_goes_on(stage_path("record"), 3, 5.9);
    worker_stop(worker, 10);
}
