#include <base/clock.h>
#include <stdint.h>
#include <time.h>

static double read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double clock_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

struct date {
    int64_t year;
    unsigned month; /* from 1 */
    unsigned day;   /* from 1 */
};

/* The Gregorian date of a number of days since 1970. In years that begin on 1 March, so that the leap day
 * comes last; an era is 400 years (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
static struct date date_of_days(int64_t days)
{
    enum {
        DAYS_PER_ERA = 146097,
        DAYS_FROM_MARCH_OF_YEAR_0_TO_1970 = 719468
    };
    days += DAYS_FROM_MARCH_OF_YEAR_0_TO_1970;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    unsigned day_of_era = (unsigned)(days - era * DAYS_PER_ERA);
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    return (struct date){
        .year = (int64_t)year_of_era + era * 400 + (month_from_march >= 10 ? 1 : 0),
        .month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
    };
}

/* `width` digits and then `after`, which may be NUL. */
static char *put_number(char *at, uint64_t number, unsigned width, char after)
{
    for (unsigned i = width; i > 0; i--) {
        at[i - 1] = (char)('0' + number % 10);
        number /= 10;
    }
    at[width] = after;
    return at + width + 1;
}

/* By hand, as gmtime_r takes the time zone's lock and snprintf several KiB of a task's stack. */
void clock_format(double wall, char *text)
{
    enum {
        SECONDS_PER_DAY = 86400
    };
    const double first = 0, last = 253402300799.999; /* the end of the year 9999 */
    if (!(wall > first))
        wall = first;
    if (wall > last)
        wall = last;
    uint64_t milliseconds = (uint64_t)(wall * 1000.0 + 0.5);
    uint64_t seconds = milliseconds / 1000;
    uint64_t second_of_day = seconds % SECONDS_PER_DAY;
    struct date date = date_of_days((int64_t)(seconds / SECONDS_PER_DAY));
    text = put_number(text, (uint64_t)date.year, 4, '-');
    text = put_number(text, date.month, 2, '-');
    text = put_number(text, date.day, 2, 'T');
    text = put_number(text, second_of_day / 3600, 2, ':');
    text = put_number(text, second_of_day / 60 % 60, 2, ':');
    text = put_number(text, second_of_day % 60, 2, '.');
    text = put_number(text, milliseconds % 1000, 3, 'Z');
    *text = '\0';
}
