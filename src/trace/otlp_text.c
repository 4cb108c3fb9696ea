#include "otlp_text.h"
#include <base/bytes.h>
#include <base/utf8.h>

static const char HEX[] = "0123456789abcdef";

/* Exactly nine digits; two at a time. */
static char *put_nine(char *at, uint32_t value)
{
    static const char PAIRS[] = "0001020304050607080910111213141516171819202122232425262728293031323334"
                                "3536373839404142434445464748495051525354555657585960616263646566676869"
                                "707172737475767778798081828384858687888990919293949596979899";
    for (int i = 7; i > 0; i -= 2, value /= 100)
        memcpy(at + i, PAIRS + 2 * (value % 100), 2);
    *at = (char)('0' + value);
    return at + 9;
}

/* Most of these numbers are nanoseconds since 1970. */
char *put_unsigned(char *at, uint64_t value)
{
    const uint32_t nine_digits = 1000000000;
    if (value >= nine_digits)
        return put_nine(put_unsigned(at, value / nine_digits), (uint32_t)(value % nine_digits));
    if (value >= 10)
        at = put_unsigned(at, value / 10);
    *at++ = (char)('0' + value % 10);
    return at;
}

/* Four bits to each byte of a word, and then all eight digits at once: what is above 9 goes on at 'a'. */
static void put_half(char *at, uint32_t half)
{
    uint64_t digits = half;
    digits = (digits << 16 | digits) & UINT64_C(0x0000ffff0000ffff);
    digits = (digits << 8 | digits) & UINT64_C(0x00ff00ff00ff00ff);
    digits = (digits << 4 | digits) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    uint64_t letters = (digits + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    write_u64(at, digits + UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10));
}

char *put_id(char *at, uint64_t id)
{
    put_half(at, (uint32_t)(id >> 32));
    put_half(at + 8, (uint32_t)id);
    return at + 16;
}

static char *put_control(char *at, unsigned char byte)
{
    at = PUT(at, "\\u00");
    *at++ = HEX[byte >> 4];
    *at++ = HEX[byte & 0xf];
    return at;
}

static char *put_ascii(char *at, char byte)
{
    if (byte == '"' || byte == '\\')
        *at++ = '\\';
    *at++ = byte;
    return at;
}

char *put_escaped(char *at, whippet_bytes text)
{
    const char *from = text.data, *end = from + text.len;
    while (from < end) {
        unsigned char byte = (unsigned char)*from;
        if (byte < ' ') {
            at = put_control(at, byte);
            from++;
        } else if (byte < 0x80) {
            at = put_ascii(at, *from++);
        } else {
            size_t length = utf8_sequence(from, (size_t)(end - from));
            at = length > 0 ? put_span(at, from, length) : PUT(at, "\xef\xbf\xbd");
            from += length > 0 ? length : 1;
        }
    }
    return at;
}

char *put_text_attribute(char *at, const char *name, whippet_bytes value)
{
    at = PUT(at, "{\"key\":\"");
    at = put_text(at, name);
    at = PUT(at, "\",\"value\":{\"stringValue\":\"");
    at = put_escaped(at, value);
    return PUT(at, "\"}}");
}

/* OTLP writes 64 bits as a string, as all of protobuf's JSON. */
char *put_integer_attribute(char *at, const char *name, uint64_t value)
{
    at = PUT(at, "{\"key\":\"");
    at = put_text(at, name);
    at = PUT(at, "\",\"value\":{\"intValue\":\"");
    at = put_unsigned(at, value);
    return PUT(at, "\"}}");
}
