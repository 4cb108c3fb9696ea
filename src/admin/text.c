#include "text.h"
#include <base/utf8.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_init(struct text *text)
{
    buffer_init(&text->buffer);
    text->failed = false;
}

void text_destroy(struct text *text)
{
    buffer_destroy(&text->buffer);
}

static void put_bytes(struct text *text, const char *data, size_t length)
{
    if (!text->failed && !buffer_append(&text->buffer, data, length))
        text->failed = true;
}

void text_put(struct text *text, const char *value)
{
    put_bytes(text, value, strlen(value));
}

char *text_reserve(struct text *text, size_t size)
{
    char *room = text->failed ? NULL : (char *)buffer_reserve(&text->buffer, size);
    text->failed = room == NULL;
    return room;
}

void text_commit(struct text *text, const char *end)
{
    const char *room = (const char *)text->buffer.data + text->buffer.end;
    buffer_commit(&text->buffer, (size_t)(end - room));
}

char *digits_put(char *at, uint64_t value)
{
    char digits[DIGITS_MAX];
    size_t start = sizeof digits;
    do {
        digits[--start] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    memcpy(at, digits + start, sizeof digits - start);
    return at + sizeof digits - start;
}

void text_put_unsigned(struct text *text, uint64_t value)
{
    char digits[DIGITS_MAX];
    put_bytes(text, digits, (size_t)(digits_put(digits, value) - digits));
}

void text_put_double(struct text *text, double value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%.15g", value);
    if (strtod(digits, NULL) != value)
        snprintf(digits, sizeof digits, "%.17g", value);
    text_put(text, digits);
}

/* --- JSON -----------------------------------------------------------------------------------------------*/

static void put_string(struct text *text, const char *value)
{
    size_t left = strlen(value);
    text_put(text, "\"");
    while (left > 0) {
        size_t length = utf8_sequence(value, left);
        if (length == 0)
            text_put(text, "\xef\xbf\xbd");
        else if (*value == '"' || *value == '\\')
            put_bytes(text, *value == '"' ? "\\\"" : "\\\\", 2);
        else if ((unsigned char)*value < ' ') {
            char escape[8];
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*value);
            text_put(text, escape);
        } else
            put_bytes(text, value, length);
        length = length == 0 ? 1 : length;
        value += length;
        left -= length;
    }
    text_put(text, "\"");
}

static void put_name(struct text *text, const char *name)
{
    size_t length = buffer_length(&text->buffer);
    if (length > 0 && strchr("{[", buffer_begin(&text->buffer)[length - 1]) == NULL)
        text_put(text, ",");
    if (name == NULL)
        return;
    put_string(text, name);
    text_put(text, ":");
}

void json_open(struct text *text, const char *name, char bracket)
{
    put_name(text, name);
    put_bytes(text, &bracket, 1);
}

void json_close(struct text *text, char bracket)
{
    put_bytes(text, &bracket, 1);
}

void json_text(struct text *text, const char *name, const char *value)
{
    put_name(text, name);
    if (value != NULL)
        put_string(text, value);
    else
        text_put(text, "null");
}

void json_unsigned(struct text *text, const char *name, uint64_t value)
{
    put_name(text, name);
    text_put_unsigned(text, value);
}

void json_number(struct text *text, const char *name, double value)
{
    put_name(text, name);
    text_put_double(text, value);
}

void json_boolean(struct text *text, const char *name, bool value)
{
    put_name(text, name);
    text_put(text, value ? "true" : "false");
}

void json_null(struct text *text, const char *name)
{
    put_name(text, name);
    text_put(text, "null");
}
