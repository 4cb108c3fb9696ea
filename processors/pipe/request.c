#include "request.h"
#include "json.h"
#include "metadata.h"
#include <stdlib.h>
#include <string.h>

static void name(struct json *json, const char *text)
{
    json_name(json, (whippet_bytes){.data = text, .len = strlen(text)});
}

static void write_body(struct json *json, whippet_bytes body, bool is_text)
{
    name(json, is_text ? "body" : "body_base64");
    if (is_text)
        json_text(json, body);
    else
        json_base64(json, body);
}

static void write_request(struct json *json, uint64_t id, const whippet_message *message, bool is_text)
{
    json_open(json, '{');
    name(json, "id");
    json_unsigned(json, id);
    write_body(json, whippet_body(message), is_text);
    metadata_write(json, message);
    json_close(json, '}');
}

char *request_make(uint64_t id, const whippet_message *message, size_t *length)
{
    struct json json = {0};
    bool is_text = json_is_text(whippet_body(message));
    write_request(&json, id, message, is_text);
    json = (struct json){.text = malloc(json.length + 1)};
    if (json.text == NULL)
        return NULL;
    write_request(&json, id, message, is_text);
    json.text[json.length] = '\n';
    *length = json.length + 1;
    return json.text;
}
