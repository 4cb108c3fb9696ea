/* What the strings of JSON that was checked stand for. */
#include <base/bytes.h>
#include <base/json.h>

static unsigned code_unit(const char *digits)
{
    unsigned unit = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)digits[i];
        unit = unit * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return unit;
}

static size_t put_utf8(char *out, unsigned code)
{
    static const unsigned FIRST[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(FIRST[length] | code);
    return length;
}

/* Takes "\uXXXX", or two of them that are a pair, off the front. */
static size_t take_unicode(const char **at, char *out)
{
    unsigned code = code_unit(*at + 2);
    *at += 6;
    if (code >= 0xd800 && code <= 0xdbff) {
        code = 0x10000 + ((code - 0xd800) << 10) + (code_unit(*at + 2) - 0xdc00);
        *at += 6;
    }
    return put_utf8(out, code);
}

/* Takes one character or escape off the front; writes the one to four bytes that it stands for. */
static size_t take_character(const char **at, char *out)
{
    static const char NAMES[] = "bfnrt", MEANT[] = "\b\f\n\r\t";
    char c = **at;
    if (c == '\\' && (*at)[1] == 'u')
        return take_unicode(at, out);
    if (c == '\\') {
        c = (*at)[1];
        *at += 1;
        const char *name = strchr(NAMES, c);
        c = name != NULL ? MEANT[name - NAMES] : c;
    }
    *at += 1;
    *out = c;
    return 1;
}

size_t json_string_decode(whippet_bytes raw, char *out)
{
    const char *at = (const char *)raw.data + 1;
    const char *end = at + raw.len - 2;
    size_t length = 0;
    while (at < end)
        length += take_character(&at, out + length);
    return length;
}

bool json_string_equals(whippet_bytes raw, whippet_bytes text)
{
    const char *at = (const char *)raw.data + 1;
    const char *end = at + raw.len - 2;
    const char *other = text.data;
    size_t left = text.len;
    while (at < end) {
        char character[4];
        size_t length = take_character(&at, character);
        if (length > left || memcmp(character, other, length) != 0)
            return false;
        other += length;
        left -= length;
    }
    return left == 0;
}
