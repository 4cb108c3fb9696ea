/* The message's body as JSON, and text for the task that reads it. */
#include <base/bytes.h>
#include <base/json.h>
#include <stdio.h>
#include <whippet/task.h>
#include <worker/message.h>

whippet_json_value whippet_json(const whippet_message *message)
{
    struct whippet_message *checked = (struct whippet_message *)message; /* it keeps what was found */
    whippet_bytes body = message->content->body;
    struct json_problem problem;
    if (message->json == JSON_UNCHECKED)
        checked->json = json_check(body, &problem) ? JSON_SOUND : JSON_UNSOUND;
    return message->json == JSON_SOUND ? json_root(body) : (whippet_json_value){0};
}

const char *whippet_json_error(whippet_task *task, const whippet_message *message)
{
    enum {
        TEXT_SIZE = 160
    };
    struct json_problem problem;
    whippet_bytes body = message->content->body;
    if (json_check(body, &problem))
        return "";
    char *text = whippet_alloc(task, TEXT_SIZE);
    if (text == NULL)
        return "the body is not JSON";
    size_t line = 1, column = 1;
    for (size_t i = 0; i < problem.offset; i++) {
        bool ends = ((const char *)body.data)[i] == '\n';
        line += ends;
        column = ends ? 1 : column + 1;
    }
    snprintf(text, TEXT_SIZE, "the body is not JSON: %s at line %zu, column %zu (byte %zu)", problem.text,
             line, column, problem.offset);
    return text;
}

whippet_bytes whippet_json_text(whippet_task *task, whippet_json_value value)
{
    if (value.kind != WHIPPET_JSON_STRING)
        return (whippet_bytes){0};
    size_t most = value.raw.len - 2;
    if (memchr(value.raw.data, '\\', value.raw.len) == NULL)
        return bytes_of((const char *)value.raw.data + 1, most);
    char *text = whippet_alloc(task, most);
    return text != NULL ? bytes_of(text, json_string_decode(value.raw, text)) : (whippet_bytes){0};
}

const char *whippet_json_string(whippet_task *task, whippet_json_value value)
{
    if (value.kind != WHIPPET_JSON_STRING)
        return NULL;
    char *text = whippet_alloc(task, value.raw.len - 1);
    if (text == NULL)
        return NULL;
    size_t length = json_string_decode(value.raw, text);
    text[length] = '\0';
    return memchr(text, '\0', length) == NULL ? text : NULL;
}
