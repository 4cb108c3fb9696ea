#include "environment.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- From the settings ----------------------------------------------------------------------------------*/

static bool name_is_valid(const char *name, whippet_failure *failure)
{
    if (*name == '\0' || strchr(name, '=') != NULL)
        whippet_fail(failure, "environment: \"%s\" cannot be the name of a variable", name);
    else if (strncmp(name, "WHIPPET_", strlen("WHIPPET_")) == 0)
        whippet_fail(failure,
                     "environment: \"%s\" is taken: names that begin with WHIPPET_ tell of the message",
                     name);
    else
        return true;
    return false;
}

/* NULL with the failure filled when memory is short. */
static char *join(const char *name, const char *value, whippet_failure *failure)
{
    char *variable = NULL;
    if (asprintf(&variable, "%s=%s", name, value) >= 0)
        return variable;
    whippet_fail(failure, "out of memory");
    return NULL;
}

char **environment_create(const char *const *pairs, whippet_failure *failure)
{
    size_t count = 0;
    while (pairs[2 * count] != NULL)
        count++;
    char **environment = calloc(count + 1, sizeof *environment);
    bool complete = environment != NULL;
    if (!complete)
        whippet_fail(failure, "out of memory");
    for (size_t i = 0; complete && i < count; i++) {
        complete = name_is_valid(pairs[2 * i], failure);
        if (complete)
            environment[i] = join(pairs[2 * i], pairs[2 * i + 1], failure);
        complete = environment[i] != NULL;
    }
    if (complete)
        return environment;
    environment_destroy(environment);
    return NULL;
}

void environment_destroy(char **environment)
{
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i++)
        free(environment[i]);
    free(environment);
}

/* --- From a message -------------------------------------------------------------------------------------*/

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
    const char *header;
} traces[] = {
    {"TRACEPARENT", "traceparent"},
    {"TRACESTATE", "tracestate"},
};

enum {
    TEXT_COUNT = sizeof texts / sizeof texts[0],
    TRACE_COUNT = sizeof traces / sizeof traces[0],
    NUMBER_COUNT = 6,
    LONGEST_TRACE =
        4096, /* bytes; a longer one is nobody's trace, and would keep the command from starting */
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

/* The trace that the message belongs to, for a command that takes part in it. Returns how many variables. */
static size_t add_traces(whippet_task *task, const whippet_message *message, const char **to)
{
    size_t count = 0;
    for (size_t i = 0; i < TRACE_COUNT; i++) {
        whippet_value header = whippet_header(message, traces[i].header);
        if (header.kind == WHIPPET_VALUE_TEXT && header.bytes.len <= LONGEST_TRACE)
            to[count++] = text_variable(task, traces[i].name, header.bytes);
    }
    return count;
}

const char *const *environment_for_message(whippet_task *task, const whippet_message *message,
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
    count += add_traces(task, message, environment + count);
    for (size_t i = 0; i < count; i++) {
        if (environment[i] == NULL)
            return NULL;
    }
    return environment;
}
