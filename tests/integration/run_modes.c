/* One and the same plugin (tests/plugins/modes.c) in every run mode: what it can do is the same in all. */
#include "every_mode.h"
#include "stage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(run_modes, .init = stage_open, .fini = stage_close, .timeout = 300);

#define IN_EVERY_MODE(name) IN_EVERY_MODE_OF(run_modes, name)

static const char *dead_queue(const char *queue)
{
    static char name[256];

    snprintf(name, sizeof(name), "%s.dead", queue);
    return name;
}

/* A worker with one queue of that mode; `more` are further members of the queue. */
static struct worker *start(const char *mode, const char *queue, const char *more)
{
    struct worker *worker =
        worker_start("", "[{'name': '%s', 'processor': 'modes', 'settings': {'path': '%s'}, 'run': '%s'%s}]",
                     queue, stage_path("notes"), mode, more);

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

static void assert_header(const struct client_message *message, const char *name, const char *expected)
{
    char *found = client_header_text(message, name);

    cr_expect_str_eq(found, expected, "header %s: \"%s\", not \"%s\"", name, found, expected);
    free(found);
}

IN_EVERY_MODE(every_await_works)
{
    const char *queue = stage_name("awaits");
    struct worker *worker = start(mode, queue, ", 'retry': {'attempts': 1}");

    for (int i = 0; i < 8; i++) {
        client_send(stage_client(), queue, "m", strcmp(mode, "loop") == 0 ? "awaits" : "awaits blocking");
    }
    await(30, worker_said(worker, "every await works") == 8, "8 times every await, found %u",
          worker_said(worker, "every await works"));
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).acked, 8, "%lu were acked", worker_counts(worker, queue).acked);
}

IN_EVERY_MODE(what_fails_is_retried_and_dead_lettered_with_its_reason)
{
    const char *queue = stage_name("failing");
    struct client_message *dead;
    struct worker *worker =
        start(mode, queue, ", 'timeout': '1s', 'concurrency': 4, 'retry': {'attempts': 3, 'delay': '50ms'}");

    client_send(stage_client(), queue, "late", "sleep 60000");
    dead = take(dead_queue(queue), 20);
    assert_header(dead, "whippet-reason", "timeout");
    assert_header(dead, "whippet-error", "sleep: timed out");
    assert_header(dead, "whippet-attempts", "3");
    client_message_destroy(dead);
    cr_assert_eq(records_count(stage_path("notes"), "begin", "late"), 3);
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).dead_lettered, 1);
}

/* A body of `size` bytes that no two positions of look alike, and what the plugin will say of it. */
static amqp_bytes_t make_body(size_t size, char *expected, size_t expected_size)
{
    amqp_bytes_t body = amqp_bytes_malloc(size);
    unsigned long long sum = 0;

    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)(i * 2654435761u >> 13);
        ((unsigned char *)body.bytes)[i] = byte;
        sum = sum * 31 + byte;
    }
    snprintf(expected, expected_size, "%zu bytes, %llx", size, sum);
    return body;
}

static void assert_answer(const char *queue, const char *expected)
{
    struct client_message *answer = take(queue, 60);
    amqp_bytes_t body = answer->content.body;

    cr_expect(body.len == strlen(expected) && memcmp(body.bytes, expected, body.len) == 0,
              "\"%.*s\", not \"%s\"", (int)body.len, (char *)body.bytes, expected);
    assert_header(answer, "from", "modes");
    client_message_destroy(answer);
}

IN_EVERY_MODE(bodies_of_every_size_come_through_whole_and_are_answered)
{
    static const size_t sizes[] = {0, 1, 100, 65535, 65536, 65537, 1 << 20, 16 << 20};
    const char *queue = stage_name("sizes"), *answers = stage_name("answers");
    struct worker *worker = start(mode, queue, ", 'concurrency': 3");
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_REPLY_TO_FLAG,
                                          .reply_to = amqp_cstring_bytes(answers)};

    client_declare(stage_client(), answers, "classic");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char expected[100];
        amqp_bytes_t body = make_body(sizes[i], expected, sizeof(expected));

        client_publish(stage_client(), "", queue, &properties, body);
        amqp_bytes_free(body);
        assert_answer(answers, expected);
    }
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).acked, 8);
}

