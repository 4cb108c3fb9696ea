#include "source.h"
#include <pointer.h>
#include <property.h>
#include <stdio.h>
#include <string.h>

/* --- Properties -----------------------------------------------------------------------------------------*/

static whippet_pg_parameter property_parameter(whippet_value value)
{
    switch (value.kind) {
    case WHIPPET_VALUE_TEXT: return whippet_pg_bytes_parameter(value.bytes);
    case WHIPPET_VALUE_BINARY: return whippet_pg_binary_parameter(value.bytes);
    case WHIPPET_VALUE_BOOLEAN: return whippet_pg_boolean_parameter(value.boolean);
    case WHIPPET_VALUE_INTEGER: return whippet_pg_integer_parameter(value.integer);
    case WHIPPET_VALUE_REAL: return whippet_pg_real_parameter(value.real);
    default: return (whippet_pg_parameter){0};
    }
}

/* --- Keys -----------------------------------------------------------------------------------------------*/

bool source_is_in_body(const struct source *source)
{
    return !property_is_named(source->key);
}

bool source_check(const char *option, const char *key, whippet_failure *failure)
{
    return pointer_check(option, key, failure) &&
           (!property_is_named(key) || property_check(option, key, failure));
}

/* NULL with the problem filled where there is none. */
static const char *string_of(whippet_task *task, const struct source *source, whippet_json_value value,
                             const char **problem)
{
    static const char format[] = "the key \"%s\" holds a NUL, which no text of PostgreSQL's may";
    const char *text = whippet_json_string(task, value);
    if (text != NULL || whippet_json_text(task, value).data == NULL)
        return text;
    size_t size = sizeof format + strlen(source->key);
    char *sentence = whippet_alloc(task, size);
    if (sentence != NULL)
        snprintf(sentence, size, format, source->key);
    *problem = sentence != NULL ? sentence : "";
    return NULL;
}

static bool body_parameter(whippet_task *task, const struct source *source, whippet_json_value value,
                           whippet_pg_parameter *parameter, const char **problem)
{
    *parameter = (whippet_pg_parameter){0};
    if (value.kind == WHIPPET_JSON_NULL)
        return true;
    if (value.kind == WHIPPET_JSON_STRING) {
        const char *text = string_of(task, source, value, problem);
        *parameter = whippet_pg_text_parameter(text);
        return text != NULL;
    }
    *parameter = whippet_pg_bytes_parameter(value.raw);
    return true;
}

/* --- Reading --------------------------------------------------------------------------------------------*/

static const char *say_missing(whippet_task *task, const struct source *source)
{
    static const char format[] = "the message has no %s \"%s\"%s%s%s";
    bool has_column = source->column != NULL;
    size_t size = sizeof format + strlen(source->key) + 64 + (has_column ? strlen(source->column) : 0);
    char *sentence = whippet_alloc(task, size);
    if (sentence == NULL)
        return "";
    snprintf(sentence, size, format, source_is_in_body(source) ? "key" : "property", source->key,
             has_column ? ", which the column \"" : "", has_column ? source->column : "",
             has_column ? "\" is to hold" : "");
    return sentence;
}

bool source_read(whippet_task *task, const whippet_message *message, const struct source *source,
                 whippet_pg_parameter *parameter, const char **problem)
{
    bool missing;
    *problem = "";
    if (source_is_in_body(source)) {
        whippet_json_value value = pointer_find(whippet_json(message), source->key);
        missing = value.kind == WHIPPET_JSON_ABSENT;
        if (!missing)
            return body_parameter(task, source, value, parameter, problem);
        *parameter = (whippet_pg_parameter){0};
    } else {
        *parameter = property_parameter(property_read(message, source->key));
        missing = parameter->kind == WHIPPET_PG_NULL;
    }
    if (missing && !source->optional) {
        *problem = say_missing(task, source);
        return false;
    }
    return true;
}
