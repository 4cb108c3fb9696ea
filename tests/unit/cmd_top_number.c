/* Numbers in five columns. */
#include "../../cmd/top_number.h"
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

static void assert_each(void (*format)(double, char *), const double *numbers, const char *const *texts,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[TOP_NUMBER_SIZE];
        format(numbers[i], text);
        cr_assert_str_eq(text, texts[i], "%g is \"%s\", not \"%s\"", numbers[i], text, texts[i]);
    }
}

Test(top_number, writes_counts_of_any_size)
{
    static const double NUMBERS[] = {0,   1, 99999, 99999.6, 123456, 9999499, 9999500, 1.8446744073709552e19,
                                     1e30};
    static const char *const TEXTS[] = {"0", "1", "99999", "100k", "123k", "9999k", "10M", "18E", ">999E"};
    assert_each(top_format_count, NUMBERS, TEXTS, 9);
}

Test(top_number, tells_what_is_not_known_from_what_cannot_be)
{
    static const double NUMBERS[] = {NAN, -1, -INFINITY, INFINITY};
    static const char *const TEXTS[] = {"-", "?", "?", ">999E"};
    assert_each(top_format_count, NUMBERS, TEXTS, 4);
}

Test(top_number, writes_small_rates_with_more_digits)
{
    static const double NUMBERS[] = {0, 0.25, 9.99, 9.996, 99.94, 99.96, 1234.5};
    static const char *const TEXTS[] = {"0", "0.25", "9.99", "10.0", "99.9", "100", "1234"};
    assert_each(top_format_rate, NUMBERS, TEXTS, 7);
}

Test(top_number, writes_durations_in_the_unit_that_fits)
{
    static const double NUMBERS[] = {0,   0.0001, 0.0123, 0.9996, 2.46,      9.96,
                                     119, 120,    7199,   7200,   86400 * 2, 1e12};
    static const char *const TEXTS[] = {"0ms",  "<1ms", "12ms", "1.0s", "2.5s", "10s",
                                        "119s", "2m",   "119m", "2h",   "2d",   ">999d"};
    assert_each(top_format_seconds, NUMBERS, TEXTS, 12);
}

Test(top_number, never_takes_more_than_five_columns)
{
    for (double number = DBL_MIN; number < DBL_MAX / 7; number *= 1.7) {
        char count[TOP_NUMBER_SIZE], rate[TOP_NUMBER_SIZE], seconds[TOP_NUMBER_SIZE];
        top_format_count(number, count);
        top_format_rate(number, rate);
        top_format_seconds(number, seconds);
        cr_assert(strlen(count) <= 5 && strlen(rate) <= 5 && strlen(seconds) <= 5, "%g: %s, %s, %s", number,
                  count, rate, seconds);
    }
}

Test(top_number, writes_how_long_a_process_runs)
{
    static const double NUMBERS[] = {0, 59.9, 61, 3 * 3600 + 20 * 60, 2 * 86400 + 4 * 3600, NAN, -1, 1e300};
    static const char *const TEXTS[] = {"0 s", "59 s", "1 min 1 s", "3 h 20 min", "2 d 4 h", "?", "?", "?"};
    for (size_t i = 0; i < 8; i++) {
        char text[32];
        top_format_long_seconds(NUMBERS[i], text, sizeof text);
        cr_assert_str_eq(text, TEXTS[i]);
    }
}
