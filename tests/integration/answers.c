/* What processors publish and answer, against a real broker. */
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(answers, .init = stage_open, .fini = stage_close, .timeout = 120);

#define QUEUE "[{'name': '%s', 'processor': '%s/answering.so', 'type': 'classic', 'retry': {'attempts': 1}}]"

static struct worker *start(const char *queue)
{
    struct worker *worker = worker_start("", QUEUE, queue, getenv("WHIPPET_TEST_PLUGINS"));

    worker_await_consuming(worker, queue);
    return worker;
}

static struct client_message *take(const char *queue)
{
    struct client_message *message = NULL;

    await(20, (message = client_get(stage_client(), queue)) != NULL, "a message in %s", queue);
    return message;
}

static void expect_text(amqp_bytes_t found, const char *expected)
{
    cr_expect(found.len == strlen(expected) && memcmp(found.bytes, expected, found.len) == 0,
              "\"%.*s\", not \"%s\"", (int)found.len, (char *)found.bytes, expected);
}

static void expect_header(const struct client_message *message, const char *name, const char *expected)
{
    char *found = client_header_text(message, name);

    cr_expect_str_eq(found, expected, "%s: \"%s\", not \"%s\"", name, found, expected);
    free(found);
}

/* Sends a request that is to be answered to `reply_to` (NULL: nowhere). */
static void ask(const char *queue, const char *reply_to, const char *body)
{
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG,
        .correlation_id = amqp_cstring_bytes("call-1"),
        .message_id = amqp_cstring_bytes("request-1"),
    };

    if (reply_to != NULL) {
        properties._flags |= AMQP_BASIC_REPLY_TO_FLAG;
        properties.reply_to = amqp_cstring_bytes(reply_to);
    }
    client_publish(stage_client(), "", queue, &properties, amqp_cstring_bytes(body));
}

/* The message was rejected with this reason. */
static void expect_rejected(const char *queue, const char *reason)
{
    char dead[300];

    snprintf(dead, sizeof(dead), "%s.dead", queue);
    struct client_message *message = take(dead);
    expect_header(message, "whippet-error", reason);
    client_message_destroy(message);
}

Test(answers, go_to_the_queue_that_the_message_names)
{
    const char *queue = stage_name("requests"), *replies = stage_name("replies");
    struct worker *worker = start(queue);

    client_declare(stage_client(), replies, "classic");
    ask(queue, replies, "{\"answer\": \"gr\\u00fcezi\"}");
    struct client_message *reply = take(replies);
    expect_text(reply->content.body, "gr\xc3\xbc"
                                     "ezi");
    expect_text(reply->content.properties.correlation_id, "call-1");
    expect_text(reply->content.properties.content_type, "text/plain");
    cr_expect_eq(reply->content.properties.message_id.len, 36);
    client_message_destroy(reply);
    worker_stop(worker, 10);
    cr_expect_eq(worker_counts(worker, queue).acked, 1);
}

Test(answers, go_to_rabbitmqs_direct_reply_to)
{
    const char *queue = stage_name("calls");
    struct worker *worker = start(queue);
    struct client_message *reply = client_call(stage_client(), queue, "{\"answer\": \"direct\"}", 20);

    expect_text(reply->content.body, "direct");
    expect_text(reply->content.properties.correlation_id, "call");
    client_message_destroy(reply);
    worker_stop(worker, 10);
    cr_expect_eq(worker_counts(worker, queue).acked, 1);
}

Test(answers, to_nobody_are_errors)
{
    const char *queue = stage_name("lost");
    struct worker *worker = start(queue);

    ask(queue, NULL, "{\"answer\": \"x\"}");
    expect_rejected(queue, "invalid argument");
    ask(queue, stage_name("nowhere"), "{\"answer\": \"x\"}");
    expect_rejected(queue, "unroutable");
    worker_stop(worker, 10);
}

Test(answers, that_the_broker_refuses_are_errors)
{
    const char *queue = stage_name("requests"), *replies = stage_name("full");
    struct worker *worker = start(queue);

    client_declare_full(stage_client(), replies);
    ask(queue, replies, "{\"answer\": \"x\"}");
    expect_rejected(queue, "not confirmed by the broker");
    worker_stop(worker, 10);
}

Test(answers, that_are_published_carry_every_property_and_typed_headers)
{
    const char *queue = stage_name("orders"), *target = stage_name("target");
    struct worker *worker = start(queue);
    char body[300];

    client_declare(stage_client(), target, "classic");
    snprintf(body, sizeof(body), "{\"to\": \"%s\"}", target);
    client_send(stage_client(), queue, "1", body);
    struct client_message *message = take(target);
    const amqp_basic_properties_t *properties = &message->content.properties;
    expect_text(properties->content_type, "text/plain");
    expect_text(properties->content_encoding, "identity");
    expect_text(properties->message_id, "m-1");
    expect_text(properties->correlation_id, "c-1");
    expect_text(properties->reply_to, "somewhere");
    expect_text(properties->type, "test");
    expect_text(properties->app_id, "answering");
    expect_text(properties->expiration, "60001");
    cr_expect_eq(properties->timestamp, 1700000000);
    cr_expect_eq(properties->priority, 7);
    cr_expect_eq(properties->delivery_mode, AMQP_DELIVERY_PERSISTENT);
    expect_header(message, "text", "Linz");
    expect_header(message, "integer", "-9007199254740993");
    cr_expect_eq(client_header(message, "boolean")->kind, AMQP_FIELD_KIND_BOOLEAN);
    cr_expect(client_header(message, "boolean")->value.boolean);
    cr_expect_eq(client_header(message, "real")->value.f64, 0.5);
    client_message_destroy(message);
    worker_stop(worker, 10);
}

