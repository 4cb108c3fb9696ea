/* Durations and sizes as people write them; also for processors' settings and command line options. */
#ifndef CONFIG_UNITS_H
#define CONFIG_UNITS_H

#include <stdbool.h>
#include <stdint.h>

/* "250ms", "3s", "1.5m", "2h", "1d", or a plain number of seconds. False for anything else, negatives
 * included. */
bool duration_parse(const char *text, double *seconds);

/* "16MiB", "64KiB", "1GiB", "10kB", "5MB", or plain bytes. */
bool size_parse(const char *text, uint64_t *bytes);

enum {
    UNITS_TEXT_SIZE = 32
};
void duration_format(double seconds, char *text); /* "3s", "250ms", "5m": exact, shortest */
void size_format(uint64_t bytes, char *text);     /* "16 MiB", "1.5 GiB", rounded to three digits */

#endif
