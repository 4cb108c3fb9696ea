#include "retry_after.h"
#include <string.h>

enum {
    LONGEST = 64 /* bytes; no date is longer */
};

/* The three forms of a date that a recipient must take (RFC 9110, section 5.6.7). */
static const char *const DATES[] = {
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %e %H:%M:%S %Y",
};

/* Beyond 2^53 seconds all numbers are alike. */
static double read_digits(const char *text)
{
    double seconds = 0;
    for (; *text != '\0'; text++)
        seconds = 10 * seconds + (*text - '0');
    return seconds;
}

static double read_date(const char *text, time_t now)
{
    for (size_t i = 0; i < sizeof DATES / sizeof DATES[0]; i++) {
        struct tm date = {0};
        const char *end = strptime(text, DATES[i], &date);
        if (end != NULL && *end == '\0') {
            double seconds = difftime(timegm(&date), now);
            return seconds > 0 ? seconds : 0;
        }
    }
    return 0;
}

double retry_after_seconds(whippet_bytes value, time_t now)
{
    char text[LONGEST + 1];
    if (value.len == 0 || value.len > LONGEST)
        return 0;
    memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    return text[strspn(text, "0123456789")] == '\0' ? read_digits(text) : read_date(text, now);
}
