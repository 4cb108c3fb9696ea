/* Spans, as a collector gets them. */
#include "stage.h"

#include "collector.h"
#include "every_mode.h"
#include "http.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRACE     "0af7651916cd43dd8448eb211c80319c"
#define SPAN      "b7ad6b7169203331"
#define PARENT    "00-" TRACE "-" SPAN "-01"
#define UNSAMPLED "00-" TRACE "-" SPAN "-00"

static void open_all(void)
{
    stage_open();
    collector_open();
}

TestSuite(traces, .init = open_all, .fini = stage_close, .timeout = 180);

enum {
    PATIENCE = 30
};

/* --- Sending --------------------------------------------------------------------------------------------*/

/* A message with these headers; NULL: without. */
static void send_traced(const char *queue, const char *parent, const char *state, const char *body)
{
    amqp_table_entry_t entries[2] = {
        {.key = amqp_cstring_bytes("traceparent"), .value = {.kind = AMQP_FIELD_KIND_UTF8}},
        {.key = amqp_cstring_bytes("tracestate"), .value = {.kind = AMQP_FIELD_KIND_UTF8}}};
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG,
                                          .message_id = amqp_cstring_bytes("m-1"),
                                          .headers = {.num_entries = state ? 2 : 1, .entries = entries}};

    entries[0].value.value.bytes = amqp_cstring_bytes(parent);
    if (state) {
        entries[1].value.value.bytes = amqp_cstring_bytes(state);
    }
    client_publish(stage_client(), "", queue, &properties, amqp_cstring_bytes(body));
}

static struct client_message *take(const char *queue)
{
    struct client_message *message = NULL;

    await(PATIENCE, (message = client_get(stage_client(), queue)) != NULL, "a message in %s", queue);
    return message;
}

static struct worker *start(const char *queue, const char *more, const char *settings)
{
    struct worker *worker = worker_start(
        "", "[{'name': '%s', 'type': 'classic', 'processor': 'record', %s 'settings': {'path': '%s' %s}}]",
        queue, more, stage_path("record"), settings);

    worker_await_consuming(worker, queue);
    return worker;
}

/* --- Looking --------------------------------------------------------------------------------------------*/

/* The span "operation queue", the nth of them. */
static struct collected span_of(const char *operation, const char *queue, unsigned nth)
{
    char name[300];

    snprintf(name, sizeof(name), "%s %s", operation, queue);
    return collector_await(PATIENCE, name, nth);
}

static void expect_below(struct collected span, struct collected parent)
{
    cr_expect_str_eq(span.trace, parent.trace, "%s is in the trace of %s", span.name, parent.name);
    cr_expect_str_eq(span.parent, parent.id, "%s is below %s", span.name, parent.name);
    cr_expect(span.end >= span.start);
}

static void expect_attribute(struct collected span, const char *name, const char *expected)
{
    const char *found = collected_attribute(&span, name);

    cr_expect_str_eq(found, expected, "%s of %s: \"%s\", not \"%s\"", name, span.name, found, expected);
}

static void expect_from_publisher(struct collected receive)
{
    cr_expect_str_eq(receive.trace, TRACE);
    cr_expect_str_eq(receive.parent, SPAN);
}

static void expect_header(const struct client_message *message, const char *name, const char *expected)
{
    char *found = client_header_text(message, name);

    cr_expect_str_eq(found, expected, "%s: \"%s\", not \"%s\"", name, found, expected);
    free(found);
}

/* --- The tree -------------------------------------------------------------------------------------------*/

