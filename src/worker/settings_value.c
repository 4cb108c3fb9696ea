#include "settings_value.h"
#include <base/buffer.h>
#include <base/bytes.h>
#include <base/memory.h>
#include <cjson/cJSON.h>
#include <config/value.h>
#include <stdio.h>
#include <string.h>

/* NULL for a type that is none of ours. */
static const char *expectation(enum whippet_option_type type)
{
    switch (type) {
    case WHIPPET_OPTION_STRING: return "a string";
    case WHIPPET_OPTION_INTEGER: return "a whole number";
    case WHIPPET_OPTION_NUMBER: return "a number";
    case WHIPPET_OPTION_BOOLEAN: return "true or false";
    case WHIPPET_OPTION_DURATION: return "a duration such as \"3s\", or a number of seconds";
    case WHIPPET_OPTION_SIZE: return "a size such as \"16MiB\", or a number of bytes";
    case WHIPPET_OPTION_STRINGS: return "a list of strings";
    case WHIPPET_OPTION_MAP: return "an object whose values are strings";
    }
    return NULL;
}

/* For every type that takes no memory. */
static bool read_plain(struct setting_value *value, enum whippet_option_type type, const cJSON *json)
{
    switch (type) {
    case WHIPPET_OPTION_INTEGER: return value_read_whole(json, &value->integer);
    case WHIPPET_OPTION_NUMBER: return value_read_number(json, &value->number);
    case WHIPPET_OPTION_BOOLEAN: return value_read_boolean(json, &value->boolean);
    case WHIPPET_OPTION_DURATION: return value_read_duration(json, &value->number);
    case WHIPPET_OPTION_SIZE: return value_read_size(json, &value->size);
    default: return false;
    }
}

static int read_text(struct setting_value *value, const cJSON *json)
{
    if (!cJSON_IsString(json))
        return WHIPPET_E_INVALID;
    value->text = memory_copy_text(json->valuestring);
    return value->text != NULL ? 0 : WHIPPET_E_MEMORY;
}

/* Appends a copy. False when memory is short. */
static bool add_string(struct setting_value *value, const char *text)
{
    value->strings[value->count] = memory_copy_text(text);
    return value->strings[value->count++] != NULL;
}

/* The members of an array or, with their names, of an object. */
static int read_strings(struct setting_value *value, const cJSON *json, bool named)
{
    size_t members = (size_t)cJSON_GetArraySize(json);
    const cJSON *member;
    cJSON_ArrayForEach(member, json)
    {
        if (!cJSON_IsString(member))
            return WHIPPET_E_INVALID;
    }
    value->strings = memory_allocate_zeroed((2 * members + 1) * sizeof *value->strings);
    if (value->strings == NULL)
        return WHIPPET_E_MEMORY;
    cJSON_ArrayForEach(member, json)
    {
        if ((named && !add_string(value, member->string)) || !add_string(value, member->valuestring))
            return WHIPPET_E_MEMORY;
    }
    return 0;
}

static int read_value(struct setting_value *value, enum whippet_option_type type, const cJSON *json)
{
    switch (type) {
    case WHIPPET_OPTION_STRING: return read_text(value, json);
    case WHIPPET_OPTION_STRINGS:
        return cJSON_IsArray(json) ? read_strings(value, json, false) : WHIPPET_E_INVALID;
    case WHIPPET_OPTION_MAP:
        return cJSON_IsObject(json) ? read_strings(value, json, true) : WHIPPET_E_INVALID;
    default: return read_plain(value, type, json) ? 0 : WHIPPET_E_INVALID;
    }
}

/* The first member of a list or an object that is no string; NULL when that is not what is wrong. */
static const cJSON *first_that_is_no_string(enum whippet_option_type type, const cJSON *json)
{
    const cJSON *member;
    bool right_container = (type == WHIPPET_OPTION_STRINGS && cJSON_IsArray(json)) ||
                           (type == WHIPPET_OPTION_MAP && cJSON_IsObject(json));
    if (!right_container)
        return NULL;
    cJSON_ArrayForEach(member, json)
    {
        if (!cJSON_IsString(member))
            return member;
    }
    return NULL;
}

static bool is_text(enum whippet_option_type type)
{
    return type == WHIPPET_OPTION_STRING || type == WHIPPET_OPTION_STRINGS || type == WHIPPET_OPTION_MAP;
}

/* Where a text belongs, a secret may be. */
static void describe(enum whippet_option_type type, const cJSON *json, char *text)
{
    if (is_text(type))
        snprintf(text, VALUE_TEXT_SIZE, "%s", value_kind(json));
    else
        value_describe(json, text);
}

int setting_value_read(struct setting_value *value, enum whippet_option_type type, const cJSON *json,
                       struct whippet_failure *failure)
{
    char found[VALUE_TEXT_SIZE];
    *value = (struct setting_value){0};
    int error = read_value(value, type, json);
    if (error == 0)
        return 0;
    setting_value_destroy(value);
    if (error == WHIPPET_E_MEMORY)
        return failure_set(failure, error, "out of memory");
    const cJSON *culprit = first_that_is_no_string(type, json);
    describe(type, culprit != NULL ? culprit : json, found);
    return failure_set(failure, error, "expected %s, found %s%s", expectation(type), found,
                       culprit != NULL ? " in it" : "");
}

