/* Finding one's way in JSON that was checked: nothing here doubts the text, and nothing is copied. */
#include <base/bytes.h>
#include <base/json.h>
#include <base/memory.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <whippet/json.h>

static const whippet_json_value ABSENT;

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void skip(const char **at, size_t count, size_t *left)
{
    *at += count;
    *left -= count;
}

/* --- Taking values off the front of a text --------------------------------------------------------------*/

static enum whippet_json_kind kind_of(char first)
{
    switch (first) {
    case '{': return WHIPPET_JSON_OBJECT;
    case '[': return WHIPPET_JSON_ARRAY;
    case '"': return WHIPPET_JSON_STRING;
    case 't':
    case 'f': return WHIPPET_JSON_BOOLEAN;
    case 'n': return WHIPPET_JSON_NULL;
    default: return WHIPPET_JSON_NUMBER;
    }
}

static size_t string_length(const char *text)
{
    size_t length = 1;
    while (text[length] != '"')
        length += text[length] == '\\' ? 2 : 1;
    return length + 1;
}

static size_t container_length(const char *text)
{
    size_t length = 0, depth = 0;
    do {
        char c = text[length];
        if (c == '"') {
            length += string_length(text + length);
            continue;
        }
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        length++;
    } while (depth > 0);
    return length;
}

static size_t scalar_length(const char *text, size_t left)
{
    size_t length = 1;
    while (length < left && !is_space(text[length]) && strchr(",]}", text[length]) == NULL)
        length++;
    return length;
}

/* The value that `text` begins with, after white space. */
static whippet_json_value first_value(const char *text, size_t left)
{
    while (is_space(*text))
        skip(&text, 1, &left);
    enum whippet_json_kind kind = kind_of(*text);
    size_t length = kind == WHIPPET_JSON_STRING                                 ? string_length(text)
                    : kind == WHIPPET_JSON_OBJECT || kind == WHIPPET_JSON_ARRAY ? container_length(text)
                                                                                : scalar_length(text, left);
    return (whippet_json_value){.kind = kind, .raw = bytes_of(text, length)};
}

whippet_json_value json_root(whippet_bytes text)
{
    const char *at = text.data;
    size_t left = text.len;
    skip(&at, json_mark_length(text), &left);
    return first_value(at, left);
}

whippet_json_value whippet_json_read(whippet_bytes text, size_t *offset, const char **problem)
{
    struct json_problem found;
    if (json_check(text, &found))
        return json_root(text);
    if (offset != NULL)
        *offset = found.offset;
    if (problem != NULL)
        *problem = found.text;
    return ABSENT;
}

/* --- Parts ----------------------------------------------------------------------------------------------*/

/* The cursor's raw text begins at the bracket or comma before the next part, and ends with the container. */
bool whippet_json_next(whippet_json_value *container, whippet_json_value *name, whippet_json_value *value)
{
    if (container->kind != WHIPPET_JSON_OBJECT && container->kind != WHIPPET_JSON_ARRAY)
        return false;
    const char *at = container->raw.data;
    size_t left = container->raw.len;
    skip(&at, 1, &left);
    while (left > 0 && is_space(*at))
        skip(&at, 1, &left);
    if (left <= 1)
        return false;
    whippet_json_value member = ABSENT;
    if (container->kind == WHIPPET_JSON_OBJECT) {
        member = first_value(at, left);
        skip(&at, member.raw.len, &left);
        while (*at != ':')
            skip(&at, 1, &left);
        skip(&at, 1, &left);
    }
    *value = first_value(at, left);
    left -= (size_t)((const char *)value->raw.data - at) + value->raw.len;
    at = (const char *)value->raw.data + value->raw.len;
    while (is_space(*at))
        skip(&at, 1, &left);
    container->raw = bytes_of(at, left);
    if (name != NULL)
        *name = member;
    return true;
}

