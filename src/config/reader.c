#include "reader.h"
#include "errors.h"
#include <base/memory.h>
#include <config/units.h>
#include <config/value.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

__attribute__((format(printf, 4, 0))) static void add_fault(struct reader *reader, const struct place *place,
                                                            cJSON *value, const char *format,
                                                            va_list arguments)
{
    if (value != NULL)
        value->type |= FLAG_FAULTY;
    if (errors_are_full(reader->errors))
        return;
    char *path = place_format(place);
    if (path == NULL) {
        errors_out_of_memory(reader->errors);
        return;
    }
    errors_add_v(reader->errors, place_line(&reader->arena->document, path), path, format, arguments);
    memory_free(path);
}

void reader_fault(struct reader *reader, const struct place *place, cJSON *value, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_fault(reader, place, value, format, arguments);
    va_end(arguments);
}

void reader_fault_key(struct reader *reader, const struct place *place, const cJSON *object, const char *key,
                      const char *format, ...)
{
    struct place member = {.outer = place, .key = key};
    va_list arguments;
    va_start(arguments, format);
    add_fault(reader, &member, cJSON_GetObjectItemCaseSensitive(object, key), format, arguments);
    va_end(arguments);
}

void reader_expected(struct reader *reader, const struct place *place, cJSON *value, const char *what)
{
    char found[VALUE_TEXT_SIZE];
    value_describe(value, found);
    reader_fault(reader, place, value, "expected %s, found %s", what, found);
}

int *reader_find_lines(struct reader *reader, const struct place *place, size_t count)
{
    char *path = place_format(place);
    int *lines = path != NULL ? memory_allocate(count * sizeof *lines) : NULL;
    if (lines != NULL)
        place_lines_of_entries(&reader->arena->document, path, lines);
    else
        errors_out_of_memory(reader->errors);
    memory_free(path);
    return lines;
}

void *reader_allocate(struct reader *reader, size_t count, size_t size)
{
    void *memory = config_arena_allocate(reader->arena, count * size);
    if (memory == NULL)
        errors_out_of_memory(reader->errors);
    return memory;
}

char *reader_copy(struct reader *reader, const char *text)
{
    char *copy = config_arena_copy(reader->arena, text, strlen(text));
    if (copy == NULL)
        errors_out_of_memory(reader->errors);
    return copy;
}

bool reader_has(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key) != NULL;
}

bool reader_is_sound(const cJSON *object, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);
    return value == NULL || !flag_is_faulty(value);
}

/* "a, b, c", as far as it fits. */
static void join(const char *const *names, size_t count, char *text, size_t size)
{
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%s", i > 0 ? ", " : "", names[i]);
}

static void fault_unknown(struct reader *reader, const struct place *place, cJSON *value,
                          const struct key *keys, size_t key_count)
{
    enum {
        MOST_KEYS = 64
    };
    const char *names[MOST_KEYS] = {NULL};
    char known[512];
    size_t count = 0;
    for (size_t i = 0; i < key_count && count < MOST_KEYS; i++) {
        if (keys[i].read != NULL)
            names[count++] = keys[i].name;
    }
    const char *nearest = value_nearest_name(place->key, names, count, sizeof names[0]);
    join(names, count, known, sizeof known);
    if (nearest != NULL)
        reader_fault(reader, place, value, "unknown key; did you mean \"%s\"?", nearest);
    else
        reader_fault(reader, place, value, "unknown key; the keys here are %s", known);
}

static const struct key *find_key(const char *name, const struct key *keys, size_t key_count)
{
    for (size_t i = 0; i < key_count; i++) {
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    }
    return NULL;
}

static void read_members(struct reader *reader, const struct place *place, const cJSON *object,
                         const struct key *keys, size_t key_count, void *target)
{
    for (cJSON *value = object->child; value != NULL; value = value->next) {
        struct place member = {.outer = place, .key = value->string};
        const struct key *key = find_key(value->string, keys, key_count);
        if (flag_is_faulty(value))
            continue;
        if (key == NULL)
            fault_unknown(reader, &member, value, keys, key_count);
        else if (key->read == NULL)
            reader_fault(reader, &member, value,
                         "this version of whippet does not have this key yet; remove it");
        else
            key->read(reader, &member, value, key, (char *)target + key->offset);
    }
}

void reader_read_object(struct reader *reader, const struct place *place, const cJSON *object,
                        const struct key *keys, size_t key_count, void *target)
{
    read_members(reader, place, object, keys, key_count, target);
    for (size_t i = 0; i < key_count; i++) {
        struct place member = {.outer = place, .key = keys[i].name};
        if (keys[i].is_required && !reader_has(object, keys[i].name))
            reader_fault(reader, &member, NULL, "is missing, but required");
    }
}

void key_read_string(struct reader *reader, const struct place *place, cJSON *value, const struct key *key,
                     void *target)
{
    if (!cJSON_IsString(value)) {
        reader_fault(reader, place, value, "expected a string, found %s", value_kind(value));
        return;
    }
    size_t length = strlen(value->valuestring);
    if (length < (size_t)key->lowest)
        reader_fault(reader, place, value, "must not be empty");
    else if (length > (size_t)key->highest)
        reader_fault(reader, place, value, "expected at most %zu bytes, found %zu", (size_t)key->highest,
                     length);
    else
        *(const char **)target = value->valuestring;
}

