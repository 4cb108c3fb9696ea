/* whippet dead list and show against a real broker: who looks changes nothing. */
#include "dead_letters.h"
#include "worker.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

TestSuite(dead_letters, .init = stage_open, .fini = stage_close, .timeout = 120);

static void send_failed_at(const char *dead_queue, const char *time)
{
    const struct letter_header headers[] = {{"whippet-reason", "rejected"},
                                            {"whippet-queue", "orders"},
                                            {"whippet-failed-at", time},
                                            {NULL, NULL}};

    letter_send(dead_queue, "1", headers, amqp_cstring_bytes("x"));
}

/* A letter as the broker would have left it: it died in the queue `orders` at that moment. */
static void send_died_at(const char *dead_queue, uint64_t seconds)
{
    amqp_table_entry_t death[] = {
        {.key = amqp_cstring_bytes("queue"),
         .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("orders")}},
        {.key = amqp_cstring_bytes("reason"),
         .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("expired")}},
        {.key = amqp_cstring_bytes("time"),
         .value = {.kind = AMQP_FIELD_KIND_TIMESTAMP, .value.u64 = seconds}}};
    amqp_field_value_t deaths = {.kind = AMQP_FIELD_KIND_TABLE,
                                 .value.table = {.num_entries = 3, .entries = death}};
    amqp_table_entry_t headers = {
        .key = amqp_cstring_bytes("x-death"),
        .value = {.kind = AMQP_FIELD_KIND_ARRAY, .value.array = {.num_entries = 1, .entries = &deaths}}};
    const amqp_basic_properties_t properties = {._flags = AMQP_BASIC_HEADERS_FLAG,
                                                .headers = {.num_entries = 1, .entries = &headers}};

    client_publish(stage_client(), "", dead_queue, &properties, amqp_cstring_bytes("x"));
}

/* Of Spring, which tells no time, and of somebody who writes times as nobody reads them. */
static void send_without_time(const char *dead_queue)
{
    const struct letter_header spring[] = {{"x-original-exchange", "shop"},
                                           {"x-original-routingKey", "orders.new"},
                                           {"x-exception-message", "boom"},
                                           {NULL, NULL}};
    const struct letter_header strange[] = {
        {"MT-Reason", "fault"}, {"MT-Fault-Timestamp", "11/21/2026 9:30 AM"}, {NULL, NULL}};
    const struct letter_header none[] = {{NULL, NULL}};

    letter_send(dead_queue, "1", spring, amqp_cstring_bytes("x"));
    letter_send(dead_queue, "2", strange, amqp_cstring_bytes("x"));
    letter_send(dead_queue, "3", none, amqp_cstring_bytes("x"));
}

/* What `list` says of the queue's oldest letter, in both ways. */
static void assert_oldest(const char *dead_queue, const char *expected)
{
    char text[64], row[512];

    assert_dead(DONE, "list", dead_queue, NULL, NULL);
    const char *line = strstr(dead_output, dead_queue);
    cr_assert_not_null(line, "%s", dead_output);
    cr_assert_eq(sscanf(line, "%511s %*u %63s", row, text), 2, "%s", dead_output);
    cr_assert_str_eq(text, expected != NULL ? expected : "-", "in the column below OLDEST: %s", dead_output);
    assert_dead(DONE, "list", dead_queue, "--json", NULL);
    snprintf(row, sizeof row, expected != NULL ? "\"oldest\":\"%s\"," : "\"oldest\":null,", expected);
    assert_says(row);
}

Test(dead_letters, are_listed_with_the_time_of_the_oldest)
{
    const char *dead_queue = stage_name("dead");

    client_declare(stage_client(), dead_queue, "classic");
    send_without_time(dead_queue);
    assert_oldest(dead_queue, NULL);
    send_died_at(dead_queue, 1700000000);
    assert_oldest(dead_queue, "2023-11-14T22:13:20.000Z");
    send_failed_at(dead_queue, "2023-11-14T22:13:20.250Z");
    assert_oldest(dead_queue, "2023-11-14T22:13:20.000Z");
    send_failed_at(dead_queue, "2022-02-28T23:59:59.999Z");
    send_died_at(dead_queue, 1790000000);
    assert_oldest(dead_queue, "2022-02-28T23:59:59.999Z");
}

/* By MassTransit, with the ten millionths of a second that .NET has. */
Test(dead_letters, of_others_are_listed_with_their_time_as_ours)
{
    const char *dead_queue = stage_name("dead");
    const struct letter_header masstransit[] = {{"MT-Fault-ExceptionType", "System.Exception"},
                                                {"MT-Fault-Timestamp", "2022-02-28T23:59:59.1234567Z"},
                                                {NULL, NULL}};
    const struct letter_header nservicebus[] = {{"NServiceBus.FailedQ", "orders"},
                                                {"NServiceBus.TimeOfFailure", "2022-02-28 23:59:59:122999 Z"},
                                                {NULL, NULL}};

    client_declare(stage_client(), dead_queue, "classic");
    letter_send(dead_queue, "1", masstransit, amqp_cstring_bytes("x"));
    assert_oldest(dead_queue, "2022-02-28T23:59:59.123Z");
    letter_send(dead_queue, "2", nservicebus, amqp_cstring_bytes("x"));
    assert_oldest(dead_queue, "2022-02-28T23:59:59.122Z");
}

