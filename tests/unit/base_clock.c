#include <base/clock.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

Test(clock, monotonic_never_goes_back)
{
    double before = clock_monotonic();
    for (int i = 0; i < 1000; i++) {
        double now = clock_monotonic();
        cr_assert_geq(now, before, "%f after %f", now, before);
        before = now;
    }
}

Test(clock, wall_is_the_systems_time)
{
    double difference = clock_wall() - (double)time(NULL);
    cr_assert(difference > -1.5 && difference < 1.5, "differs by %f s", difference);
}

static void assert_formats(double wall, const char *expected)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format(wall, text);
    cr_assert_str_eq(text, expected, "%f became %s, not %s", wall, text, expected);
}

Test(clock, formats_as_rfc_3339)
{
    assert_formats(0, "1970-01-01T00:00:00.000Z");
    assert_formats(1795253400.25, "2026-11-21T09:30:00.250Z");
    assert_formats(951782400, "2000-02-29T00:00:00.000Z");
    assert_formats(1709251199.999, "2024-02-29T23:59:59.999Z");
    assert_formats(253402300799, "9999-12-31T23:59:59.000Z");
}

Test(clock, rounds_into_the_next_second)
{
    assert_formats(1.9996, "1970-01-01T00:00:02.000Z");
    assert_formats(86399.9999, "1970-01-02T00:00:00.000Z");
}

Test(clock, formats_times_out_of_range_as_the_nearest)
{
    assert_formats(-5, "1970-01-01T00:00:00.000Z");
    assert_formats((double)NAN, "1970-01-01T00:00:00.000Z");
    assert_formats((double)INFINITY, "9999-12-31T23:59:59.999Z");
}

Test(clock, agrees_with_the_c_library_on_every_day_of_two_centuries)
{
    for (time_t day = 0; day < 200 * 366; day++) {
        time_t moment = day * 86400 + day % 86400;
        struct tm parts;
        char expected[CLOCK_TEXT_SIZE];
        gmtime_r(&moment, &parts);
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.000Z", &parts);
        assert_formats((double)moment, expected);
    }
}
