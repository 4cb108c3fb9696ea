#include <cjson/cJSON.h>
#include <math.h>
#include <worker/arguments.h>

static int write_value(struct buffer *entries, whippet_bytes name, const cJSON *value, int depth);

static int write_nested(struct buffer *entries, whippet_bytes name, const cJSON *container, int depth)
{
    struct buffer contents;
    if (depth > TABLE_DEPTH_LIMIT)
        return WHIPPET_E_LIMIT;
    buffer_init(&contents);
    int error = 0;
    for (const cJSON *item = container->child; item != NULL && error == 0; item = item->next)
        error = write_value(&contents,
                            cJSON_IsObject(container) ? bytes_of_text(item->string) : (whippet_bytes){0},
                            item, depth);
    if (error == 0 && !table_add_nested(entries, name, cJSON_IsObject(container) ? 'F' : 'A',
                                        bytes_of(buffer_begin(&contents), buffer_length(&contents))))
        error = WHIPPET_E_MEMORY;
    buffer_destroy(&contents);
    return error;
}

/* Doubles hold whole numbers exactly up to 2^53: what is written as one of those is meant as one. */
static bool is_whole(double number)
{
    return number == trunc(number) && fabs(number) <= 9007199254740992.0;
}

static int write_value(struct buffer *entries, whippet_bytes name, const cJSON *value, int depth)
{
    bool written;
    if (name.len > 255)
        return WHIPPET_E_INVALID;
    if (cJSON_IsObject(value) || cJSON_IsArray(value))
        return write_nested(entries, name, value, depth + 1);
    if (cJSON_IsString(value))
        written = table_add_text(entries, name, bytes_of_text(value->valuestring));
    else if (cJSON_IsBool(value))
        written = table_add_boolean(entries, name, cJSON_IsTrue(value));
    else if (cJSON_IsNumber(value) && is_whole(value->valuedouble))
        written = table_add_integer(entries, name, (int64_t)value->valuedouble);
    else if (cJSON_IsNumber(value))
        written = table_add_real(entries, name, value->valuedouble);
    else
        written = table_add_null(entries, name);
    return written ? 0 : WHIPPET_E_MEMORY;
}

int arguments_write(struct buffer *entries, const struct cJSON *object)
{
    int error = 0;
    for (const cJSON *item = object != NULL ? object->child : NULL; item != NULL && error == 0;
         item = item->next)
        error = write_value(entries, bytes_of_text(item->string), item, 1);
    return error;
}