IN_EVERY_MODE(messages_of_one_processor_share_its_semaphore)
{
    const char *queue = stage_name("limited");
    struct worker *worker = start(mode, queue, ", 'concurrency': 16");

    for (int i = 0; i < 24; i++) {
        client_send(stage_client(), queue, "m", "limited 20");
    }
    await(30, records_count(stage_path("notes"), "begin", NULL) == 24, "24 beginnings");
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).acked, 24, "more permits were out than there are");
}

IN_EVERY_MODE(messages_of_one_processor_meet_at_its_event_and_its_channel)
{
    static const char *const words[] = {"await", "get", "await", "put", "put", "set", "put", "get", "get"};
    const char *queue = stage_name("meeting");
    struct worker *worker = worker_start("'threads': 9",
                                         "[{'name': '%s', 'processor': 'modes', 'settings': {'path': '%s'},"
                                         "  'run': '%s'}]",
                                         queue, stage_path("notes"), mode);

    worker_await_consuming(worker, queue);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        client_send(stage_client(), queue, words[i], words[i]);
    }
    await(20, records_count(stage_path("notes"), "end", NULL) == 9, "nine ends, found %zu",
          records_count(stage_path("notes"), "end", NULL));
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).acked, 9);
}

static amqp_table_entry_t text_entry(const char *name, const char *value)
{
    return (amqp_table_entry_t){
        .key = amqp_cstring_bytes(name),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)},
    };
}

static bool is_text(amqp_bytes_t bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.bytes, text, bytes.len) == 0;
}

static void assert_whole_answer(const struct client_message *message)
{
    const amqp_basic_properties_t *properties = &message->content.properties;
    const amqp_field_value_t *real = client_header(message, "real");
    const amqp_field_value_t *yes = client_header(message, "yes");
    const amqp_field_value_t *table = client_header(message, "same");

    cr_expect(is_text(message->content.body, "answered"));
    cr_expect(is_text(properties->content_type, "text/plain"));
    cr_expect(is_text(properties->content_encoding, "identity"));
    cr_expect(is_text(properties->message_id, "m-1"));
    cr_expect(is_text(properties->correlation_id, "question-1"));
    cr_expect(is_text(properties->type, "answer"));
    cr_expect(is_text(properties->app_id, "modes"));
    cr_expect(is_text(properties->expiration, "90000"));
    cr_expect_eq(properties->timestamp, 1700000000);
    cr_expect_eq(properties->priority, 7);
    cr_expect_eq(properties->delivery_mode, 1, "it is persistent");
    assert_header(message, "whole", "-5");
    assert_header(message, "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_header(message, "tracestate", "vendor=1");
    cr_expect(real && real->kind == AMQP_FIELD_KIND_F64 && real->value.f64 == 0.25);
    cr_expect(yes && yes->kind == AMQP_FIELD_KIND_BOOLEAN && yes->value.boolean);
    cr_expect(table && table->kind == AMQP_FIELD_KIND_TABLE && table->value.table.num_entries == 1);
}

IN_EVERY_MODE(replies_carry_every_property_the_headers_types_and_the_trace)
{
    const char *queue = stage_name("questions"), *answers = stage_name("answers");
    struct worker *worker = start(mode, queue, ", 'retry': {'attempts': 1}");
    amqp_table_entry_t inner = text_entry("in", "side");
    amqp_table_entry_t headers[] = {
        text_entry("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        text_entry("tracestate", "vendor=1"),
        {.key = amqp_cstring_bytes("table"),
         .value = {.kind = AMQP_FIELD_KIND_TABLE, .value.table = {1, &inner}}},
    };
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_REPLY_TO_FLAG | AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_HEADERS_FLAG,
        .reply_to = amqp_cstring_bytes(answers),
        .correlation_id = amqp_cstring_bytes("question-1"),
        .headers = {3, headers},
    };
    struct client_message *answer;

    client_declare(stage_client(), answers, "classic");
    client_publish(stage_client(), "", queue, &properties, amqp_cstring_bytes("reply"));
    answer = take(answers, 20);
    assert_whole_answer(answer);
    client_message_destroy(answer);
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).acked, 1);
}

