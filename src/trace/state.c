/* tracestate: "rojo=00f067aa0ba902b7,tenant@vendor=t61rcWkgMzE". What vendors wrote is passed on as it is, or
 * not at all. */
#include <base/bytes.h>
#include <trace/context.h>

enum {
    MEMBERS_MAX = 32,
    KEY_MAX = 256,
    TENANT_MAX = 241,
    SYSTEM_MAX = 14,
    VALUE_MAX = 256,
};

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The part of a key: a first character, and up to `most` in all. */
static bool is_identifier(whippet_bytes part, size_t most, bool may_begin_with_digit)
{
    const char *at = part.data;
    if (part.len == 0 || part.len > most)
        return false;
    if (!is_lower(at[0]) && !(may_begin_with_digit && is_digit(at[0])))
        return false;
    for (size_t i = 1; i < part.len; i++)
        if (!is_lower(at[i]) && !is_digit(at[i]) && strchr("_-*/", at[i]) == NULL)
            return false;
    return memchr(at, '\0', part.len) == NULL;
}

static bool is_key(whippet_bytes key)
{
    const char *at = memchr(key.data, '@', key.len);
    if (at == NULL)
        return is_identifier(key, KEY_MAX, false);
    size_t tenant = (size_t)(at - (const char *)key.data);
    return is_identifier(bytes_of(key.data, tenant), TENANT_MAX, true) &&
           is_identifier(bytes_of(at + 1, key.len - tenant - 1), SYSTEM_MAX, false);
}

/* Printable, without comma and '='; spaces may stand within. */
static bool is_value(whippet_bytes value)
{
    const char *at = value.data;
    if (value.len == 0 || value.len > VALUE_MAX || at[value.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (at[i] < ' ' || at[i] > '~' || at[i] == '=')
            return false;
    return true;
}

static whippet_bytes trim(whippet_bytes text)
{
    const char *at = text.data;
    size_t length = text.len;
    while (length > 0 && (at[0] == ' ' || at[0] == '\t')) {
        at++;
        length--;
    }
    while (length > 0 && (at[length - 1] == ' ' || at[length - 1] == '\t'))
        length--;
    return bytes_of(at, length);
}

static bool is_member(whippet_bytes member)
{
    const char *sign = memchr(member.data, '=', member.len);
    if (sign == NULL)
        return false;
    size_t key = (size_t)(sign - (const char *)member.data);
    return key > 0 && is_key(bytes_of(member.data, key)) &&
           is_value(bytes_of(sign + 1, member.len - key - 1));
}

/* Up to the next comma, which is taken off too. */
static whippet_bytes take_member(whippet_bytes *rest)
{
    const char *comma = memchr(rest->data, ',', rest->len);
    size_t length = comma != NULL ? (size_t)(comma - (const char *)rest->data) : rest->len;
    size_t taken = comma != NULL ? length + 1 : length;
    whippet_bytes member = trim(bytes_of(rest->data, length));
    *rest = bytes_of((const char *)rest->data + taken, rest->len - taken);
    return member;
}

bool trace_state_is_sound(whippet_bytes text)
{
    unsigned members = 0;
    while (text.len > 0) {
        whippet_bytes member = take_member(&text);
        if (member.len == 0)
            continue; /* empty members are allowed (section 3.3.1.2) */
        if (++members > MEMBERS_MAX || !is_member(member))
            return false;
    }
    return members > 0;
}