Test(traces, show_a_message_that_went_well)
{
    const char *queue = stage_name("orders");
    struct worker *worker = start(queue, "", "");

    send_traced(queue, PARENT, NULL, "x");
    struct collected receive = span_of("receive", queue, 0);
    struct collected process = span_of("process", queue, 0);
    struct collected settle = span_of("settle", queue, 0);
    expect_from_publisher(receive);
    expect_below(process, receive);
    expect_below(settle, receive);
    cr_expect(receive.start > 1.7e9 && receive.end <= process.end && process.end <= settle.end);
    expect_attribute(process, "messaging.system", "rabbitmq");
    expect_attribute(process, "messaging.destination.name", queue);
    expect_attribute(process, "messaging.operation.type", "process");
    expect_attribute(process, "messaging.message.id", "m-1");
    expect_attribute(process, "whippet.processor", "record");
    expect_attribute(process, "whippet.attempt", "1");
    expect_attribute(settle, "whippet.outcome", "acked");
    cr_expect_null(process.error);
    worker_stop(worker, 20);
    cr_expect_eq(collector_spans(), 3);
    cr_expect_eq(worker_said(worker, "3 spans exported, 0 dropped"), 1);
    cr_expect_not_null(strstr(collector_headers(), "POST /v1/traces HTTP/1.1"));
    cr_expect_not_null(strstr(collector_headers(), "Content-Type: application/json"));
}

Test(traces, show_each_attempt_and_the_pauses_between_them)
{
    const char *queue = stage_name("orders");
    struct worker *worker =
        start(queue, "'retry': {'delay': '100ms'},", ", 'fail_attempts': 1, 'reason': 'too early'");

    client_send(stage_client(), queue, "m-1", "x");
    struct collected receive = span_of("receive", queue, 0);
    struct collected first = span_of("process", queue, 0);
    struct collected pause = span_of("retry wait", queue, 0);
    struct collected second = span_of("process", queue, 1);
    struct collected settle = span_of("settle", queue, 0);
    cr_expect_str_eq(receive.parent, "", "it is the root, since the message brought no trace");
    expect_below(first, receive);
    expect_below(pause, receive);
    expect_below(second, receive);
    expect_below(settle, receive);
    cr_expect_str_eq(first.error, "too early");
    expect_attribute(first, "error.type", "retry");
    expect_attribute(second, "whippet.attempt", "2");
    cr_expect(pause.end - pause.start > 0.09 && pause.start >= first.start && second.end >= pause.end);
    cr_expect_null(second.error);
    expect_attribute(settle, "whippet.outcome", "acked");
    worker_stop(worker, 20);
    cr_expect_eq(collector_spans(), 5);
}

Test(traces, go_on_through_a_delay_queue)
{
    const char *queue = stage_name("orders");
    char delay_queue[300];
    struct worker *worker =
        start(queue, "'retry': {'delay': '200ms', 'via': 'broker'},", ", 'fail_attempts': 1");

    client_send(stage_client(), queue, "m-1", "x");
    struct collected receive = span_of("receive", queue, 0), again = span_of("receive", queue, 1);
    struct collected first = span_of("process", queue, 0), second = span_of("process", queue, 1);
    struct collected parked = span_of("settle", queue, 0), settle = span_of("settle", queue, 1);
    snprintf(delay_queue, sizeof(delay_queue), "%s.retry.200ms", queue);
    struct collected publish = span_of("publish", delay_queue, 0);
    expect_below(first, receive);
    expect_below(parked, receive);
    expect_below(publish, parked);
    expect_below(again, receive);
    expect_below(second, again);
    expect_below(settle, again);
    expect_attribute(parked, "whippet.outcome", "retried");
    expect_attribute(second, "whippet.attempt", "2");
    expect_attribute(settle, "whippet.outcome", "acked");
    worker_stop(worker, 20);
}