Test(dead_letters, that_tell_no_reason_are_listed_and_found_as_unknown)
{
    const char *dead_queue = stage_name("dead");
    const struct letter_header none[] = {{NULL, NULL}};

    client_declare(stage_client(), dead_queue, "classic");
    letter_send(dead_queue, "1", none, amqp_cstring_bytes("x"));
    send_failed_at(dead_queue, "2023-11-14T22:13:20.250Z");
    assert_dead(DONE, "list", dead_queue, "--json", NULL);
    assert_says("\"reasons\":{\"unknown\":1,\"rejected\":1},\"other_reasons\":0}");
    assert_dead(DONE, "purge", dead_queue, "--yes", "--reason=unknown");
    assert_says("1 of 2 messages deleted");
    letters_await(dead_queue, 1);
}

/* The line of the dead_output that begins so. */
static size_t column_of(const char *beginning, const char *what)
{
    const char *line = strstr(dead_output, beginning), *at = line != NULL ? strstr(line, what) : NULL;

    cr_assert_not_null(at, "no \"%s\" in the line of \"%s\": %s", what, beginning, dead_output);
    return (size_t)(at - line);
}

Test(dead_letters, are_listed_in_columns_whatever_their_queue_is_called)
{
    char queue[128];

    snprintf(queue, sizeof queue, "%s für Köln/世界 .dead", stage_name("Aufträge"));
    client_declare(stage_client(), queue, "classic");
    send_failed_at(queue, "2023-11-14T22:13:20.250Z");
    assert_dead(DONE, "list", queue, NULL, NULL);
    /* ä, ü and ö take one column and two bytes, the last two characters two columns and three bytes each. */
    cr_assert_eq(column_of(queue, "2023-11-14T") - 3 - 2, column_of("QUEUE", "OLDEST"), "%s", dead_output);
    client_delete(stage_client(), queue);
}

Test(dead_letters, never_write_to_a_terminal_what_would_command_it)
{
    const char *dead_queue = stage_name("dead");
    const struct letter_header headers[] = {{"whippet-reason", "rejected"},
                                            {"whippet-queue", "orders"},
                                            {"whippet-error", "\033]0;owned\007 \302\233"},
                                            {"evil\033[2J", "\342\200\256gnp.exe"},
                                            {NULL, NULL}};

    client_declare(stage_client(), dead_queue, "classic");
    letter_send(dead_queue, "\033[31mid", headers, amqp_cstring_bytes("body \033[2J é"));
    for (int json = 0; json < 2; json++) {
        assert_dead(DONE, "show", dead_queue, json ? "--json" : NULL, NULL);
        for (const char *at = dead_output; *at != '\0'; at++)
            cr_assert((unsigned char)*at >= ' ' || *at == '\n', "byte 0x%02x in: %s", *at, dead_output);
        cr_assert_null(strstr(dead_output, "\302\233"), "a C1 control in: %s", dead_output);
        cr_assert_null(strstr(dead_output, "\342\200\256"), "a change of direction in: %s", dead_output);
        assert_says("é");
    }
}

Test(dead_letters, with_a_body_that_is_no_text_are_dumped)
{
    static const char bytes[] = {0, 1, 2, (char)0xff, 'A'};
    const char *dead_queue = stage_name("dead");
    const struct letter_header none[] = {{NULL, NULL}};

    client_declare(stage_client(), dead_queue, "classic");
    letter_send(dead_queue, "1", none, (amqp_bytes_t){.bytes = (void *)bytes, .len = sizeof bytes});
    assert_dead(DONE, "show", dead_queue, NULL, NULL);
    assert_says("00 01 02 ff 41");
    assert_dead(DONE, "show", dead_queue, "--json", NULL);
    assert_says("\"body_base64\":\"AAEC/0E=\"");
}

Test(dead_letters, that_are_large_are_listed_shown_and_purged)
{
    static char body[16 * 1024];
    const char *dead_queue = stage_name("dead");
    const struct letter_header ours[] = {
        {"whippet-reason", "rejected"}, {"whippet-queue", "orders"}, {NULL, NULL}};

    client_declare(stage_client(), dead_queue, "classic");
    for (int i = 0; i < 3; i++)
        letter_send(dead_queue, "1", ours, (amqp_bytes_t){.bytes = body, .len = i == 1 ? 4 : sizeof body});
    assert_dead(DONE, "list", dead_queue, NULL, NULL);
    assert_says("rejected");
    assert_dead(DONE, "show", dead_queue, NULL, NULL);
    letters_await(dead_queue, 3);
    assert_dead(DONE, "purge", dead_queue, "--yes", NULL);
    assert_says("3 of 3 messages deleted");
    letters_await(dead_queue, 0);
}