Test(answers, pass_the_trace_of_the_message_on)
{
    const char *queue = stage_name("traced"), *target = stage_name("target");
    struct worker *worker = start(queue);
    char body[300];
    amqp_table_entry_t trace = {.key = amqp_cstring_bytes("traceparent"),
                                .value = {.kind = AMQP_FIELD_KIND_UTF8}};
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_HEADERS_FLAG,
                                          .headers = {.num_entries = 1, .entries = &trace}};

    trace.value.value.bytes = amqp_cstring_bytes("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    client_declare(stage_client(), target, "classic");
    snprintf(body, sizeof(body), "{\"to\": \"%s\"}", target);
    client_publish(stage_client(), "", queue, &properties, amqp_cstring_bytes(body));
    struct client_message *message = take(target);
    expect_header(message, "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    client_message_destroy(message);
    worker_stop(worker, 10);
}

static void publish_to(const char *queue, const char *routing_key)
{
    char body[300];

    snprintf(body, sizeof(body), "{\"exchange\": \"amq.topic\", \"to\": \"%s\"}", routing_key);
    client_send(stage_client(), queue, routing_key, body);
}

/* https://www.rabbitmq.com/docs/access-control#topic-authorisation */
Test(answers, to_a_routing_key_that_is_not_allowed_cost_nobody_else)
{
    enum {
        MESSAGES = 40
    };
    const char *queue = stage_name("orders"), *target = stage_name("target"), *user = stage_name("user");
    char options[256], dead[300];
    struct worker *worker;

    await(
        20,
        strstr(
            broker_eval(
                stage_broker(),
                "U = <<\"%s\">>, A = <<\"test\">>, E = <<\"amq.topic\">>, V = <<\"/\">>, "
                "rabbit_auth_backend_internal:add_user(U, U, A), "
                "rabbit_auth_backend_internal:set_permissions(U, V, <<\".*\">>, <<\".*\">>, <<\".*\">>, A), "
                "rabbit_auth_backend_internal:set_topic_permissions(U, V, E, <<\"^%s\">>, <<\".*\">>, A), ok",
                user, target),
            "ok") != NULL,
        "a user");
    snprintf(options, sizeof(options), "'amqp': {'url': 'amqp://%s:%s@127.0.0.1:%s/'}", user, user,
             broker_port(stage_broker()));
    worker = worker_start(options,
                          "[{'name': '%s', 'processor': '%s/answering.so', 'retry': {'attempts': 1}},"
                          " {'name': '%s', 'processor': 'record', 'settings': {'path': '%s'},"
                          "  'bindings': [{'exchange': 'amq.topic', 'routing_key': '%s.#'}]}]",
                          queue, getenv("WHIPPET_TEST_PLUGINS"), target, stage_path("record"), target);
    worker_await_consuming(worker, target);
    worker_await_consuming(worker, queue);

    /* After one that is refused, and beside others. */
    publish_to(queue, "forbidden");
    snprintf(dead, sizeof(dead), "%s.dead", queue);
    await(20, client_ready(stage_client(), dead) == 1, "the dead letter");
    for (int i = 0; i < MESSAGES; i++) {
        publish_to(queue, target);
        if (i % 8 == 0)
            publish_to(queue, "forbidden.too");
    }
    await(30, records_count(stage_path("record"), "end", NULL) >= MESSAGES, "%d messages", MESSAGES);
    await(30, client_ready(stage_client(), dead) == 1 + MESSAGES / 8, "%d dead letters, found %ld",
          1 + MESSAGES / 8, client_ready(stage_client(), dead));
    worker_stop(worker, 10);
    cr_assert_eq(worker_counts(worker, queue).acked, MESSAGES);
}

Test(answers, to_a_body_that_is_not_json_say_where_it_is_wrong)
{
    const char *queue = stage_name("broken");
    struct worker *worker = start(queue);
    char *deep = malloc(100001);

    client_send(stage_client(), queue, "1", "{\n \"to\": }");
    expect_rejected(queue, "the body is not JSON: expected a value at line 2, column 8 (byte 9)");
    memset(deep, '[', 100000);
    deep[100000] = '\0';
    client_send(stage_client(), queue, "2", deep);
    expect_rejected(queue,
                    "the body is not JSON: nested more than 512 deep at line 1, column 513 (byte 512)");
    free(deep);
    worker_stop(worker, 10);
}

/* An alarm blocks whoever publishes, the test's client too: all is sent before it is raised. */
Test(alarms, end_a_publish_with_the_deadline, .init = stage_open_alone, .fini = stage_close, .timeout = 240)
{
    const char *queue, *target;
    char body[300];

    stage_start_broker();
    queue = stage_name("orders"), target = stage_name("target");
    client_declare(stage_client(), queue, "classic");
    client_declare(stage_client(), target, "classic");
    snprintf(body, sizeof(body), "{\"to\": \"%s\", \"seconds\": 2}", target);
    client_send(stage_client(), queue, "1", body);
    broker_control(stage_broker(), "set_vm_memory_high_watermark", "0.000001", NULL);
    struct worker *worker = start(queue);
    worker_await_saying(worker, 90,
                        "not dead-lettered"); /* so the publish has ended, and the alarm has not */
    broker_control(stage_broker(), "set_vm_memory_high_watermark", "0.6", NULL);
    expect_rejected(queue, "timed out");
    worker_stop(worker, 20);
}