Test(traces, show_a_dead_letter_which_keeps_the_context_it_came_with)
{
    const char *queue = stage_name("orders");
    char dead[300];
    struct worker *worker = start(queue, "", ", 'verdict': 'reject', 'reason': 'no such customer'");

    send_traced(queue, PARENT, "a=b", "x");
    snprintf(dead, sizeof(dead), "%s.dead", queue);
    struct collected receive = span_of("receive", queue, 0), process = span_of("process", queue, 0);
    struct collected settle = span_of("settle", queue, 0), publish = span_of("publish", dead, 0);
    expect_from_publisher(receive);
    expect_below(process, receive);
    expect_below(settle, receive);
    expect_below(publish, settle);
    cr_expect_str_eq(process.error, "no such customer");
    expect_attribute(process, "error.type", "reject");
    expect_attribute(settle, "whippet.outcome", "dead_lettered");
    expect_attribute(publish, "messaging.operation.type", "send");
    struct client_message *message = take(dead);
    expect_header(message, "traceparent", PARENT);
    expect_header(message, "tracestate", "a=b");
    client_message_destroy(message);
    worker_stop(worker, 20);
}

Test(traces, that_begin_here_are_named_in_the_dead_letter)
{
    const char *queue = stage_name("orders");
    char dead[300], expected[100];
    struct worker *worker = start(queue, "", ", 'verdict': 'reject'");

    client_send(stage_client(), queue, "m-1", "x");
    snprintf(dead, sizeof(dead), "%s.dead", queue);
    struct collected receive = span_of("receive", queue, 0);
    struct client_message *message = take(dead);
    snprintf(expected, sizeof(expected), "00-%s-%s-03", receive.trace, receive.id);
    expect_header(message, "traceparent", expected);
    client_message_destroy(message);
    worker_stop(worker, 20);
}

/* --- Passing on -----------------------------------------------------------------------------------------*/

static struct worker *start_answering(const char *queue, const char *mode)
{
    struct worker *worker = worker_start("",
                                         "[{'name': '%s', 'type': 'classic', 'processor': 'answering', "
                                         "'run': '%s', 'retry': {'attempts': 1}}]",
                                         queue, mode);

    worker_await_consuming(worker, queue);
    return worker;
}

/* Has the processor publish to `target`; what it published. */
static struct client_message *relay(const char *queue, const char *verb, const char *parent)
{
    const char *target = stage_name("target");
    char body[300];

    client_declare(stage_client(), target, "classic");
    snprintf(body, sizeof(body), "{\"%s\": \"%s\"}", verb, target);
    send_traced(queue, parent, "a=b", body);
    return take(target);
}

IN_EVERY_MODE_OF(traces, go_on_in_what_a_processor_publishes)
{
    const char *queue = stage_name("orders"), *target = stage_name("target");
    char expected[100];
    struct worker *worker = start_answering(queue, mode);
    struct client_message *message = relay(queue, "to", PARENT);
    struct collected process = span_of("process", queue, 0), publish = span_of("publish", target, 0);

    expect_from_publisher(span_of("receive", queue, 0));
    expect_below(publish, process);
    expect_attribute(publish, "messaging.destination.name", target);
    snprintf(expected, sizeof(expected), "00-%s-%s-01", TRACE, publish.id);
    expect_header(message, "traceparent", expected);
    expect_header(message, "tracestate", "a=b");
    client_message_destroy(message);
    worker_stop(worker, 20);
}

IN_EVERY_MODE_OF(traces, can_be_asked_for_by_a_processor)
{
    const char *queue = stage_name("orders");
    char expected[100];
    struct worker *worker = start_answering(queue, mode);
    struct client_message *message = relay(queue, "trace", PARENT);
    struct collected process = span_of("process", queue, 0);

    snprintf(expected, sizeof(expected), "00-%s-%s-01 a=b", TRACE, process.id);
    cr_expect(message->content.body.len == strlen(expected) &&
                  memcmp(message->content.body.bytes, expected, strlen(expected)) == 0,
              "\"%.*s\", not \"%s\"", (int)message->content.body.len, (char *)message->content.body.bytes,
              expected);
    client_message_destroy(message);
    worker_stop(worker, 20);
}

