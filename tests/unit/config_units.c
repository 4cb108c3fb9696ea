#include <config/units.h>
#include <criterion/criterion.h>
#include <string.h>

static void assert_duration(const char *text, double expected)
{
    double seconds = -1;
    cr_assert(duration_parse(text, &seconds), "refused %s", text);
    cr_assert(seconds == expected, "%s became %.17g, not %.17g", text, seconds, expected);
}

Test(duration, is_parsed_in_every_unit)
{
    assert_duration("250ms", 0.25);
    assert_duration("3s", 3);
    assert_duration("1.5m", 90);
    assert_duration("2h", 7200);
    assert_duration("1d", 86400);
}

Test(duration, without_a_unit_is_seconds)
{
    assert_duration("3", 3);
    assert_duration("0.5", 0.5);
    assert_duration("0", 0);
}

Test(duration, is_the_same_in_any_unit)
{
    assert_duration("0.3s", 0.3);
    assert_duration("300ms", 0.3);
    assert_duration("0.1m", 6);
}

Test(duration, refuses_anything_else)
{
    static const char *const wrong[] = {"",     " ",     "s",    "-1s",   "+1s",
                                        "1 s",  "1S",    "3sec", "1h30m", "1e3",
                                        "inf",  "nan",   "0x10", "1.",    ".5",
                                        "1,5s", "1..5",  "3s ",  " 3s",   "1us",
                                        "1w",   "three", "ms",   "1ms1",  "1234567890123456789"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        double seconds = 7;
        cr_assert_not(duration_parse(wrong[i], &seconds), "took \"%s\" for %f", wrong[i], seconds);
        cr_assert(seconds == 7, "\"%s\" changed the target", wrong[i]);
    }
}

static void assert_size(const char *text, uint64_t expected)
{
    uint64_t bytes = 7;
    cr_assert(size_parse(text, &bytes), "refused %s", text);
    cr_assert_eq(bytes, expected, "%s became %llu", text, (unsigned long long)bytes);
}

Test(size, is_parsed_in_every_unit)
{
    assert_size("16MiB", UINT64_C(16) << 20);
    assert_size("64KiB", UINT64_C(64) << 10);
    assert_size("1GiB", UINT64_C(1) << 30);
    assert_size("2TiB", UINT64_C(2) << 40);
    assert_size("10kB", 10000);
    assert_size("5MB", 5000000);
    assert_size("1GB", 1000000000);
    assert_size("1TB", UINT64_C(1000000000000));
    assert_size("7B", 7);
    assert_size("7", 7);
    assert_size("1.5KiB", 1536);
    assert_size("16 MiB", UINT64_C(16) << 20);
}

Test(size, refuses_anything_else)
{
    static const char *const wrong[] = {"",
                                        " ",
                                        "MiB",
                                        "-1",
                                        "1KB",
                                        "1k",
                                        "1M",
                                        "1 ",
                                        "1  B",
                                        "1.5",
                                        "1.5B",
                                        "1e3",
                                        "1mib",
                                        "0x10",
                                        "1.",
                                        "16MiB ",
                                        " 1",
                                        "9999999999999999999",
                                        "9999999999TiB"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint64_t bytes = 7;
        cr_assert_not(size_parse(wrong[i], &bytes), "took \"%s\" for %llu", wrong[i],
                      (unsigned long long)bytes);
        cr_assert_eq(bytes, 7, "\"%s\" changed the target", wrong[i]);
    }
}

static void assert_formats_duration(double seconds, const char *expected)
{
    char text[UNITS_TEXT_SIZE];
    duration_format(seconds, text);
    cr_assert_str_eq(text, expected, "%.17g became %s, not %s", seconds, text, expected);
}

Test(duration, is_formatted_in_the_fewest_characters)
{
    assert_formats_duration(3, "3s");
    assert_formats_duration(0.25, "250ms");
    assert_formats_duration(300, "5m");
    assert_formats_duration(90, "90s");
    assert_formats_duration(1.5, "1.5s");
    assert_formats_duration(3600, "1h");
    assert_formats_duration(129600, "36h");
    assert_formats_duration(86400, "1d");
    assert_formats_duration(31536000, "365d");
    assert_formats_duration(0.0005, "0.5ms");
    assert_formats_duration(0, "0s");
}

Test(duration, that_is_formatted_is_parsed_as_the_same)
{
    for (unsigned milliseconds = 1; milliseconds < 4000000; milliseconds += 977) {
        char text[UNITS_TEXT_SIZE];
        double seconds = milliseconds / 1000.0, back = -1;
        duration_format(seconds, text);
        cr_assert(duration_parse(text, &back), "%s is not parsed", text);
        cr_assert(back == seconds, "%.17g became %s", seconds, text);
    }
}

Test(duration, without_an_exact_text_is_rounded)
{
    assert_formats_duration(1.0 / 3, "0.333333s");
    char text[UNITS_TEXT_SIZE];
    duration_format(1e300, text);
    cr_assert_lt(strlen(text), UNITS_TEXT_SIZE);
}

static void assert_formats_size(uint64_t bytes, const char *expected)
{
    char text[UNITS_TEXT_SIZE];
    size_format(bytes, text);
    cr_assert_str_eq(text, expected, "%llu became %s, not %s", (unsigned long long)bytes, text, expected);
}

Test(size, is_formatted_with_three_digits)
{
    assert_formats_size(0, "0 B");
    assert_formats_size(1023, "1023 B");
    assert_formats_size(1024, "1 KiB");
    assert_formats_size(1536, "1.5 KiB");
    assert_formats_size(262144, "256 KiB");
    assert_formats_size(1234567, "1.18 MiB");
    assert_formats_size(16 << 20, "16 MiB");
    assert_formats_size(UINT64_C(1610612736), "1.5 GiB");
    assert_formats_size(UINT64_C(10) << 40, "10 TiB");
    assert_formats_size(UINT64_MAX, "16 EiB");
}

Test(size, is_rounded_into_the_next_unit)
{
    assert_formats_size((1 << 20) - 1, "1 MiB");
    assert_formats_size((1 << 30) - 1, "1 GiB");
    assert_formats_size(1023 << 10, "1023 KiB");
    assert_formats_size((100 << 10) - 1, "100 KiB");
    assert_formats_size((10 << 10) - 1, "10 KiB");
}

Test(size, that_is_whole_is_parsed_as_it_was_formatted)
{
    for (uint64_t bytes = 1; bytes <= UINT64_C(1) << 43; bytes *= 2) {
        char text[UNITS_TEXT_SIZE];
        uint64_t back = 0;
        size_format(bytes, text);
        cr_assert(size_parse(text, &back), "%s is not parsed", text);
        cr_assert_eq(back, bytes, "%llu became %s", (unsigned long long)bytes, text);
    }
}