/* Whether the number lies within the key's limits; finds fault if not. The limits are shown by `format`. */
static bool check_limits(struct reader *reader, const struct place *place, cJSON *value,
                         const struct key *key, double number, const char *what,
                         void (*format)(double number, char *text))
{
    char lowest[UNITS_TEXT_SIZE], highest[UNITS_TEXT_SIZE], expected[128];
    if (number >= key->lowest && number <= key->highest)
        return true;
    format(key->lowest, lowest);
    format(key->highest, highest);
    snprintf(expected, sizeof expected, "%s from %s to %s", what, lowest, highest);
    reader_expected(reader, place, value, expected);
    return false;
}

static void format_number(double number, char *text)
{
    snprintf(text, UNITS_TEXT_SIZE, "%.15g", number);
}

static void format_size(double bytes, char *text)
{
    size_format((uint64_t)bytes, text);
}

void key_read_duration(struct reader *reader, const struct place *place, cJSON *value, const struct key *key,
                       void *target)
{
    double seconds;
    if (!value_read_duration(value, &seconds))
        reader_expected(reader, place, value,
                        "a duration such as \"3s\", \"250ms\", \"5m\" or a number of seconds");
    else if (check_limits(reader, place, value, key, seconds, "a duration", duration_format))
        *(double *)target = seconds;
}

void key_read_size(struct reader *reader, const struct place *place, cJSON *value, const struct key *key,
                   void *target)
{
    uint64_t bytes;
    if (!value_read_size(value, &bytes))
        reader_expected(reader, place, value, "a size such as \"16MiB\", \"64KiB\" or a number of bytes");
    else if (check_limits(reader, place, value, key, (double)bytes, "a size", format_size))
        *(uint64_t *)target = bytes;
}

void key_read_number(struct reader *reader, const struct place *place, cJSON *value, const struct key *key,
                     void *target)
{
    double number;
    if (!value_read_number(value, &number))
        reader_expected(reader, place, value, "a number");
    else if (check_limits(reader, place, value, key, number, "a number", format_number))
        *(double *)target = number;
}

/* A whole number within the key's limits. */
static bool read_whole(struct reader *reader, const struct place *place, cJSON *value, const struct key *key,
                       int64_t *number)
{
    if (value_read_whole(value, number))
        return check_limits(reader, place, value, key, (double)*number, "a whole number", format_number);
    reader_expected(reader, place, value, "a whole number");
    return false;
}

void key_read_unsigned(struct reader *reader, const struct place *place, cJSON *value, const struct key *key,
                       void *target)
{
    int64_t number;
    if (read_whole(reader, place, value, key, &number))
        *(unsigned *)target = (unsigned)number;
}

void key_read_signed(struct reader *reader, const struct place *place, cJSON *value, const struct key *key,
                     void *target)
{
    int64_t number;
    if (read_whole(reader, place, value, key, &number))
        *(int *)target = (int)number;
}

void key_read_boolean(struct reader *reader, const struct place *place, cJSON *value, const struct key *key,
                      void *target)
{
    (void)key;
    if (!value_read_boolean(value, target))
        reader_expected(reader, place, value, "true or false");
}

static void fault_choice(struct reader *reader, const struct place *place, cJSON *value,
                         const struct key *key)
{
    char expected[256] = "";
    size_t length = 0;
    for (size_t i = 0; i < key->choice_count && length < sizeof expected; i++) {
        const char *before = i == 0 ? "" : i + 1 < key->choice_count ? ", " : " or ";
        length += (size_t)snprintf(expected + length, sizeof expected - length, "%s\"%s\"", before,
                                   key->choices[i].name);
    }
    reader_expected(reader, place, value, expected);
}

void key_read_choice(struct reader *reader, const struct place *place, cJSON *value, const struct key *key,
                     void *target)
{
    /* Variables such as LOG_LEVEL=INFO are often written in capitals. */
    int (*compare)(const char *, const char *) = value_is_expanded(value) ? strcasecmp : strcmp;
    for (size_t i = 0; cJSON_IsString(value) && i < key->choice_count; i++) {
        if (compare(key->choices[i].name, value->valuestring) == 0) {
            memcpy(target, &key->choices[i].value, sizeof key->choices[i].value);
            return;
        }
    }
    fault_choice(reader, place, value, key);
}

void key_read_object(struct reader *reader, const struct place *place, cJSON *value, const struct key *key,
                     void *target)
{
    (void)key;
    if (cJSON_IsObject(value))
        *(const cJSON **)target = value;
    else
        reader_expected(reader, place, value, "an object");
}

void key_read_section(struct reader *reader, const struct place *place, cJSON *value, const struct key *key,
                      void *target)
{
    if (cJSON_IsObject(value))
        reader_read_object(reader, place, value, key->keys, key->key_count, target);
    else
        reader_expected(reader, place, value, "an object");
}

void key_read_ignored(struct reader *reader, const struct place *place, cJSON *value, const struct key *key,
                      void *target)
{
    (void)key, (void)target;
    if (!cJSON_IsString(value))
        reader_expected(reader, place, value, "a string");
}