Test(traces, are_told_to_a_command)
{
    const char *queue = stage_name("orders");
    char dead[300], expected[100];
    struct worker *worker =
        worker_start("",
                     "[{'name': '%s', 'type': 'classic', 'processor': '%s', 'settings': {'command': "
                     "['sh', '-c', 'echo $TRACEPARENT $TRACESTATE >&2; exit 3']}}]",
                     queue, EXEC_PROCESSOR);

    worker_await_consuming(worker, queue);
    send_traced(queue, PARENT, "a=b", "x");
    snprintf(dead, sizeof(dead), "%s.dead", queue);
    struct collected process = span_of("process", queue, 0);
    struct client_message *message = take(dead);
    snprintf(expected, sizeof(expected), "exit status 3: 00-%s-%s-01 a=b", TRACE, process.id);
    expect_header(message, "whippet-error", expected);
    client_message_destroy(message);
    worker_stop(worker, 20);
}

Test(traces, that_the_publisher_does_not_record_are_passed_on_and_not_recorded)
{
    const char *queue = stage_name("orders");
    struct worker *worker = start_answering(queue, "loop");
    struct client_message *message = relay(queue, "to", UNSAMPLED);
    char *parent = client_header_text(message, "traceparent");

    cr_expect(strncmp(parent, "00-" TRACE "-", 36) == 0 && strcmp(parent + 52, "-00") == 0, "%s", parent);
    cr_expect_null(strstr(parent, SPAN), "the span is the attempt's: %s", parent);
    free(parent);
    client_message_destroy(message);
    worker_stop(worker, 20);
    cr_expect_eq(collector_requests(), 0);
}

Test(traces, are_passed_on_as_they_came_where_nobody_records)
{
    unsetenv("OTEL_EXPORTER_OTLP_ENDPOINT");
    const char *queue = stage_name("orders");
    struct worker *worker = start_answering(queue, "loop");
    struct client_message *message = relay(queue, "to", PARENT);

    expect_header(message, "traceparent", PARENT);
    expect_header(message, "tracestate", "a=b");
    client_message_destroy(message);
    worker_stop(worker, 20);
    cr_expect_eq(worker_said(worker, "traces"), 0);
}

Test(traces, of_which_a_ratio_is_wanted_are_sampled)
{
    setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio", 1);
    setenv("OTEL_TRACES_SAMPLER_ARG", "0.5", 1);
    const char *queue = stage_name("orders");
    struct worker *worker = start(queue, "", "");

    client_send_many(stage_client(), queue, 200);
    await(PATIENCE, client_ready(stage_client(), queue) == 0, "an empty queue");
    worker_stop(worker, 20);
    /* Of 200 tosses fewer than 50 or more than 150 are heads once in 10^12 times. */
    cr_expect(collector_spans() > 3 * 50 && collector_spans() < 3 * 150, "%u spans of 600",
              collector_spans());
}

/* --- A collector that fails -----------------------------------------------------------------------------*/

static double dropped(unsigned port)
{
    struct http_reply reply = http_get(port, "/metrics");
    double count = http_sample(&reply, "whippet_trace_spans_dropped_total{reason=\"export_failed\"}");

    http_free(&reply);
    return count;
}

static struct worker *start_with_admin(const char *queue, unsigned *port)
{
    struct worker *worker = worker_start("'admin': {'listen': '127.0.0.1:0'}",
                                         "[{'name': '%s', 'type': 'classic', 'processor': 'record', "
                                         "'settings': {'path': '%s'}}]",
                                         queue, stage_path("record"));

    worker_await_consuming(worker, queue);
    *port = worker_number_behind(worker, "admin port at http://127.0.0.1:");
    return worker;
}

Test(traces, that_are_refused_cost_nothing_but_the_spans_which_are_counted)
{
    const char *queue = stage_name("orders");
    unsigned port;
    collector_answer(400);
    struct worker *worker = start_with_admin(queue, &port);

    client_send_many(stage_client(), queue, 20);
    await(PATIENCE, dropped(port) == 60, "60 dropped spans");
    worker_stop(worker, 20);
    cr_expect_eq(worker_counts(worker, queue).acked, 20);
    cr_expect_eq(worker_said(worker, "the collector answers with status 400"), 1, "it is said once");
    cr_expect_eq(worker_said(worker, "0 spans exported, 60 dropped"), 1);
}

