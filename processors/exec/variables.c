#include "variables.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    whippet_bytes (*value)(const whippet_message *message);
} texts[] = {
    {"WHIPPET_QUEUE", whippet_queue},
    {"WHIPPET_EXCHANGE", whippet_exchange},
    {"WHIPPET_ROUTING_KEY", whippet_routing_key},
    {"WHIPPET_MESSAGE_ID", whippet_message_id},
    {"WHIPPET_CORRELATION_ID", whippet_correlation_id},
    {"WHIPPET_REPLY_TO", whippet_reply_to},
    {"WHIPPET_CONTENT_TYPE", whippet_content_type},
    {"WHIPPET_CONTENT_ENCODING", whippet_content_encoding},
    {"WHIPPET_TYPE", whippet_type},
    {"WHIPPET_APP_ID", whippet_app_id},
    {"WHIPPET_USER_ID", whippet_user_id},
    {"WHIPPET_EXPIRATION", whippet_expiration},
};

static const struct {
    const char *name;
    const char *(*value)(whippet_task *task);
} traces[] = {
    {"TRACEPARENT", whippet_trace_parent},
    {"TRACESTATE", whippet_trace_state},
};

enum {
    TEXT_COUNT = sizeof texts / sizeof texts[0],
    TRACE_COUNT = sizeof traces / sizeof traces[0],
    NUMBER_COUNT = 6,
};

/* A variable cannot hold a NUL: a value with one is left to descriptor 3, and empty here. NULL when memory is
 * short. */
static const char *text_variable(whippet_task *task, const char *name, whippet_bytes value)
{
    if (value.len > 0 && memchr(value.data, '\0', value.len) != NULL)
        value.len = 0;
    char *variable = whippet_alloc(task, strlen(name) + 1 + value.len + 1);
    if (variable == NULL)
        return NULL;
    char *at = stpcpy(stpcpy(variable, name), "=");
    if (value.len > 0)
        memcpy(at, value.data, value.len);
    return variable;
}

static const char *number_variable(whippet_task *task, const char *name, uint64_t value)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, value);
    return text_variable(task, name, (whippet_bytes){.data = digits, .len = (size_t)length});
}

static const char *boolean_variable(whippet_task *task, const char *name, bool value)
{
    return text_variable(task, name, (whippet_bytes){.data = value ? "true" : "false", .len = value ? 4 : 5});
}

/* NUMBER_COUNT variables from `*to` on. */
static void add_numbers(whippet_task *task, const whippet_message *message, const char **to)
{
    to[0] = number_variable(task, "WHIPPET_TIMESTAMP", whippet_timestamp(message));
    to[1] = number_variable(task, "WHIPPET_PRIORITY", whippet_priority(message));
    to[2] = number_variable(task, "WHIPPET_DELIVERY_COUNT", whippet_delivery_count(message));
    to[3] = number_variable(task, "WHIPPET_ATTEMPT", whippet_attempt(message));
    to[4] = number_variable(task, "WHIPPET_ATTEMPTS", whippet_attempts(message));
    to[5] = boolean_variable(task, "WHIPPET_REDELIVERED", whippet_redelivered(message));
}

/* The trace that the attempt belongs to, by the names of OpenTelemetry's convention
 * (https://opentelemetry.io/docs/specs/otel/context/env-carriers/). Returns how many variables. */
static size_t add_traces(whippet_task *task, const char **to)
{
    size_t count = 0;
    for (size_t i = 0; i < TRACE_COUNT; i++) {
        const char *value = traces[i].value(task);
        if (value != NULL)
            to[count++] =
                text_variable(task, traces[i].name, (whippet_bytes){.data = value, .len = strlen(value)});
    }
    return count;
}

const char *const *variables_for_message(whippet_task *task, const whippet_message *message,
                                         char *const *settings)
{
    size_t given = 0;
    while (settings[given] != NULL)
        given++;
    const char **environment =
        whippet_alloc(task, (given + TEXT_COUNT + NUMBER_COUNT + TRACE_COUNT + 1) * sizeof *environment);
    if (environment == NULL)
        return NULL;
    memcpy(environment, settings, given * sizeof *environment);
    size_t count = given;
    for (size_t i = 0; i < TEXT_COUNT; i++)
        environment[count++] = text_variable(task, texts[i].name, texts[i].value(message));
    add_numbers(task, message, environment + count);
    count += NUMBER_COUNT;
    count += add_traces(task, environment + count);
    for (size_t i = 0; i < count; i++) {
        if (environment[i] == NULL)
            return NULL;
    }
    return environment;
}