static whippet_json_value get_member(whippet_json_value object, whippet_bytes wanted)
{
    whippet_json_value name, value, found = ABSENT;
    if (object.kind != WHIPPET_JSON_OBJECT)
        return ABSENT;
    while (whippet_json_next(&object, &name, &value))
        if (json_string_equals(name.raw, wanted))
            found = value;
    return found;
}

whippet_json_value whippet_json_get(whippet_json_value object, const char *name)
{
    return get_member(object, bytes_of_text(name));
}

whippet_json_value whippet_json_at(whippet_json_value array, size_t index)
{
    whippet_json_value value;
    if (array.kind != WHIPPET_JSON_ARRAY)
        return ABSENT;
    while (whippet_json_next(&array, NULL, &value))
        if (index-- == 0)
            return value;
    return ABSENT;
}

size_t whippet_json_length(whippet_json_value value)
{
    whippet_json_value part;
    size_t length = 0;
    while (whippet_json_next(&value, NULL, &part))
        length++;
    return length;
}

/* --- Paths ----------------------------------------------------------------------------------------------*/

/* "[12]" at the front of the path. */
static whippet_json_value take_index(whippet_json_value value, const char **path)
{
    size_t index = 0;
    const char *at = *path + 1;
    if (*at == ']')
        return ABSENT;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (index > (SIZE_MAX - 9) / 10)
            return ABSENT;
        index = index * 10 + (size_t)(*at - '0');
    }
    if (*at != ']')
        return ABSENT;
    *path = at + 1;
    return whippet_json_at(value, index);
}

static whippet_json_value take_name(whippet_json_value value, const char **path)
{
    size_t length = strcspn(*path, ".[]");
    whippet_bytes name = bytes_of(*path, length);
    *path += length;
    return length > 0 ? get_member(value, name) : ABSENT;
}

whippet_json_value whippet_json_find(whippet_json_value value, const char *path)
{
    bool begins = true;
    while (*path != '\0' && value.kind != WHIPPET_JSON_ABSENT) {
        if (*path == '[') {
            value = take_index(value, &path);
        } else if (begins || *path == '.') {
            path += begins ? 0 : 1;
            value = take_name(value, &path);
        } else {
            return ABSENT;
        }
        begins = false;
    }
    return value;
}

/* --- What a value is ------------------------------------------------------------------------------------*/

bool whippet_json_boolean(whippet_json_value value, bool *out)
{
    if (value.kind != WHIPPET_JSON_BOOLEAN)
        return false;
    *out = *(const char *)value.raw.data == 't';
    return true;
}

bool whippet_json_integer(whippet_json_value value, int64_t *out)
{
    if (value.kind != WHIPPET_JSON_NUMBER)
        return false;
    const char *at = value.raw.data;
    const char *end = at + value.raw.len;
    int64_t number = 0;
    bool negative = *at == '-';
    for (at += negative; at < end; at++) {
        int digit = *at - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_sub_overflow(number, digit, &number))
            return false;
    }
    if (!negative && __builtin_mul_overflow(number, -1, &number))
        return false;
    *out = number;
    return true;
}

bool whippet_json_real(whippet_json_value value, double *out)
{
    enum {
        USUAL_LENGTH = 63
    };
    char usual[USUAL_LENGTH + 1];
    if (value.kind != WHIPPET_JSON_NUMBER)
        return false;
    bool is_long = value.raw.len > USUAL_LENGTH;
    char *text = is_long ? memory_copy_span(value.raw.data, value.raw.len) : usual;
    if (text == NULL)
        return false;
    if (!is_long) {
        memcpy(text, value.raw.data, value.raw.len);
        text[value.raw.len] = '\0';
    }
    double number = strtod(text, NULL);
    if (is_long)
        memory_free(text);
    if (isinf(number))
        return false;
    *out = number;
    return true;
}

bool whippet_json_equals(whippet_json_value value, const char *text)
{
    return value.kind == WHIPPET_JSON_STRING && json_string_equals(value.raw, bytes_of_text(text));
}
