/* Several queues at once: what happens in one must not be felt in another. */
#include "stage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(queues, .init = stage_open, .fini = stage_close, .timeout = 300);

Test(queues, a_slow_and_a_failing_one_do_not_delay_a_quick_one)
{
    enum {
        MANY = 50,
        QUICK = 200
    };
    const char *slow = stage_name("slow"), *failing = stage_name("failing"), *quick = stage_name("quick");
    struct client *client = stage_client();
    struct worker *worker;

    record_hold(stage_path("hold"));
    worker = worker_start("",
                          "[{'name': '%s', 'processor': 'record', 'concurrency': 4,"
                          "  'settings': {'path': '%s', 'hold': '%s'}},"
                          " {'name': '%s', 'processor': 'record', 'retry': {'delay': '1m'},"
                          "  'settings': {'path': '%s', 'verdict': 'retry'}},"
                          " {'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}}]",
                          slow, stage_path("slow"), stage_path("hold"), failing, stage_path("failing"), quick,
                          stage_path("quick"));

    worker_await_consuming(worker, slow);
    worker_await_consuming(worker, failing);
    worker_await_consuming(worker, quick);
    client_send_many(client, slow, MANY);
    client_send_many(client, failing, MANY);
    await(10, records_count(stage_path("slow"), "begin", NULL) == 4, "four slow ones at work");
    await(10, records_count(stage_path("failing"), "begin", NULL) >= MANY, "the first failures");

    /* All of them, before one of the others goes on. */
    client_send_many(client, quick, QUICK);
    await(10, records_ended_ids(stage_path("quick"), QUICK) == QUICK, "%d quick ones, found %zu", QUICK,
          records_ended_ids(stage_path("quick"), QUICK));
    cr_assert_eq(records_count(stage_path("slow"), "end", NULL), 0);
    cr_assert_eq(records_count(stage_path("failing"), "begin", NULL), MANY);
    worker_signal(worker, 9);
    worker_await_end(worker, 20, WORKER_ANY_STATUS);
}

Test(queues, of_the_same_processor_have_settings_of_their_own)
{
    const char *one = stage_name("one"), *two = stage_name("two");
    struct worker *worker =
        worker_start("",
                     "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}},"
                     " {'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}}]",
                     one, stage_path("one"), two, stage_path("two"));

    worker_await_consuming(worker, one);
    worker_await_consuming(worker, two);
    client_send(stage_client(), one, "a", "");
    client_send(stage_client(), two, "b", "");
    await(5, records_count(stage_path("one"), "end", "a") == 1, "message a");
    await(5, records_count(stage_path("two"), "end", "b") == 1, "message b");
    cr_assert_eq(records_count(stage_path("one"), "begin", "b"), 0);
    worker_stop(worker, 20);
}

Test(queues, are_declared_with_their_bindings_and_exchange)
{
    const char *queue = stage_name("bound"), *exchange = stage_name("events");
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_MESSAGE_ID_FLAG,
                                          .message_id = amqp_cstring_bytes("m")};
    struct worker *worker =
        worker_start("",
                     "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}, 'bindings':"
                     "  [{'exchange': '%s', 'exchange_type': 'topic', 'routing_key': 'orders.*'}]}]",
                     queue, stage_path("record"), exchange);

    worker_await_consuming(worker, queue);
    client_publish(stage_client(), exchange, "orders.eu", &properties, amqp_cstring_bytes("body"));
    await(5, records_count(stage_path("record"), "end", "m") == 1, "the message sent to the exchange");
    worker_stop(worker, 20);
}

Test(queues, that_exist_with_other_arguments_are_used_as_they_are)
{
    const char *queue = stage_name("classic");
    struct worker *worker;

    client_declare(stage_client(), queue, "classic");
    client_send(stage_client(), queue, "m", "");
    worker = worker_start("", "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}}]", queue,
                          stage_path("record"));
    await(10, records_count(stage_path("record"), "end", "m") == 1, "the message");
    worker_stop(worker, 20);
}

