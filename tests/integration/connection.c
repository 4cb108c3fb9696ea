/* What happens when the broker goes, and comes back. */
#include "stage.h"

#include <stdio.h>

TestSuite(connection, .init = stage_open_alone, .fini = stage_close, .timeout = 300);
TestSuite(channels, .init = stage_open, .fini = stage_close, .timeout = 300);
TestSuite(credentials, .init = stage_open, .fini = stage_close, .timeout = 300);

/* A worker on one queue, consuming, whose attempts take `delay`, and as long as the file "hold" is there. */
static struct worker *start_worker(const char *queue, const char *delay)
{
    struct worker *worker = worker_start("",
                                         "[{'name': '%s', 'processor': 'record', 'concurrency': 100,"
                                         "  'prefetch': 1000,"
                                         "  'settings': {'path': '%s', 'delay': '%s', 'hold': '%s'}}]",
                                         queue, stage_path("record"), delay, stage_path("hold"));

    worker_await_consuming(worker, queue);
    return worker;
}

static void assert_nothing_left(struct worker *worker, const char *queue)
{
    /* The channel of a busy quorum queue may drop acks as it is closed. */
    await(10, broker_messages(stage_broker(), &queue, 1) == 0, "all acks at %s", queue);
    worker_stop(worker, 30);
    await(10, client_ready(stage_client(), queue) == 0, "%s to be empty, found %ld", queue,
          client_ready(stage_client(), queue));
    cr_assert_null(client_get(stage_client(), queue), "%s still has a message", queue);
}

Test(connection, to_a_killed_broker_comes_back_and_no_message_is_lost)
{
    enum {
        MESSAGES = 1000
    };
    const char *queue = stage_name("orders");
    struct worker *worker;

    stage_start_broker();
    worker = start_worker(queue, "300ms");
    client_send_numbered(stage_client(), queue, 0, MESSAGES / 2, 0);
    await(10, records_count(stage_path("record"), "end", NULL) > 100, "the first ends");
    record_hold(stage_path("hold")); /* so that all are not done before the broker goes */
    client_send_numbered(stage_client(), queue, MESSAGES / 2, MESSAGES / 2, 0);
    broker_kill(stage_broker());
    stage_start_broker();
    record_let_go(stage_path("hold"));
    await(60, records_ended_ids(stage_path("record"), MESSAGES) == MESSAGES, "%d messages, found %zu",
          MESSAGES, records_ended_ids(stage_path("record"), MESSAGES));
    assert_nothing_left(worker, queue);
}

Test(connection, closed_by_the_operator_comes_back)
{
    enum {
        MESSAGES = 300
    };
    const char *queue = stage_name("orders");
    struct worker *worker;

    stage_start_broker();
    worker = start_worker(queue, "500ms");
    client_send_many(stage_client(), queue, MESSAGES);
    await(10, records_count(stage_path("record"), "begin", NULL) > 0, "the first message");
    broker_control(stage_broker(), "close_all_connections", "enough for today", NULL);
    worker_await_saying(worker, 10, "enough for today");
    stage_start_broker();
    await(30, records_ended_ids(stage_path("record"), MESSAGES) == MESSAGES, "%d messages, found %zu",
          MESSAGES, records_ended_ids(stage_path("record"), MESSAGES));
    worker_await_consuming(worker, queue);
    assert_nothing_left(worker, queue);
}

/* By an ack that can't be. */
static void have_channels_closed(const char *queue)
{
    broker_do(stage_broker(),
              "{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"%s\">>)), "
              "[gen_server:cast(element(1, C), {method, {'basic.ack', 4000000000, false}, none, noflow}) "
              "|| C <- rabbit_amqqueue:consumers(Q)], ok",
              queue);
}

/* RabbitMQ goes on delivering on a channel that it has closed until it has our close-ok
 * (rabbitmq/rabbitmq-server#13384). */
static void close_channels_under_load(const char *type)
{
    enum {
        ROUNDS = 3, /* of more the log tells the number only */
        EACH = 7000,
        MESSAGES = ROUNDS * EACH
    };
    const char *queue = stage_name("busy");
    struct worker *worker;

    client_declare(stage_client(), queue, type);
    worker = start_worker(queue, "20ms");
    for (unsigned round = 1; round <= ROUNDS; round++) {
        size_t ended = records_count(stage_path("record"), "end", NULL);

        client_send_numbered(stage_client(), queue, (round - 1) * EACH, EACH, 0);
        await(20, records_count(stage_path("record"), "end", NULL) > ended, "messages to flow");
        /* The next consumer may not be there yet. */
        await(20, (have_channels_closed(queue), worker_said(worker, "unknown delivery tag") >= round),
              "the channel's end");
    }
    cr_assert_eq(worker_said(worker, "connection lost"), 0, "the connection went with a channel");
    await(60, records_ended_ids(stage_path("record"), MESSAGES) == MESSAGES, "%d messages, found %zu",
          MESSAGES, records_ended_ids(stage_path("record"), MESSAGES));
    assert_nothing_left(worker, queue);
}