/* Whether defaults of this type are written as JSON; else they are the text of a JSON string. */
static bool default_is_json(enum whippet_option_type type)
{
    return type != WHIPPET_OPTION_STRING && type != WHIPPET_OPTION_DURATION && type != WHIPPET_OPTION_SIZE;
}

int setting_value_read_default(struct setting_value *value, const whippet_option *option,
                               struct whippet_failure *failure)
{
    const char *text = option->default_value;
    *value = (struct setting_value){0};
    cJSON *json =
        default_is_json(option->type) ? cJSON_ParseWithOpts(text, NULL, true) : cJSON_CreateString(text);
    if (json == NULL)
        return failure_set(failure, WHIPPET_E_INVALID, "expected %s, found %.80s", expectation(option->type),
                           text);
    int error = setting_value_read(value, option->type, json, failure);
    cJSON_Delete(json);
    return error;
}

/* --- As bytes -------------------------------------------------------------------------------------------*/

/* Its length, and then the text; a missing one has the length SIZE_MAX. */
static bool write_text(const char *text, struct buffer *out)
{
    size_t length = text != NULL ? strlen(text) : SIZE_MAX;
    return buffer_append(out, &length, sizeof length) && (text == NULL || buffer_append(out, text, length));
}

static bool take_text(char **text, whippet_bytes *in)
{
    size_t length;
    if (!bytes_take(in, &length, sizeof length))
        return false;
    if (length == SIZE_MAX)
        return true;
    if (length > in->len)
        return false;
    *text = memory_copy_span(in->data, length);
    *in = bytes_of((const char *)in->data + length, in->len - length);
    return *text != NULL;
}

bool setting_value_write(const struct setting_value *value, struct buffer *out)
{
    size_t count = value->strings != NULL ? value->count : SIZE_MAX;
    bool written = buffer_append(out, &value->integer, sizeof value->integer) &&
                   buffer_append(out, &value->number, sizeof value->number) &&
                   buffer_append(out, &value->boolean, sizeof value->boolean) &&
                   buffer_append(out, &value->size, sizeof value->size) && write_text(value->text, out) &&
                   buffer_append(out, &count, sizeof count);
    for (size_t i = 0; written && i < value->count; i++)
        written = write_text(value->strings[i], out);
    return written;
}

static bool take_strings(struct setting_value *value, whippet_bytes *in)
{
    size_t count;
    if (!bytes_take(in, &count, sizeof count))
        return false;
    if (count == SIZE_MAX)
        return true;
    if (count > in->len / sizeof(size_t))
        return false;
    value->strings = memory_allocate_zeroed((count + 1) * sizeof *value->strings);
    while (value->strings != NULL && value->count < count) {
        if (!take_text((char **)&value->strings[value->count], in))
            return false;
        value->count++;
    }
    return value->strings != NULL;
}

bool setting_value_take(struct setting_value *value, whippet_bytes *in)
{
    *value = (struct setting_value){0};
    return bytes_take(in, &value->integer, sizeof value->integer) &&
           bytes_take(in, &value->number, sizeof value->number) &&
           bytes_take(in, &value->boolean, sizeof value->boolean) &&
           bytes_take(in, &value->size, sizeof value->size) && take_text(&value->text, in) &&
           take_strings(value, in);
}

void setting_value_destroy(struct setting_value *value)
{
    memory_free(value->text);
    for (size_t i = 0; i < value->count; i++)
        memory_free((char *)value->strings[i]);
    memory_free(value->strings);
    *value = (struct setting_value){0};
}

static int option_check(const whippet_option *option, struct whippet_failure *failure)
{
    struct setting_value value;
    struct whippet_failure reason;
    if (expectation(option->type) == NULL)
        return failure_set(failure, WHIPPET_E_INVALID,
                           "its option \"%s\" has the type %d, which this whippet does not know",
                           option->name, (int)option->type);
    if (option->default_value == NULL)
        return 0;
    int error = setting_value_read_default(&value, option, &reason);
    setting_value_destroy(&value);
    return error == 0 ? 0
                      : failure_set(failure, error, "the default of its option \"%s\" is wrong: %s",
                                    option->name, reason.text);
}

int options_check(const whippet_option *options, struct whippet_failure *failure)
{
    for (const whippet_option *option = options; option != NULL && option->name != NULL; option++) {
        for (const whippet_option *other = options; other != option; other++) {
            if (strcmp(other->name, option->name) == 0)
                return failure_set(failure, WHIPPET_E_INVALID, "it declares the option \"%s\" twice",
                                   option->name);
        }
        int error = option_check(option, failure);
        if (error != 0)
            return error;
    }
    return 0;
}
