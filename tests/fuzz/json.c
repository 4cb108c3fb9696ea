/* JSON of message bodies: what is checked and found sound can be read without a doubt, in every way there is,
 * and is what cJSON reads, too; nothing that is read lies outside the text. The input is a path, a NUL, and
 * the text. */
#include "fuzz.h"
#include <base/bytes.h>
#include <base/json.h>
#include <base/utf8.h>
#include <cjson/cJSON.h>
#include <string.h>

/* cJSON takes no more than so many characters of a number, and no deeper nesting than 1000. */
enum {
    CJSON_NUMBER = 63
};

static void expect_within(whippet_bytes part, whippet_bytes whole)
{
    const char *begin = part.data, *first = whole.data;
    FUZZ_PROMISE(part.len > 0 && begin >= first && begin + part.len <= first + whole.len);
}

/* False where cJSON can't be asked. */
static bool read_scalar(whippet_json_value value)
{
    bool boolean;
    int64_t integer;
    double real;
    bool is_number = value.kind == WHIPPET_JSON_NUMBER;
    FUZZ_PROMISE(whippet_json_boolean(value, &boolean) == (value.kind == WHIPPET_JSON_BOOLEAN));
    FUZZ_PROMISE(!whippet_json_integer(value, &integer) || is_number);
    FUZZ_PROMISE(!whippet_json_real(value, &real) || is_number);
    return !is_number || value.raw.len <= CJSON_NUMBER;
}

static void read_string(whippet_bytes raw)
{
    size_t room = raw.len - 2;
    char *text = malloc(room + 1);
    if (text == NULL)
        abort();
    size_t length = json_string_decode(raw, text);
    FUZZ_PROMISE(length <= room);
    FUZZ_PROMISE(json_string_equals(raw, bytes_of(text, length)));
    FUZZ_PROMISE(!json_string_equals(raw, bytes_of(text, length + 1)) || length + 1 > room);
    for (size_t at = 0; at < length;) {
        size_t step = (unsigned char)text[at] < 0x80 ? 1 : utf8_sequence((uint8_t *)text + at, length - at);
        FUZZ_PROMISE(step > 0);
        at += step;
    }
    free(text);
}

static bool read_value(whippet_json_value value, whippet_bytes whole)
{
    whippet_json_value name, part;
    size_t count = 0;
    bool comparable = true;
    expect_within(value.raw, whole);
    if (value.kind == WHIPPET_JSON_STRING)
        read_string(value.raw);
    whippet_json_value cursor = value;
    while (whippet_json_next(&cursor, &name, &part)) {
        FUZZ_PROMISE((name.kind == WHIPPET_JSON_STRING) == (value.kind == WHIPPET_JSON_OBJECT));
        if (name.kind == WHIPPET_JSON_STRING) {
            expect_within(name.raw, value.raw);
            read_string(name.raw);
        }
        comparable &= read_value(part, value.raw);
        count++;
    }
    FUZZ_PROMISE(whippet_json_length(value) == count);
    return read_scalar(value) && comparable;
}

/* --- cJSON ----------------------------------------------------------------------------------------------*/

static void expect_same(whippet_json_value value, const cJSON *other)
{
    whippet_json_value part;
    double real;
    switch (value.kind) {
    case WHIPPET_JSON_NULL: FUZZ_PROMISE(cJSON_IsNull(other)); break;
    case WHIPPET_JSON_BOOLEAN: FUZZ_PROMISE(cJSON_IsBool(other)); break;
    case WHIPPET_JSON_NUMBER:
        FUZZ_PROMISE(cJSON_IsNumber(other));
        FUZZ_PROMISE(!whippet_json_real(value, &real) || real == other->valuedouble);
        break;
    case WHIPPET_JSON_STRING:
        FUZZ_PROMISE(cJSON_IsString(other));
        /* cJSON cuts a string off at its first NUL. */
        FUZZ_PROMISE(whippet_json_equals(value, other->valuestring) ||
                     strstr(value.raw.data, "\\u0000") != NULL);
        break;
    default:
        FUZZ_PROMISE(value.kind == WHIPPET_JSON_ARRAY ? cJSON_IsArray(other) : cJSON_IsObject(other));
        other = other->child;
        while (whippet_json_next(&value, NULL, &part)) {
            FUZZ_PROMISE(other != NULL);
            expect_same(part, other);
            other = other->next;
        }
        FUZZ_PROMISE(other == NULL);
    }
}

static void compare_with_cjson(whippet_bytes text)
{
    /* The byte order mark is left out: before less than two characters cJSON does not know it. */
    size_t mark = json_mark_length(text);
    cJSON *other = cJSON_ParseWithLength((const char *)text.data + mark, text.len - mark);
    FUZZ_PROMISE(other != NULL);
    expect_same(json_root(text), other);
    cJSON_Delete(other);
}

static char *copy_text(const void *data, size_t size)
{
    char *copy = malloc(size + 1);
    if (copy == NULL)
        abort();
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
    if (nul == NULL)
        return 0;
    char *path = copy_text(data, (size_t)(nul - data));
    size_t length = size - (size_t)(nul - data) - 1;
    /* Once without a byte behind it, for the sanitizer; once with a NUL, for strstr. */
    whippet_bytes tight = bytes_of(nul + 1, length);
    struct json_problem problem = {0};
    bool sound = json_check(tight, &problem);
    FUZZ_PROMISE(sound || (problem.text != NULL && problem.offset <= length));
    if (sound) {
        bool comparable = read_value(json_root(tight), tight);
        whippet_json_value found = whippet_json_find(json_root(tight), path);
        if (found.kind != WHIPPET_JSON_ABSENT)
            expect_within(found.raw, tight);
        char *text = copy_text(nul + 1, length);
        if (comparable)
            compare_with_cjson(bytes_of(text, length));
        free(text);
    }
    free(path);
    return 0;
}
