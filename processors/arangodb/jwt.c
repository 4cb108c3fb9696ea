#include "jwt.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <whippet/json.h>

enum {
    BITS_PER_DIGIT = 6,
    BITS_PER_BYTE = 8,
};

bool jwt_is_token(const char *text)
{
    static const char CHARACTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";
    return *text != '\0' && text[strspn(text, CHARACTERS)] == '\0';
}

/* The value of a digit of base64url (RFC 4648, section 5). */
static unsigned digit_value(char digit)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    return (unsigned)(strchr(DIGITS, digit) - DIGITS);
}

/* Stops at what is no digit. Returns how many bytes were written to `to`, which has room for `length`. */
static size_t decode(const char *from, size_t length, char *to)
{
    static const char OTHERS[] = ".~+/=";
    unsigned bits = 0, gathered = 0;
    size_t count = 0;
    for (size_t i = 0; i < length && strchr(OTHERS, from[i]) == NULL; i++) {
        gathered = gathered << BITS_PER_DIGIT | digit_value(from[i]);
        bits += BITS_PER_DIGIT;
        if (bits >= BITS_PER_BYTE) {
            bits -= BITS_PER_BYTE;
            to[count++] = (char)(gathered >> bits & 0xff);
        }
    }
    return count;
}

/* The claim "exp" of the payload, which lies between the first two dots. False when there is none. */
static bool read_expiry(const char *token, double *expiry)
{
    const char *payload = strchr(token, '.');
    if (payload == NULL || !jwt_is_token(token))
        return false;
    size_t length = strcspn(++payload, ".");
    char *text = malloc(length + 1);
    if (text == NULL)
        return false;
    whippet_bytes bytes = {text, decode(payload, length, text)};
    bool is_read = whippet_json_real(whippet_json_get(whippet_json_read(bytes, NULL, NULL), "exp"), expiry);
    free(text);
    return is_read;
}

double jwt_lifetime(const char *token, time_t now)
{
    double expiry;
    if (!read_expiry(token, &expiry) || expiry <= (double)now)
        return INFINITY;
    return expiry - (double)now;
}