IN_EVERY_MODE(a_call_by_direct_reply_to_is_answered)
{
    const char *queue = stage_name("calls");
    struct worker *worker = start(mode, queue, ", 'retry': {'attempts': 1}");
    struct client_message *answer = client_call(stage_client(), queue, "reply", 20);

    cr_assert(is_text(answer->content.body, "answered"));
    client_message_destroy(answer);
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).acked, 1);
}

/* The copy in the delay queue can have neither: the broker would refuse the one and act on the other. */
IN_EVERY_MODE(a_message_retried_through_the_broker_still_tells_what_it_was_at_first)
{
    const char *queue = stage_name("original");
    struct worker *worker = start(mode, queue, ", 'retry': {'delay': '200ms', 'via': 'broker'}");
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_USER_ID_FLAG | AMQP_BASIC_EXPIRATION_FLAG,
        .user_id = amqp_cstring_bytes("guest"),
        .expiration = amqp_cstring_bytes("60000"),
    };

    client_publish(stage_client(), "", queue, &properties, amqp_cstring_bytes("original"));
    worker_await_saying(worker, 20, "attempt 1: user guest, expiration 60000");
    worker_await_saying(worker, 20, "attempt 2: user guest, expiration 60000");
    worker_stop(worker, 20);
}

IN_EVERY_MODE(many_messages_are_each_done_once)
{
    const char *queue = stage_name("many");
    struct worker *worker = start(mode, queue, ", 'concurrency': 16, 'prefetch': 300");

    client_send_many(stage_client(), queue, 3000);
    await(60, records_ended_ids(stage_path("notes"), 3000) == 3000, "3000 messages, found %zu",
          records_ended_ids(stage_path("notes"), 3000));
    cr_assert_eq(records_count(stage_path("notes"), "begin", NULL), 3000);
    worker_stop(worker, 20);
    cr_assert_eq(worker_counts(worker, queue).acked, 3000);
    cr_assert_eq(worker_counts(worker, queue).consumed, 3000);
}

IN_EVERY_MODE(work_is_finished_before_the_worker_stops)
{
    const char *queue = stage_name("stop");
    struct worker *worker = start(mode, queue, ", 'concurrency': 4");

    client_send(stage_client(), queue, "s", "sleep 700");
    await(10, records_count(stage_path("notes"), "begin", "s") == 1, "a beginning");
    worker_stop(worker, 20);
    cr_assert_eq(records_count(stage_path("notes"), "end", "s"), 1);
    cr_assert_eq(records_count(stage_path("notes"), "down", NULL), 1, "teardown() was not called");
    cr_assert_eq(worker_counts(worker, queue).acked, 1);
}

IN_EVERY_MODE(work_that_does_not_end_in_time_is_cancelled_and_returned)
{
    const char *queue = stage_name("cut");
    struct worker *worker = worker_start("'shutdown_timeout': '300ms'",
                                         "[{'name': '%s', 'processor': 'modes', 'settings': {'path': '%s'},"
                                         "  'run': '%s'}]",
                                         queue, stage_path("notes"), mode);

    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "s", "sleep 60000");
    await(10, records_count(stage_path("notes"), "begin", "s") == 1, "a beginning");
    worker_stop(worker, 20);
    cr_assert_eq(records_count(stage_path("notes"), "cut", "s"), 1);
    cr_assert_eq(worker_counts(worker, queue).returned, 1);
    await(5, client_ready(stage_client(), queue) == 1, "the message back in its queue");
}

