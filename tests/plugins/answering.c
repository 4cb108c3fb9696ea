/* Answers and publishes as the message's body says: for the tests of whippet_reply and whippet_publish. */
#include <whippet/processor.h>

#include <stdio.h>
#include <string.h>

static whippet_verdict verdict_of(whippet_task *task, int error)
{
    return error == 0 ? WHIPPET_ACK : whippet_reject(task, "%s", whippet_error_text(error));
}

/* {"answer": "text"} */
static int answer(whippet_task *task, const whippet_message *message, whippet_json_value text)
{
    whippet_publication reply = {.body = whippet_json_text(task, text), .content_type = "text/plain"};

    return whippet_reply(task, message, &reply);
}

struct destination {
    const char *exchange;
    const char *routing_key;
};

/* {"to": "queue", "exchange": "", "seconds": 1.5}: gives up after so many seconds. */
static int publish(whippet_task *task, void *arg)
{
    const struct destination *to = arg;
    whippet_publish_header headers[] = {
        {"text", whippet_text_value("Linz")},
        {"integer", whippet_integer_value(-9007199254740993)},
        {"boolean", whippet_boolean_value(true)},
        {"real", whippet_real_value(0.5)},
    };
    whippet_publication publication = {
        .exchange = to->exchange,
        .routing_key = to->routing_key,
        .body = {"body", 4},
        .content_type = "text/plain",
        .content_encoding = "identity",
        .message_id = "m-1",
        .correlation_id = "c-1",
        .reply_to = "somewhere",
        .type = "test",
        .app_id = "answering",
        .timestamp = 1700000000,
        .expiration = 60.0005,
        .priority = 7,
        .headers = headers,
        .header_count = sizeof headers / sizeof headers[0],
    };

    return whippet_publish(task, &publication);
}

/* {"trace": "queue"}: publishes there what the trace is. */
static int publish_trace(whippet_task *task, const char *queue)
{
    const char *parent = whippet_trace_parent(task), *state = whippet_trace_state(task);
    char text[2048];
    int length = snprintf(text, sizeof text, "%s %s", parent ? parent : "-", state ? state : "-");

    return whippet_publish(task,
                           &(whippet_publication){.routing_key = queue, .body = {text, (size_t)length}});
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    whippet_json_value body = whippet_json(message), text = whippet_json_get(body, "answer");
    double seconds = 30;
    struct destination to = {.exchange = whippet_json_string(task, whippet_json_get(body, "exchange")),
                             .routing_key = whippet_json_string(task, whippet_json_get(body, "to"))};
    const char *trace = whippet_json_string(task, whippet_json_get(body, "trace"));

    (void)state;
    if (body.kind == WHIPPET_JSON_ABSENT) {
        return whippet_reject(task, "%s", whippet_json_error(task, message));
    }
    if (text.kind != WHIPPET_JSON_ABSENT) {
        return verdict_of(task, answer(task, message, text));
    }
    if (trace) {
        return verdict_of(task, publish_trace(task, trace));
    }
    whippet_json_real(whippet_json_get(body, "seconds"), &seconds);
    return verdict_of(task, whippet_with_timeout(task, seconds, publish, &to));
}

WHIPPET_PROCESSOR(.name = "answering", .version = "1.0", .summary = "answers and publishes",
                  .process = process);
