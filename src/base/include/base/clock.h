/* Time, in seconds. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>

/* Never goes back; counted from an arbitrary moment. */
double clock_monotonic(void);

/* Seconds since 1970. */
double clock_wall(void);

enum {
    CLOCK_TEXT_SIZE = 40
};

/* `wall` as RFC 3339 in UTC with milliseconds, "2026-11-21T09:30:00.250Z", into `text` of CLOCK_TEXT_SIZE
 * bytes. */
void clock_format(double wall, char *text);

#endif