Test(channels, that_the_broker_closes_under_load_take_no_connection_along)
{
    close_channels_under_load("quorum");
}

Test(channels, of_a_classic_queue_that_the_broker_closes_under_load_take_no_connection_along)
{
    close_channels_under_load("classic");
}

Test(connection, to_a_broker_that_is_not_there_yet_is_waited_for)
{
    const char *queue = stage_name("orders");
    struct worker *worker;

    stage_start_broker();
    broker_stop(stage_broker());
    worker = worker_start("", "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}}]", queue,
                          stage_path("record"));
    worker_await_saying(worker, 10, broker_port(stage_broker()));
    cr_assert(worker_runs(worker), "the worker gave up");
    stage_start_broker();
    worker_await_consuming(worker, queue);
    client_send(stage_client(), queue, "m", "");
    await(10, records_count(stage_path("record"), "end", "m") == 1, "the message");
    worker_stop(worker, 10);
}

/* As a container's stop does: no broker, yet the worker ends in good order, and at once. */
Test(connection, that_never_came_is_no_reason_not_to_stop)
{
    struct worker *worker;

    stage_start_broker();
    broker_stop(stage_broker());
    worker = worker_start("", "[{'name': 'orders', 'processor': 'record', 'settings': {'path': '%s'}}]",
                          stage_path("record"));
    worker_await_saying(worker, 10, broker_port(stage_broker()));
    worker_stop(worker, 20);
}

Test(credentials, with_a_wrong_password_are_reported_and_tried_again)
{
    const char *queue = stage_name("orders"), *user = stage_name("user");
    char options[256];
    struct worker *worker;

    snprintf(options, sizeof(options),
             "'amqp': {'url': 'amqp://%s:s3cr3t@127.0.0.1:%s/', 'reconnect': {'min': '200ms', 'max': '1s'}}",
             user, broker_port(stage_broker()));
    worker = worker_start(options, "[{'name': '%s', 'processor': 'record', 'settings': {'path': '%s'}}]",
                          queue, stage_path("record"));
    worker_await_saying(worker, 10, "ACCESS_REFUSED");
    worker_await_saying(worker, 1, user);
    cr_assert(worker_runs(worker), "the worker gave up");
    cr_assert_eq(worker_said(worker, "s3cr3t"), 0, "the password is in the log");
    broker_control(stage_broker(), "add_user", user, "s3cr3t", NULL);
    broker_control(stage_broker(), "set_permissions", user, ".*", ".*", ".*", NULL);
    worker_await_consuming(worker, queue);
    worker_stop(worker, 20);
}

/* As a token may be. Before 4.1, RabbitMQ hangs up on such a login. */
Test(credentials, of_more_than_4096_bytes_are_reported_with_what_older_brokers_take)
{
    char options[512];
    struct worker *worker;
    FILE *file = fopen(stage_path("token"), "w");

    cr_assert_not_null(file);
    fprintf(file, "%05000d\n", 0);
    fclose(file);
    snprintf(options, sizeof(options),
             "'amqp': {'url': 'amqp://%s@127.0.0.1:%s/', 'password_file': '%s',"
             "         'reconnect': {'min': '200ms', 'max': '1s'}}",
             stage_name("user"), broker_port(stage_broker()), stage_path("token"));
    worker = worker_start(options, "[{'name': 'q', 'processor': 'record', 'settings': {'path': '%s'}}]",
                          stage_path("record"));
    await(20,
          worker_said(worker, "RabbitMQ before 4.1 hangs up on more than 4096") > 0 ||
              worker_said(worker, "ACCESS_REFUSED") > 0,
          "a word on the login");
    worker_stop(worker, 20);
}

Test(credentials, for_a_wrong_vhost_are_reported_and_tried_again)
{
    const char *vhost = stage_name("vhost");
    char options[256];
    struct worker *worker;

    snprintf(
        options, sizeof(options),
        "'amqp': {'url': 'amqp://guest:guest@127.0.0.1:%s/%s', 'reconnect': {'min': '200ms', 'max': '1s'}}",
        broker_port(stage_broker()), vhost);
    worker = worker_start(options, "[{'name': 'q', 'processor': 'record', 'settings': {'path': '%s'}}]",
                          stage_path("record"));
    worker_await_saying(worker, 10, "NOT_ALLOWED");
    worker_await_saying(worker, 1, vhost);
    cr_assert(worker_runs(worker), "the worker gave up");
    broker_control(stage_broker(), "add_vhost", vhost, NULL);
    broker_control(stage_broker(), "set_permissions", "--vhost", vhost, "guest", ".*", ".*", ".*", NULL);
    worker_await_saying(worker, 30, "consuming");
    worker_stop(worker, 20);
}
