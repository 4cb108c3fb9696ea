#include <base/utf8.h>
#include <stdbool.h>
#include <stdint.h>

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The length that a first byte announces; 0 for a byte that begins nothing. */
static size_t announced_length(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef)
        return 3;
    if (first >= 0xf0 && first <= 0xf4)
        return 4;
    return 0;
}

/* Whether the second byte keeps to the shortest form, leaves out the surrogates and stays below U+110000. */
static bool is_second_allowed(uint8_t first, uint8_t second)
{
    switch (first) {
    case 0xe0: return second >= 0xa0;
    case 0xed: return second <= 0x9f;
    case 0xf0: return second >= 0x90;
    case 0xf4: return second <= 0x8f;
    default: return true;
    }
}

size_t utf8_sequence(const void *text, size_t length)
{
    const uint8_t *bytes = text;
    if (length == 0)
        return 0;
    size_t announced = announced_length(bytes[0]);
    if (announced > length)
        return 0;
    for (size_t i = 1; i < announced; i++) {
        if (!is_continuation(bytes[i]))
            return 0;
    }
    if (announced > 1 && !is_second_allowed(bytes[0], bytes[1]))
        return 0;
    return announced;
}

unsigned utf8_code_point(const void *text, size_t length)
{
    static const uint8_t FIRST_BITS[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const uint8_t *bytes = text;
    unsigned code = bytes[0] & FIRST_BITS[length];
    for (size_t i = 1; i < length; i++)
        code = code << 6 | (bytes[i] & 0x3f);
    return code;
}

size_t utf8_cut(const void *text, size_t length, size_t limit)
{
    enum {
        LONGEST_TAIL = 3
    };
    const uint8_t *bytes = text;
    if (length <= limit)
        return length;
    size_t cut = limit;
    while (cut > 0 && limit - cut < LONGEST_TAIL && is_continuation(bytes[cut]))
        cut--;
    return cut;
}
