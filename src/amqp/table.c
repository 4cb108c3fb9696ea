/* Field tables in place: one walk checks them, the same walk reads them. */
#include <amqp/table.h>
#include <float.h>
#include <math.h>

/* The bytes that a value of this type takes after its type letter; for those with a length in front, that
 * length's own four bytes. -1: no such type. RabbitMQ's letters:
 * https://www.rabbitmq.com/amqp-0-9-1-errata#section_3 */
static int value_fixed_size(char type)
{
    switch (type) {
    case 'V': return 0;
    case 't':
    case 'b':
    case 'B': return 1;
    case 's':
    case 'u': return 2;
    case 'I':
    case 'i':
    case 'f': return 4;
    case 'D': return 5;
    case 'l':
    case 'L':
    case 'd':
    case 'T': return 8;
    case 'S':
    case 'x':
    case 'A':
    case 'F': return 4;
    default: return -1;
    }
}

static bool type_has_length(char type)
{
    return type == 'S' || type == 'x' || type == 'A' || type == 'F';
}

/* Takes a type letter and its value's bytes (without their length) off `*rest`. False when they don't fit. */
static bool take_value(whippet_bytes *rest, char *type, whippet_bytes *content)
{
    const char *at = rest->data;
    if (rest->len < 1)
        return false;
    int fixed = value_fixed_size(*at);
    if (fixed < 0 || rest->len - 1 < (size_t)fixed)
        return false;
    size_t length = type_has_length(*at) ? read_u32(at + 1) : 0;
    size_t before = 1 + (size_t)fixed;
    if (length > rest->len - before)
        return false;
    *type = *at;
    *content = type_has_length(*at) ? bytes_of(at + before, length) : bytes_of(at + 1, (size_t)fixed);
    *rest = bytes_of(at + before + length, rest->len - before - length);
    return true;
}

static bool take_name(whippet_bytes *rest, whippet_bytes *name)
{
    const uint8_t *at = rest->data;
    if (rest->len < 1 || rest->len - 1 < at[0])
        return false;
    *name = bytes_of(at + 1, at[0]);
    *rest = bytes_of(at + 1 + at[0], rest->len - 1 - at[0]);
    return true;
}

enum table_check table_check(whippet_bytes entries)
{
    struct {
        whippet_bytes rest;
        bool is_array;
    } open[TABLE_DEPTH_LIMIT] = {{.rest = entries, .is_array = false}};
    int depth = 1;

    while (depth > 0) {
        whippet_bytes *rest = &open[depth - 1].rest;
        if (rest->len == 0) {
            depth--;
            continue;
        }
        whippet_bytes name, content;
        char type;
        if (!open[depth - 1].is_array && !take_name(rest, &name))
            return TABLE_MALFORMED;
        if (!take_value(rest, &type, &content))
            return TABLE_MALFORMED;
        if (type != 'F' && type != 'A')
            continue;
        if (depth == TABLE_DEPTH_LIMIT)
            return TABLE_TOO_DEEP;
        open[depth].rest = content;
        open[depth].is_array = type == 'A';
        depth++;
    }
    return TABLE_SOUND;
}

static whippet_value value_integer(char type, int64_t integer)
{
    return (whippet_value){.kind = WHIPPET_VALUE_INTEGER, .type = type, .integer = integer};
}

static whippet_value value_bytes(enum whippet_value_kind kind, char type, whippet_bytes content)
{
    return (whippet_value){.kind = kind, .type = type, .bytes = content};
}

static whippet_value value_real(char type, const void *at)
{
    whippet_value value = {.kind = WHIPPET_VALUE_REAL, .type = type};
    if (type == 'f') {
        uint32_t bits = read_u32(at);
        float number;
        memcpy(&number, &bits, sizeof number);
        value.real = number;
    } else {
        uint64_t bits = read_u64(at);
        memcpy(&value.real, &bits, sizeof value.real);
    }
    return value;
}

static whippet_value value_decode(char type, whippet_bytes content)
{
    const uint8_t *at = content.data;
    switch (type) {
    case 't': return (whippet_value){.kind = WHIPPET_VALUE_BOOLEAN, .type = type, .boolean = at[0] != 0};
    case 'b': return value_integer(type, (int8_t)at[0]);
    case 'B': return value_integer(type, at[0]);
    case 's': return value_integer(type, (int16_t)read_u16(at));
    case 'u': return value_integer(type, read_u16(at));
    case 'I': return value_integer(type, (int32_t)read_u32(at));
    case 'i': return value_integer(type, read_u32(at));
    case 'l':
    case 'L': return value_integer(type, (int64_t)read_u64(at));
    case 'f':
    case 'd': return value_real(type, at);
    case 'D':
        return (whippet_value){.kind = WHIPPET_VALUE_DECIMAL,
                               .type = type,
                               .decimal = {.scale = at[0], .unscaled = read_u32(at + 1)}};
    case 'T':
        return (whippet_value){.kind = WHIPPET_VALUE_TIMESTAMP, .type = type, .timestamp = read_u64(at)};
    case 'S': return value_bytes(WHIPPET_VALUE_TEXT, type, content);
    case 'x': return value_bytes(WHIPPET_VALUE_BINARY, type, content);
    case 'A': return (whippet_value){.kind = WHIPPET_VALUE_ARRAY, .type = type, .entries = content};
    case 'F': return (whippet_value){.kind = WHIPPET_VALUE_TABLE, .type = type, .entries = content};
    default: return (whippet_value){.kind = WHIPPET_VALUE_NULL, .type = type};
    }
}

