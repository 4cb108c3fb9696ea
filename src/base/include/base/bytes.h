/* Helpers for whippet_bytes, the span that the SDK and the layers share, and big-endian numbers as AMQP has
 * them. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <whippet/types.h>

static inline whippet_bytes bytes_of(const void *data, size_t length)
{
    return (whippet_bytes){.data = data, .len = length};
}

static inline whippet_bytes bytes_of_text(const char *text)
{
    return (whippet_bytes){.data = text, .len = text != NULL ? strlen(text) : 0};
}

static inline bool bytes_equal(whippet_bytes a, whippet_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool bytes_equal_text(whippet_bytes a, const char *text)
{
    return bytes_equal(a, bytes_of_text(text));
}

static inline bool bytes_start_with(whippet_bytes a, const char *prefix)
{
    size_t length = strlen(prefix);
    return a.len >= length && memcmp(a.data, prefix, length) == 0;
}

/* Copies `size` bytes from the front into `target` and takes them off. False, with nothing done, when there
 * are not as many. */
static inline bool bytes_take(whippet_bytes *from, void *target, size_t size)
{
    if (from->len < size)
        return false;
    memcpy(target, from->data, size);
    *from = bytes_of((const char *)from->data + size, from->len - size);
    return true;
}

static inline uint16_t read_u16(const void *at)
{
    const uint8_t *b = at;
    return (uint16_t)(b[0] << 8 | b[1]);
}

static inline uint32_t read_u32(const void *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap32(value);
}

static inline uint64_t read_u64(const void *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap64(value);
}

static inline void write_u16(void *at, uint16_t value)
{
    uint8_t *b = at;
    b[0] = (uint8_t)(value >> 8);
    b[1] = (uint8_t)value;
}

static inline void write_u32(void *at, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(at, &value, sizeof value);
}

static inline void write_u64(void *at, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(at, &value, sizeof value);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the swaps above are for little-endian machines");

#endif
