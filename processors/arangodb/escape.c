#include "escape.h"
#include <string.h>

static const char UNRESERVED[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
static const char DIGITS[] = "0123456789ABCDEF";

char *escape_append(char *end, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (strchr(UNRESERVED, *text) != NULL) {
            *end++ = *text;
        } else {
            *end++ = '%';
            *end++ = DIGITS[byte >> 4];
            *end++ = DIGITS[byte & 15];
        }
    }
    *end = '\0';
    return end;
}