/* 64 attempts and 19 tasks of the worker's own are set aside; a child process has as much for itself. */
IN_EVERY_MODE(spawning_ends_at_max_tasks)
{
    const char *queue = stage_name("spawning");
    struct worker *worker = worker_start("'max_tasks': 90",
                                         "[{'name': '%s', 'processor': 'modes', 'settings': {'path': '%s'},"
                                         "  'run': '%s', 'concurrency': 64}]",
                                         queue, stage_path("notes"), mode);

    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "s", "spawn");
    worker_await_saying(worker, 20, "7 children at once, and no more");
    client_send(stage_client(), queue, "s", "spawn");
    await(20, worker_said(worker, "7 children at once, and no more") == 2, "as many once they have ended");
    worker_stop(worker, 20);
}

/* --- Threads --------------------------------------------------------------------------------------------*/

Test(run_modes, attempts_that_block_run_side_by_side_in_threads)
{
    const char *queue = stage_name("blocking");
    double took;
    struct worker *worker = start("thread", queue, "");

    client_send_copies(stage_client(), queue, 4, "block 3000");
    await(20, records_count(stage_path("notes"), "end", NULL) == 4, "four ends");
    took = records_last_at(stage_path("notes"), "end", NULL) -
           records_first_at(stage_path("notes"), "begin", NULL);
    cr_assert_lt(took, 10, "four attempts that block for 3 s took %.1f s", took);
    worker_stop(worker, 20);
}

Test(run_modes, queues_take_turns_when_threads_are_scarce)
{
    const char *busy = stage_name("busy"), *other = stage_name("other");
    struct worker *worker =
        worker_start("'threads': 1",
                     "[{'name': '%s', 'processor': 'modes', 'settings': {'path': '%s'}, 'run': 'thread'},"
                     " {'name': '%s', 'processor': 'modes', 'settings': {'path': '%s'}, 'run': 'thread'}]",
                     busy, stage_path("busy"), other, stage_path("other"));

    worker_await_consuming(worker, busy);
    worker_await_consuming(worker, other);
    client_send_copies(stage_client(), busy, 30, "block 500");
    await(10, records_count(stage_path("busy"), "end", NULL) >= 1, "a first end");
    client_send(stage_client(), other, "o", "block 1");
    await(20, records_count(stage_path("other"), "end", NULL) == 1, "the other queue's turn");
    cr_assert_lt(records_count(stage_path("busy"), "end", NULL), 28, "the other queue had to wait for all");
    worker_stop(worker, 20);
}

Test(run_modes, a_thread_that_never_comes_back_is_reported_and_its_message_returned)
{
    const char *queue = stage_name("spin"), *other = stage_name("other");
    struct worker *worker =
        worker_start("'threads': 2, 'shutdown_timeout': '1s'",
                     "[{'name': '%s', 'processor': 'modes', 'settings': {'path': '%s'}, 'run': 'thread',"
                     "  'timeout': '200ms'},"
                     " {'name': '%s', 'processor': 'modes', 'settings': {'path': '%s'}, 'run': 'thread'}]",
                     queue, stage_path("spin"), other, stage_path("other"));

    worker_await_consuming(worker, queue);
    worker_await_consuming(worker, other);
    client_send(stage_client(), queue, "s", "spin");
    worker_await_saying(worker, 20, "is past its timeout and does not end");
    client_send(stage_client(), other, "o", "");
    await(10, records_count(stage_path("other"), "end", NULL) == 1, "the other thread at work");
    worker_signal(worker, SIGTERM);
    worker_await_end(worker, 20, 1);
    await(10, client_ready(stage_client(), queue) == 1, "the message back in its queue");
}