bool array_next(whippet_bytes *items, whippet_value *value)
{
    char type;
    whippet_bytes content;
    if (!take_value(items, &type, &content))
        return false;
    *value = value_decode(type, content);
    return true;
}

bool table_next(whippet_bytes *entries, whippet_bytes *name, whippet_value *value, whippet_bytes *raw)
{
    whippet_bytes rest = *entries;
    if (!take_name(&rest, name) || !array_next(&rest, value))
        return false;
    if (raw != NULL)
        *raw = bytes_of(entries->data, entries->len - rest.len);
    *entries = rest;
    return true;
}

whippet_value table_find(whippet_bytes entries, whippet_bytes name)
{
    whippet_bytes found;
    whippet_value value;
    while (table_next(&entries, &found, &value, NULL))
        if (bytes_equal(found, name))
            return value;
    return (whippet_value){.kind = WHIPPET_VALUE_ABSENT};
}

/* Writes name and type letter, and makes room for `size` bytes of value; NULL when memory is short. */
static uint8_t *entry_begin(struct buffer *entries, whippet_bytes name, char type, size_t size)
{
    size_t name_size = name.data != NULL ? 1 + name.len : 0;
    uint8_t *at = buffer_reserve(entries, name_size + 1 + size);
    if (at == NULL)
        return NULL;
    if (name.data != NULL) {
        at[0] = (uint8_t)name.len;
        memcpy(at + 1, name.data, name.len);
    }
    at[name_size] = (uint8_t)type;
    buffer_commit(entries, name_size + 1 + size);
    return at + name_size + 1;
}

bool table_add_nested(struct buffer *entries, whippet_bytes name, char type, whippet_bytes contents)
{
    uint8_t *at = entry_begin(entries, name, type, 4 + contents.len);
    if (at == NULL)
        return false;
    write_u32(at, (uint32_t)contents.len);
    if (contents.len > 0)
        memcpy(at + 4, contents.data, contents.len);
    return true;
}

bool table_add_text(struct buffer *entries, whippet_bytes name, whippet_bytes text)
{
    return table_add_nested(entries, name, 'S', text);
}

static bool table_add_u64(struct buffer *entries, whippet_bytes name, char type, uint64_t value)
{
    uint8_t *at = entry_begin(entries, name, type, 8);
    if (at == NULL)
        return false;
    write_u64(at, value);
    return true;
}

bool table_add_integer(struct buffer *entries, whippet_bytes name, int64_t value)
{
    return table_add_u64(entries, name, 'l', (uint64_t)value);
}

/* What a type of fewer than 64 bits holds; false for any other letter. */
static bool integer_range(char type, int64_t *least, int64_t *most)
{
    switch (type) {
    case 'b': *least = INT8_MIN, *most = INT8_MAX; return true;
    case 'B': *least = 0, *most = UINT8_MAX; return true;
    case 's': *least = INT16_MIN, *most = INT16_MAX; return true;
    case 'u': *least = 0, *most = UINT16_MAX; return true;
    case 'I': *least = INT32_MIN, *most = INT32_MAX; return true;
    case 'i': *least = 0, *most = UINT32_MAX; return true;
    default: return false;
    }
}

bool table_add_integer_of(struct buffer *entries, whippet_bytes name, char type, int64_t value)
{
    int64_t least, most;
    if (type == 'L')
        return table_add_u64(entries, name, type, (uint64_t)value);
    if (!integer_range(type, &least, &most) || value < least || value > most)
        return table_add_integer(entries, name, value);
    size_t size = (size_t)value_fixed_size(type);
    uint8_t *at = entry_begin(entries, name, type, size);
    if (at == NULL)
        return false;
    uint64_t bits = (uint64_t)value;
    while (size-- > 0) {
        at[size] = (uint8_t)bits;
        bits >>= 8;
    }
    return true;
}

bool table_add_real(struct buffer *entries, whippet_bytes name, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return table_add_u64(entries, name, 'd', bits);
}

static bool is_float(double value)
{
    return !isfinite(value) || (fabs(value) <= (double)FLT_MAX && (double)(float)value == value);
}

bool table_add_real_of(struct buffer *entries, whippet_bytes name, char type, double value)
{
    uint32_t bits;
    if (type != 'f' || !is_float(value))
        return table_add_real(entries, name, value);
    float number = (float)value;
    uint8_t *at = entry_begin(entries, name, 'f', sizeof bits);
    if (at == NULL)
        return false;
    memcpy(&bits, &number, sizeof bits);
    write_u32(at, bits);
    return true;
}

bool table_add_timestamp(struct buffer *entries, whippet_bytes name, uint64_t seconds)
{
    return table_add_u64(entries, name, 'T', seconds);
}

bool table_add_boolean(struct buffer *entries, whippet_bytes name, bool value)
{
    uint8_t *at = entry_begin(entries, name, 't', 1);
    if (at == NULL)
        return false;
    at[0] = value;
    return true;
}

bool table_add_decimal(struct buffer *entries, whippet_bytes name, uint8_t scale, uint32_t unscaled)
{
    uint8_t *at = entry_begin(entries, name, 'D', 5);
    if (at == NULL)
        return false;
    at[0] = scale;
    write_u32(at + 1, unscaled);
    return true;
}

bool table_add_null(struct buffer *entries, whippet_bytes name)
{
    return entry_begin(entries, name, 'V', 0) != NULL;
}
