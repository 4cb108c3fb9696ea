#include "json.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <whippet/task.h>

static void put(struct json *json, const char *text, size_t length)
{
    if (json->text != NULL)
        memcpy(json->text + json->length, text, length);
    json->length += length;
}

static void put_text(struct json *json, const char *text)
{
    put(json, text, strlen(text));
}

static void begin_value(struct json *json)
{
    if (json->follows)
        put(json, ",", 1);
    json->follows = true;
}

/* A value that is written as it is. */
static void put_value(struct json *json, const char *text)
{
    begin_value(json);
    put_text(json, text);
}

void json_open(struct json *json, char bracket)
{
    begin_value(json);
    put(json, &bracket, 1);
    json->follows = false;
}

void json_close(struct json *json, char bracket)
{
    put(json, &bracket, 1);
    json->follows = true;
}

/* --- Text -----------------------------------------------------------------------------------------------*/

/* The length of the UTF-8 sequence that `text` begins with, 1 to 4; 0 when it is none. */
static size_t sequence_length(const unsigned char *text, size_t length)
{
    /* By the first byte: how long, and the bounds of the second, which rule out what has a shorter form,
     * surrogates, and what lies beyond U+10FFFF. */
    static const struct {
        unsigned char from, to, size, second_from, second_to;
    } forms[] = {
        {0x00, 0x7f, 1, 0, 0},       {0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf},
        {0xe1, 0xec, 3, 0x80, 0xbf}, {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf},
        {0xf0, 0xf0, 4, 0x90, 0xbf}, {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        size_t size = forms[i].size;
        if (text[0] < forms[i].from || text[0] > forms[i].to)
            continue;
        if (size > length || (size > 1 && (text[1] < forms[i].second_from || text[1] > forms[i].second_to)))
            return 0;
        for (size_t k = 2; k < size; k++) {
            if ((text[k] & 0xc0) != 0x80)
                return 0;
        }
        return size;
    }
    return 0;
}

bool json_is_text(whippet_bytes bytes)
{
    const unsigned char *at = bytes.data;
    size_t size = 1;
    for (size_t left = bytes.len; left > 0 && size > 0; left -= size, at += size)
        size = sequence_length(at, left);
    return size > 0;
}

static void put_escaped(struct json *json, unsigned char character)
{
    static const char digits[] = "0123456789abcdef";
    char escape[] = {'\\', 'u', '0', '0', digits[character >> 4], digits[character & 0xf]};
    switch (character) {
    case '"': put_text(json, "\\\""); break;
    case '\\': put_text(json, "\\\\"); break;
    case '\n': put_text(json, "\\n"); break;
    case '\r': put_text(json, "\\r"); break;
    case '\t': put_text(json, "\\t"); break;
    default: put(json, escape, sizeof escape);
    }
}

static void put_quoted(struct json *json, whippet_bytes text)
{
    const unsigned char *at = text.data;
    size_t left = text.len;
    put_text(json, "\"");
    while (left > 0) {
        size_t size = sequence_length(at, left);
        if (size == 0)
            put_text(json, "\xef\xbf\xbd");
        else if (size == 1 && (*at < 0x20 || *at == 0x7f || *at == '"' || *at == '\\'))
            put_escaped(json, *at);
        else
            put(json, (const char *)at, size);
        size_t taken = size > 0 ? size : 1;
        at += taken;
        left -= taken;
    }
    put_text(json, "\"");
}

void json_name(struct json *json, whippet_bytes name)
{
    begin_value(json);
    put_quoted(json, name);
    put_text(json, ":");
    json->follows = false;
}

void json_text(struct json *json, whippet_bytes text)
{
    begin_value(json);
    put_quoted(json, text);
}

void json_base64(struct json *json, whippet_bytes data)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = data.data;
    begin_value(json);
    put_text(json, "\"");
    for (size_t i = 0; i < data.len; i += 3) {
        size_t count = data.len - i < 3 ? data.len - i : 3;
        uint32_t group = (uint32_t)bytes[i] << 16;
        group |= count > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= count > 2 ? bytes[i + 2] : 0;
        char text[] = {digits[group >> 18], digits[group >> 12 & 63], digits[group >> 6 & 63],
                       digits[group & 63]};
        put(json, text, count + 1);
        put(json, "==", 3 - count);
    }
    put_text(json, "\"");
}

/* --- Numbers and the rest -------------------------------------------------------------------------------*/

void json_integer(struct json *json, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    put_value(json, text);
}

void json_unsigned(struct json *json, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    put_value(json, text);
}

void json_real(struct json *json, double value)
{
    char text[32] = "null";
    if (isfinite(value))
        snprintf(text, sizeof text, "%.17g", value);
    put_value(json, text);
}

void json_boolean(struct json *json, bool value)
{
    put_value(json, value ? "true" : "false");
}

void json_null(struct json *json)
{
    put_value(json, "null");
}

void json_timestamp(struct json *json, uint64_t seconds)
{
    static const uint64_t end_of_year_9999 = 253402300799;
    time_t moment = (time_t)seconds;
    struct tm parts;
    char text[32];
    if (seconds > end_of_year_9999) {
        json_unsigned(json, seconds);
        return;
    }
    gmtime_r(&moment, &parts);
    strftime(text, sizeof text, "\"%Y-%m-%dT%H:%M:%SZ\"", &parts);
    put_value(json, text);
}

void json_decimal(struct json *json, uint32_t unscaled, unsigned scale)
{
    char digits[16];
    size_t count = (size_t)snprintf(digits, sizeof digits, "%" PRIu32, unscaled);
    begin_value(json);
    if (scale == 0) {
        put(json, digits, count);
        return;
    }
    size_t whole = count > scale ? count - scale : 0;
    put(json, whole > 0 ? digits : "0", whole > 0 ? whole : 1);
    put(json, ".", 1);
    for (size_t zeros = count < scale ? scale - count : 0; zeros > 0; zeros--)
        put(json, "0", 1);
    put(json, digits + whole, count - whole);
}

whippet_bytes json_make(whippet_task *task, void (*write)(struct json *json, const void *subject),
                        const void *subject)
{
    struct json json = {0};
    write(&json, subject);
    json = (struct json){.text = whippet_alloc(task, json.length + 1)};
    if (json.text == NULL)
        return (whippet_bytes){0};
    write(&json, subject);
    return (whippet_bytes){.data = json.text, .len = json.length};
}