Test(traces, that_are_taken_in_part_are_counted_as_such)
{
    const char *queue = stage_name("orders");
    unsigned port;
    collector_answer_with(
        COLLECTOR_OK, "",
        "{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"a span without a soul\"}}");
    struct worker *worker = start_with_admin(queue, &port);

    client_send(stage_client(), queue, "m-1", "x");
    await(PATIENCE, dropped(port) > 0, "a dropped span");
    worker_stop(worker, 20);
    cr_expect_eq(worker_said(worker, "rejects spans"), 1, "it is said once");
    cr_expect_eq(worker_said(worker, "a span without a soul"), 1);
}

Test(traces, leave_a_collector_alone_for_as_long_as_it_asks)
{
    const char *queue = stage_name("orders");
    struct worker *worker = start(queue, "", "");
    double begun = patience_now();

    collector_answer_with(503, "Retry-After: 4", "");
    client_send(stage_client(), queue, "m-1", "x");
    await(PATIENCE, collector_requests() > 0, "a request");
    collector_answer(COLLECTOR_OK);
    span_of("process", queue, 0);
    cr_expect_geq(patience_now() - begun, 4);
    worker_stop(worker, 20);
}

Test(traces, wait_for_a_collector_that_comes_back)
{
    const char *queue = stage_name("orders");
    struct worker *worker = start(queue, "", "");

    collector_answer(503);
    client_send(stage_client(), queue, "m-1", "x");
    await(PATIENCE, collector_requests() > 0, "a request");
    collector_answer(COLLECTOR_OK);
    span_of("process", queue, 0);
    worker_await_saying(worker, PATIENCE, "are exported to http://127.0.0.1");
    worker_stop(worker, 20);
}

/* Nobody listens on port 1. */
Test(traces, do_not_keep_a_worker_whose_collector_is_away)
{
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@127.0.0.1:1", 1);
    const char *queue = stage_name("orders");
    struct worker *worker = start(queue, "", "");

    client_send_many(stage_client(), queue, 20);
    worker_await_saying(worker, PATIENCE, "can't be exported to http://127.0.0.1:1/v1/traces");
    await(PATIENCE,
          client_ready(stage_client(), queue) == 0 && broker_messages(stage_broker(), &queue, 1) == 0,
          "all of them acked");
    worker_stop(worker, 20);
    cr_expect_eq(worker_counts(worker, queue).acked, 20);
    cr_expect_eq(worker_said(worker, "0 spans exported, 60 dropped"), 1);
    cr_expect_eq(worker_said(worker, "secret"), 0);
}

Test(traces, do_not_keep_a_worker_whose_collector_never_answers)
{
    const char *queue = stage_name("orders");
    collector_answer(COLLECTOR_NEVER);
    struct worker *worker = start(queue, "", "");

    client_send_many(stage_client(), queue, 20);
    await(PATIENCE, collector_requests() > 0, "a request");
    await(PATIENCE,
          client_ready(stage_client(), queue) == 0 && broker_messages(stage_broker(), &queue, 1) == 0,
          "all of them acked");
    double begun = patience_now();
    worker_stop(worker, 20);
    cr_expect(patience_now() - begun < patience_stretched(9), "before the request's own time is over");
    cr_expect_eq(worker_counts(worker, queue).acked, 20);
    cr_expect_eq(worker_said(worker, "0 spans exported, 60 dropped"), 1);
}

Test(traces, carry_the_headers_that_a_collector_wants)
{
    setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%2Cb", 1);
    const char *queue = stage_name("orders");
    struct worker *worker = start(queue, "", "");

    client_send(stage_client(), queue, "m-1", "x");
    span_of("settle", queue, 0);
    cr_expect_not_null(strstr(collector_headers(), "\r\napi-key: a,b\r\n"), "%s", collector_headers());
    worker_stop(worker, 20);
}