Test(dead_letters, survive_being_looked_at_more_often_than_the_delivery_limit)
{
    enum {
        SMALL = 5,
        COUNT = 2 * SMALL
    };
    const char *dead_queue = stage_name("dead");
    unsigned char seen[COUNT] = {0};

    broker_do(stage_broker(),
              "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"%s\">>), true, false, "
              "[{<<\"x-queue-type\">>, longstr, <<\"quorum\">>}, {<<\"x-delivery-limit\">>, long, 5}], none, "
              "<<\"test\">>), ok",
              dead_queue);
    client_send_numbered(stage_client(), dead_queue, 0, SMALL, 10);
    client_send_numbered(stage_client(), dead_queue, SMALL, SMALL, 100 * 1000);
    for (int i = 0; i < 6; i++) {
        letters_await(dead_queue, COUNT);
        assert_dead(DONE, "list", dead_queue, NULL, NULL);
        letters_await(dead_queue, COUNT);
        assert_dead(DONE, "purge", dead_queue, "--dry-run", NULL);
    }
    letters_await(dead_queue, COUNT);
    letters_take_all(dead_queue, seen, COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(seen[i], 1, "message %u is there %u times", i, seen[i]);
}

static void declare_with(const char *queue, const char *arguments)
{
    broker_do(stage_broker(),
              "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"%s\">>), true, false, [%s], none, "
              "<<\"test\">>), ok",
              queue, arguments);
}

Test(dead_letters, in_a_stream_are_an_error_that_says_so)
{
    static const char *const VERBS[] = {"list", "show", "replay"};
    const char *dead_queue = stage_name("stream");

    declare_with(dead_queue, "{<<\"x-queue-type\">>, longstr, <<\"stream\">>}");
    send_failed_at(dead_queue, "2023-11-14T22:13:20.250Z");
    letters_await(dead_queue, 1);
    for (int i = 0; i < 3; i++) {
        assert_dead(FAILED, VERBS[i], dead_queue, NULL, NULL);
        assert_says("is a stream: what is in it can be read, and not be taken out");
    }
    assert_dead(FAILED, "list", dead_queue, "--json", NULL);
    assert_says("\"messages\":1,\"looked_at\":0,");
    assert_says("\"error\":\"");
    client_delete(stage_client(), dead_queue);
}

Test(dead_letters, that_another_consumer_keeps_away_are_not_waited_for_for_ever)
{
    const char *dead_queue = stage_name("dead");
    struct worker *worker;

    declare_with(dead_queue, "{<<\"x-single-active-consumer\">>, bool, true}");
    client_send_many(stage_client(), dead_queue, 3);
    worker = worker_start("",
                          "[{'name': '%s', 'processor': 'record', 'concurrency': 1, 'on_failure': 'discard',"
                          "  'settings': {'path': '%s', 'delay': '120s'}}]",
                          dead_queue, stage_path("record"));
    letters_await(dead_queue, 2);
    assert_dead(FAILED, "list", dead_queue, NULL, NULL);
    assert_says("2 messages are ready in");
    assert_says("does another consumer come first");
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 10, WORKER_ANY_STATUS);
}

Test(dead_letters, of_a_queue_that_is_not_there_are_an_error)
{
    assert_dead(FAILED, "show", stage_name("nowhere"), NULL, NULL);
    assert_says("there is no queue");
}

/* Nobody may look into a queue that another connection has for itself. */
Test(dead_letters, of_a_queue_that_cannot_be_looked_at_are_not_listed_as_none)
{
    const char *dead_queue = stage_name("locked"), *other = stage_name("dead");
    char row[256];

    broker_do(stage_broker(),
              "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"%s\">>), false, false, [], "
              "whereis(rabbit), <<\"test\">>), ok",
              dead_queue);
    client_declare(stage_client(), other, "classic");
    assert_dead(FAILED, "list", dead_queue, other, NULL);
    cr_assert_gt(column_of(dead_queue, "not looked at"), 0);
    snprintf(row, sizeof row, "%s%*d", other, (int)(strlen(dead_queue) - strlen(other)) + 10, 0);
    assert_says(row);
    assert_dead(FAILED, "list", dead_queue, "--json", NULL);
    snprintf(row, sizeof row, "{\"queue\":\"%s\",\"error\":\"", dead_queue);
    assert_says(row);
    assert_says("RESOURCE_LOCKED");
    cr_assert_null(strstr(dead_output, "\"messages\""), "%s", dead_output);
}