Test(queues, that_exist_with_other_arguments_are_an_error_under_create)
{
    const char *wrong = stage_name("wrong"), *right = stage_name("right");
    struct worker *worker;

    client_declare(stage_client(), wrong, "classic");
    worker = worker_start(
        "",
        "[{'name': '%s', 'declare': 'create', 'processor': 'record', 'settings': {'path': '%s'}},"
        " {'name': '%s', 'declare': 'create', 'processor': 'record', 'settings': {'path': '%s'}}]",
        wrong, stage_path("wrong"), right, stage_path("right"));
    worker_await_saying(worker, 10, "PRECONDITION_FAILED");
    worker_await_consuming(worker, right);
    cr_assert_eq(client_consumers(stage_client(), wrong), 0);
    worker_stop(worker, 20);
}

Test(queues, that_are_deleted_while_consuming_are_declared_again)
{
    const char *queue = stage_name("deleted"), *other = stage_name("other");
    struct worker *worker =
        worker_start("",
                     "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}},"
                     " {'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}}]",
                     queue, stage_path("record"), other, stage_path("other"));

    worker_await_consuming(worker, queue);
    worker_await_consuming(worker, other);
    client_delete(stage_client(), queue);
    client_send(stage_client(), other, "meanwhile", "");
    await(5, records_count(stage_path("other"), "end", "meanwhile") == 1, "the other queue's message");
    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "after", "");
    await(5, records_count(stage_path("record"), "end", "after") == 1, "the message sent after the deletion");
    worker_stop(worker, 20);
}

Test(queues, that_are_deleted_with_work_in_flight_do_not_disturb_it)
{
    const char *queue = stage_name("deleted");
    struct worker *worker =
        worker_start("", "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s', 'delay': '1s'}}]",
                     queue, stage_path("record"));

    worker_await_consuming(worker, queue);
    client_send_many(stage_client(), queue, 10);
    await(5, records_count(stage_path("record"), "begin", NULL) == 10, "ten attempts");
    client_delete(stage_client(), queue);
    await(5, records_count(stage_path("record"), "end", NULL) == 10, "ten ends, found %zu",
          records_count(stage_path("record"), "end", NULL));
    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "after", "");
    await(5, records_count(stage_path("record"), "end", "after") == 1, "the message sent after the deletion");
    worker_stop(worker, 20);
}

/* RabbitMQ knows a message by queue, channel and a number that begins anew with the queue: an ack for one of
 * the old queue, told on a channel that consumes the new one, would be taken for an ack of another message.
 */
Test(queues, that_are_deleted_and_made_anew_lose_no_message_by_the_acks_of_the_old_one)
{
    const char *queue = stage_name("deleted");
    struct worker *worker = worker_start("",
                                         "[{'name': '%s', 'type': 'classic', 'processor': 'deeds',"
                                         "  'concurrency': 4, 'timeout': '300s', 'retry': {'delay': '1s'}}]",
                                         queue);

    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "old-1", "third");
    client_send(stage_client(), queue, "old-2", "third");
    await(10, worker_said(worker, "attempt 1 of 5 failed") == 2, "two attempts");
    client_delete(stage_client(), queue);
    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "new-1", "sleep");
    client_send(stage_client(), queue, "new-2", "sleep");
    await(10, client_ready(stage_client(), queue) == 0, "the new ones to be at work");
    await(10, worker_said(worker, "attempt 2 of 5 failed") == 2, "two attempts more");
    await(10, worker_in_flight(worker) == 2, "the end of the old ones");
    worker_signal(worker, SIGKILL);
    worker_await_end(worker, 10, 128 + SIGKILL);
    await(10, client_ready(stage_client(), queue) == 2, "both new ones to be back in their queue");
}

Test(queues, that_are_missing_under_passive_are_waited_for)
{
    const char *queue = stage_name("missing"), *other = stage_name("other");
    struct worker *worker = worker_start(
        "",
        "[{'name': '%s', 'declare': 'passive', 'processor': 'record', 'settings': {'path': '%s'}},"
        " {'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}}]",
        queue, stage_path("record"), other, stage_path("other"));

    worker_await_saying(worker, 10, "NOT_FOUND");
    worker_await_saying(worker, 1, queue);
    worker_await_consuming(worker, other);
    cr_assert_eq(client_ready(stage_client(), queue), -1, "the worker declared a queue that was to be there");
    client_declare(stage_client(), queue, "classic");
    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "m", "");
    await(5, records_count(stage_path("record"), "end", "m") == 1, "the message");
    worker_stop(worker, 20);
}

