#include "top_number.h"
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const double THOUSAND = 1000;

/* True: there is no number to tell, and `text` says so. */
static bool is_none(double number, char text[TOP_NUMBER_SIZE])
{
    if (isnan(number))
        strcpy(text, "-");
    else if (number < 0)
        strcpy(text, "?");
    else
        return false;
    return true;
}

/* Rounding never makes five columns of four: what comes to 10000 of a unit is 10 of the next. */
void top_format_count(double count, char text[TOP_NUMBER_SIZE])
{
    static const char UNITS[] = "kMGTPE";
    const char *unit = UNITS;
    if (is_none(count, text))
        return;
    if (count < 99999.5) {
        snprintf(text, TOP_NUMBER_SIZE, "%.0f", count);
        return;
    }
    for (count /= THOUSAND; count >= 9999.5 && unit[1] != '\0'; unit++)
        count /= THOUSAND;
    if (count < 9999.5)
        snprintf(text, TOP_NUMBER_SIZE, "%.0f%c", count, *unit);
    else
        strcpy(text, ">999E");
}

void top_format_rate(double rate, char text[TOP_NUMBER_SIZE])
{
    if (is_none(rate, text))
        return;
    if (rate > 0 && rate < 9.995)
        snprintf(text, TOP_NUMBER_SIZE, "%.2f", rate);
    else if (rate > 0 && rate < 99.95)
        snprintf(text, TOP_NUMBER_SIZE, "%.1f", rate);
    else
        top_format_count(rate, text);
}

void top_format_seconds(double seconds, char text[TOP_NUMBER_SIZE])
{
    static const double MINUTE = 60, HOUR = 3600, DAY = 86400;
    if (is_none(seconds, text))
        return;
    if (seconds < 0.0005)
        strcpy(text, seconds > 0 ? "<1ms" : "0ms");
    else if (seconds < 0.9995)
        snprintf(text, TOP_NUMBER_SIZE, "%.0fms", seconds * THOUSAND);
    else if (seconds < 9.95)
        snprintf(text, TOP_NUMBER_SIZE, "%.1fs", seconds);
    else if (seconds < 2 * MINUTE)
        snprintf(text, TOP_NUMBER_SIZE, "%.0fs", seconds);
    else if (seconds < 2 * HOUR)
        snprintf(text, TOP_NUMBER_SIZE, "%.0fm", floor(seconds / MINUTE));
    else if (seconds < 2 * DAY)
        snprintf(text, TOP_NUMBER_SIZE, "%.0fh", floor(seconds / HOUR));
    else if (seconds < 9999 * DAY)
        snprintf(text, TOP_NUMBER_SIZE, "%.0fd", floor(seconds / DAY));
    else
        strcpy(text, ">999d");
}

void top_format_long_seconds(double seconds, char *text, size_t size)
{
    if (!(seconds >= 0 && seconds < 1e12)) {
        snprintf(text, size, "?");
        return;
    }
    unsigned long whole = (unsigned long)seconds, minutes = whole / 60, hours = minutes / 60;
    if (minutes == 0)
        snprintf(text, size, "%lu s", whole);
    else if (hours == 0)
        snprintf(text, size, "%lu min %lu s", minutes, whole % 60);
    else if (hours < 24)
        snprintf(text, size, "%lu h %lu min", hours, minutes % 60);
    else
        snprintf(text, size, "%lu d %lu h", hours / 24, hours % 24);
}
