#include <cjson/cJSON.h>
#include <config/value.h>
#include <criterion/criterion.h>
#include <string.h>

static void assert_described(const char *json, const char *expected)
{
    char text[VALUE_TEXT_SIZE];
    cJSON *value = cJSON_Parse(json);
    cr_assert_not_null(value, "%s", json);
    value_describe(value, text);
    cr_assert_str_eq(text, expected, "%s is described as %s", json, text);
    cJSON_Delete(value);
}

Test(value, is_described_in_words)
{
    assert_described("true", "true");
    assert_described("false", "false");
    assert_described("null", "null");
    assert_described("[]", "an empty list");
    assert_described("[1]", "a list");
    assert_described("{}", "an object");
    assert_described("\"3 parsecs\"", "\"3 parsecs\"");
    assert_described("\"\"", "\"\"");
}

Test(value, numbers_are_described_with_the_digits_they_need)
{
    assert_described("3", "3");
    assert_described("-0.5", "-0.5");
    assert_described("0.1", "0.1");
    assert_described("9007199254740993", "9007199254740992");
    assert_described("1e300", "1e+300");
}

Test(value, long_strings_are_cut)
{
    char json[300] = "\"", text[VALUE_TEXT_SIZE];
    for (int i = 0; i < 80; i++)
        strcat(json, "€");
    cJSON *value = cJSON_Parse(strcat(json, "\""));
    value_describe(value, text);
    cr_assert_eq(strlen(text), 1 + 60 + 3 + 1, "\"%s\"", text);
    cr_assert_str_eq(text + strlen(text) - 7, "€…\"");
    cJSON_Delete(value);
}

Test(value, urls_are_never_shown)
{
    assert_described("\"amqp://user:secret@host/\"", "a URL");
    assert_described("\"x postgres://user:secret@host/\"", "a URL");
}

Test(value, durations_and_sizes_are_strings_or_numbers)
{
    cJSON *value = cJSON_Parse("[\"3s\", 3, \"16KiB\", 1.5, -1, true]");
    double seconds = 0;
    uint64_t bytes = 0;
    cr_assert(value_read_duration(cJSON_GetArrayItem(value, 0), &seconds) && seconds == 3);
    cr_assert(value_read_duration(cJSON_GetArrayItem(value, 3), &seconds) && seconds == 1.5);
    cr_assert_not(value_read_duration(cJSON_GetArrayItem(value, 4), &seconds));
    cr_assert_not(value_read_duration(cJSON_GetArrayItem(value, 5), &seconds));
    cr_assert(value_read_size(cJSON_GetArrayItem(value, 2), &bytes) && bytes == 16384);
    cr_assert(value_read_size(cJSON_GetArrayItem(value, 1), &bytes) && bytes == 3);
    cr_assert_not(value_read_size(cJSON_GetArrayItem(value, 3), &bytes));
    cr_assert_not(value_read_size(cJSON_GetArrayItem(value, 4), &bytes));
    cr_assert_not(value_read_size(cJSON_GetArrayItem(value, 5), &bytes));
    cJSON_Delete(value);
}

Test(value, a_plain_string_is_no_number)
{
    cJSON *value = cJSON_CreateString("8");
    double number;
    int64_t whole;
    bool boolean;
    cr_assert_not(value_is_expanded(value));
    cr_assert_not(value_read_number(value, &number));
    cr_assert_not(value_read_whole(value, &whole));
    cr_assert_not(value_read_boolean(value, &boolean));
    cJSON_Delete(value);
}

Test(value, whole_numbers_end_at_2_to_the_53)
{
    cJSON *value = cJSON_Parse("[9007199254740992, -9007199254740992, 9007199254740994, 0.5, 1e3]");
    int64_t whole;
    cr_assert(value_read_whole(cJSON_GetArrayItem(value, 0), &whole) && whole == INT64_C(9007199254740992));
    cr_assert(value_read_whole(cJSON_GetArrayItem(value, 1), &whole) && whole == INT64_C(-9007199254740992));
    cr_assert_not(value_read_whole(cJSON_GetArrayItem(value, 2), &whole));
    cr_assert_not(value_read_whole(cJSON_GetArrayItem(value, 3), &whole));
    cr_assert(value_read_whole(cJSON_GetArrayItem(value, 4), &whole) && whole == 1000);
    cJSON_Delete(value);
}

static const char *const known[] = {"name", "processor", "concurrency", "prefetch", "max_delay", "url"};

static const char *nearest(const char *name)
{
    return value_nearest_name(name, known, sizeof known / sizeof known[0], sizeof known[0]);
}

Test(nearest_name, forgives_slips)
{
    cr_assert_str_eq(nearest("concurency"), "concurrency");
    cr_assert_str_eq(nearest("prefetchs"), "prefetch");
    cr_assert_str_eq(nearest("naem"), "name");
    cr_assert_str_eq(nearest("maxDelay"), "max_delay");
    cr_assert_str_eq(nearest("max-delay"), "max_delay");
    cr_assert_str_eq(nearest("NAME"), "name");
    cr_assert_str_eq(nearest("uri"), "url");
}

Test(nearest_name, suggests_nothing_for_what_is_far_off)
{
    cr_assert_null(nearest("zzz"));
    cr_assert_null(nearest("colour"));
    cr_assert_null(nearest(""));
    cr_assert_null(nearest("a_name_that_is_far_longer_than_any_key_there_is_here"));
}