Test(queues, that_are_missing_for_long_are_tried_again_and_complained_of_once)
{
    const char *queue = stage_name("missing");
    struct worker *worker = worker_start(
        "'log': {'level': 'debug'}",
        "[{'name': '%s', 'declare': 'passive', 'processor': 'record', 'settings': {'path': '%s'}}]", queue,
        stage_path("record"));

    await(30, worker_said(worker, "not consuming; trying again") >= 3, "three tries");
    cr_assert_eq(worker_said(worker, "\"level\":\"error\""), 1, "it was not complained of once");
    worker_stop(worker, 20);
}

Test(queues, that_are_deleted_under_passive_are_waited_for)
{
    const char *queue = stage_name("deleted");
    struct worker *worker;

    client_declare(stage_client(), queue, "classic");
    worker = worker_start(
        "", "[{'name': '%s', 'declare': 'passive', 'processor': 'record', 'settings': {'path': '%s'}}]",
        queue, stage_path("record"));
    worker_await_consuming(worker, queue);
    client_delete(stage_client(), queue);
    worker_await_saying(worker, 10, "NOT_FOUND");
    cr_assert_eq(client_ready(stage_client(), queue), -1, "the worker declared a queue that was to be there");
    client_declare(stage_client(), queue, "classic");
    worker_await_consuming(worker, queue);
    worker_stop(worker, 20);
}

Test(queues, without_permission_do_not_stop_the_others)
{
    const char *forbidden = stage_name("forbidden"), *allowed = stage_name("allowed"),
               *user = stage_name("user");
    char options[256];
    struct worker *worker;

    client_declare(stage_client(), forbidden, "classic");
    broker_control(stage_broker(), "add_user", user, "secret", NULL);
    broker_control(stage_broker(), "set_permissions", user, ".*", ".*", "^allowed.*", NULL);
    snprintf(options, sizeof(options), "'amqp': {'url': 'amqp://%s:secret@127.0.0.1:%s/'}", user,
             broker_port(stage_broker()));
    worker = worker_start(options,
                          "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}},"
                          " {'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}}]",
                          forbidden, stage_path("forbidden"), allowed, stage_path("allowed"));
    worker_await_saying(worker, 10, "ACCESS_REFUSED");
    worker_await_saying(worker, 1, forbidden);
    worker_await_consuming(worker, allowed);
    client_send(stage_client(), allowed, "m", "");
    await(5, records_count(stage_path("allowed"), "end", "m") == 1,
          "the message of the queue that is allowed");
    cr_assert_eq(client_consumers(stage_client(), forbidden), 0);
    worker_stop(worker, 20);
}

/* From 4.0 a quorum queue drops what was returned 20 times, unless told otherwise. */
Test(queues, made_for_want_of_one_may_return_messages_as_often_as_they_must)
{
    const char *queue = stage_name("orders"), *own = stage_name("limited");
    const char *limits;
    bool counts = atoi(broker_eval(stage_broker(), "list_to_integer(hd(string:tokens("
                                                   "rabbit_misc:version(), \".\")))")) >= 4;
    struct worker *worker = worker_start(
        "",
        "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}}, {'name': '%s',"
        "  'processor': 'record', 'settings': {'path': '%s'}, 'arguments': {'x-delivery-limit': 7}}]",
        queue, stage_path("one"), own, stage_path("two"));

    worker_await_consuming(worker, queue);
    worker_await_consuming(worker, own);
    limits = broker_eval(stage_broker(),
                         "[proplists:get_value(<<\"x-delivery-limit\">>, [{K, V} || {K, _, V} <- "
                         "amqqueue:get_arguments(element(2, rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, "
                         "queue, list_to_binary(N)))))], none) || N <- [\"%s\", \"%s.dead\", \"%s\"]]",
                         queue, queue, own);
    cr_assert_str_eq(limits, counts ? "[-1, -1, 7]" : "[none, none, 7]", "%s", limits);
    worker_stop(worker, 10);
}
