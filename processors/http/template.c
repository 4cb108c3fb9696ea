#include "template.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    whippet_bytes (*value)(const whippet_message *message);
} PROPERTIES[] = {
    {"queue", whippet_queue},
    {"exchange", whippet_exchange},
    {"routing_key", whippet_routing_key},
    {"message_id", whippet_message_id},
    {"correlation_id", whippet_correlation_id},
    {"reply_to", whippet_reply_to},
    {"type", whippet_type},
    {"app_id", whippet_app_id},
    {"user_id", whippet_user_id},
    {"content_type", whippet_content_type},
    {"content_encoding", whippet_content_encoding},
};

static const char HEADER[] = "header.";

enum {
    PROPERTY_COUNT = sizeof PROPERTIES / sizeof PROPERTIES[0],
    NAME_SIZE = 128,
    NUMBER_SIZE = 32,
};

/* What is written: `text` NULL only counts. */
struct output {
    char *text;
    size_t length;
};

static void put(struct output *output, const void *data, size_t length)
{
    if (output->text != NULL && length > 0)
        memcpy(output->text + output->length, data, length);
    output->length += length;
}

/* Takes "{{", a brace that is meant as it is. False when it is something else. */
static bool take_brace(const char **at)
{
    bool is_brace = (*at)[1] == '{';
    if (is_brace)
        *at += 2;
    return is_brace;
}

/* Takes the hole that `*at` stands at, "{name}", and copies its name. False when it is none. */
static bool take_hole(const char **at, char name[NAME_SIZE])
{
    size_t length = strcspn(*at + 1, "{}");
    if ((*at)[1 + length] != '}' || length >= NAME_SIZE)
        return false;
    memcpy(name, *at + 1, length);
    name[length] = '\0';
    *at += length + 2;
    return true;
}

/* --- Checking -------------------------------------------------------------------------------------------*/

static bool is_known(const char *name)
{
    if (strncmp(name, HEADER, strlen(HEADER)) == 0)
        return name[strlen(HEADER)] != '\0';
    if (strcmp(name, "attempt") == 0 || strcmp(name, "timestamp") == 0)
        return true;
    for (size_t i = 0; i < PROPERTY_COUNT; i++) {
        if (strcmp(name, PROPERTIES[i].name) == 0)
            return true;
    }
    return false;
}

/* Shows no more of the value than what was meant for a name: there may be secrets in it. */
static bool refuse(const char *header, const char *at, whippet_failure *failure)
{
    int length = (int)strspn(at + 1, "abcdefghijklmnopqrstuvwxyz_.");
    if (at[1 + length] == '}' && length < NAME_SIZE)
        whippet_fail(failure,
                     "headers.%s: \"{%.*s}\" is nothing that a message has; expected {message_id}, "
                     "{correlation_id}, {type}, {queue}, {routing_key}, {attempt}, {header.NAME} …",
                     header, length, at + 1);
    else
        whippet_fail(
            failure,
            "headers.%s: a \"{\" that begins no name such as {message_id}; for a brace, write \"{{\"",
            header);
    return false;
}

bool template_check(const char *template, const char *name, whippet_failure *failure)
{
    char hole[NAME_SIZE];
    const char *at = template;
    while (*(at += strcspn(at, "{")) != '\0') {
        const char *here = at;
        if (!take_brace(&at) && (!take_hole(&at, hole) || !is_known(hole)))
            return refuse(name, here, failure);
    }
    return true;
}

/* --- Filling --------------------------------------------------------------------------------------------*/

static void put_number(struct output *output, uint64_t number)
{
    char digits[NUMBER_SIZE];
    put(output, digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64, number));
}

/* Texts, whole numbers and booleans; other values have no one way to be written. */
static void put_header(struct output *output, whippet_value value)
{
    char digits[NUMBER_SIZE];
    switch (value.kind) {
    case WHIPPET_VALUE_TEXT: put(output, value.bytes.data, value.bytes.len); break;
    case WHIPPET_VALUE_INTEGER:
        put(output, digits, (size_t)snprintf(digits, sizeof digits, "%" PRId64, value.integer));
        break;
    case WHIPPET_VALUE_TIMESTAMP: put_number(output, value.timestamp); break;
    case WHIPPET_VALUE_BOOLEAN: put(output, value.boolean ? "true" : "false", value.boolean ? 4 : 5); break;
    default: break;
    }
}

static void put_hole(struct output *output, const char *name, const whippet_message *message)
{
    if (strncmp(name, HEADER, strlen(HEADER)) == 0) {
        put_header(output, whippet_header(message, name + strlen(HEADER)));
    } else if (strcmp(name, "attempt") == 0) {
        put_number(output, whippet_attempt(message));
    } else if (strcmp(name, "timestamp") == 0) {
        if (whippet_timestamp(message) != 0)
            put_number(output, whippet_timestamp(message));
    } else {
        for (size_t i = 0; i < PROPERTY_COUNT; i++) {
            if (strcmp(name, PROPERTIES[i].name) == 0) {
                whippet_bytes value = PROPERTIES[i].value(message);
                put(output, value.data, value.len);
            }
        }
    }
}

static void write_all(struct output *output, const char *template, const whippet_message *message)
{
    char hole[NAME_SIZE];
    while (*template != '\0') {
        size_t length = strcspn(template, "{");
        put(output, template, length);
        template += length;
        if (*template == '\0')
            return;
        if (take_brace(&template))
            put(output, "{", 1);
        else if (take_hole(&template, hole))
            put_hole(output, hole, message);
    }
}

/* Goes through it twice: to count, and to write. */
const char *template_fill(whippet_task *task, const char *template, const whippet_message *message)
{
    struct output output = {0};
    write_all(&output, template, message);
    output = (struct output){.text = whippet_alloc(task, output.length + 1)};
    if (output.text == NULL)
        return NULL;
    write_all(&output, template, message);
    output.text[output.length] = '\0';
    return output.text;
}
