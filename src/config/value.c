#include "flags.h"
#include "syntax.h"
#include <base/utf8.h>
#include <config/units.h>
#include <config/value.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double most_whole = 9007199254740992.0; /* 2^53 */

bool value_is_expanded(const struct cJSON *value)
{
    return cJSON_IsString(value) && (value->type & FLAG_EXPANDED) != 0;
}

bool value_read_number(const struct cJSON *value, double *number)
{
    if (cJSON_IsNumber(value)) {
        *number = value->valuedouble;
        return true;
    }
    if (!value_is_expanded(value))
        return false;
    const char *text = value->valuestring;
    size_t length = strlen(text);
    if (length == 0 || length > SYNTAX_LONGEST_NUMBER || syntax_number_length(text, length) != length)
        return false;
    double read = strtod(text, NULL);
    if (!isfinite(read))
        return false;
    *number = read;
    return true;
}

bool value_read_whole(const struct cJSON *value, int64_t *number)
{
    double read;
    if (!value_read_number(value, &read) || read != floor(read) || fabs(read) > most_whole)
        return false;
    *number = (int64_t)read;
    return true;
}

bool value_read_boolean(const struct cJSON *value, bool *boolean)
{
    bool is_text = value_is_expanded(value);
    bool is_true = cJSON_IsTrue(value) || (is_text && strcmp(value->valuestring, "true") == 0);
    bool is_false = cJSON_IsFalse(value) || (is_text && strcmp(value->valuestring, "false") == 0);
    if (is_true || is_false)
        *boolean = is_true;
    return is_true || is_false;
}

bool value_read_duration(const struct cJSON *value, double *seconds)
{
    if (cJSON_IsString(value))
        return duration_parse(value->valuestring, seconds);
    if (!cJSON_IsNumber(value) || value->valuedouble < 0)
        return false;
    *seconds = value->valuedouble;
    return true;
}

bool value_read_size(const struct cJSON *value, uint64_t *bytes)
{
    int64_t number;
    if (cJSON_IsString(value))
        return size_parse(value->valuestring, bytes);
    if (!value_read_whole(value, &number) || number < 0)
        return false;
    *bytes = (uint64_t)number;
    return true;
}

static void describe_string(const struct cJSON *value, char *text)
{
    enum {
        MOST_SHOWN = 60
    };
    const char *string = value->valuestring;
    if (strstr(string, "://") != NULL) {
        snprintf(text, VALUE_TEXT_SIZE, "a URL");
        return;
    }
    size_t length = strlen(string);
    size_t shown = utf8_cut(string, length, MOST_SHOWN);
    snprintf(text, VALUE_TEXT_SIZE, "\"%.*s%s\"%s", (int)shown, string, shown < length ? "…" : "",
             value_is_expanded(value) ? " (out of ${…})" : "");
}

/* With as many digits as it takes to tell it from every other. */
static void describe_number(double number, char *text)
{
    snprintf(text, VALUE_TEXT_SIZE, "%.15g", number);
    if (strtod(text, NULL) != number)
        snprintf(text, VALUE_TEXT_SIZE, "%.17g", number);
}

const char *value_kind(const struct cJSON *value)
{
    if (cJSON_IsString(value))
        return "a string";
    if (cJSON_IsNumber(value))
        return "a number";
    if (cJSON_IsBool(value))
        return cJSON_IsTrue(value) ? "true" : "false";
    if (cJSON_IsArray(value))
        return value->child != NULL ? "a list" : "an empty list";
    return cJSON_IsObject(value) ? "an object" : "null";
}

void value_describe(const struct cJSON *value, char *text)
{
    if (cJSON_IsString(value))
        describe_string(value, text);
    else if (cJSON_IsNumber(value))
        describe_number(value->valuedouble, text);
    else
        snprintf(text, VALUE_TEXT_SIZE, "%s", value_kind(value));
}
