#include <base/failure.h>
#include <criterion/criterion.h>
#include <string.h>

Test(failure, keeps_the_error_and_its_text)
{
    struct whippet_failure failure = {0};
    int result = failure_set(&failure, WHIPPET_E_REFUSED, "cannot open %s: %d", "orders", 7);
    cr_assert_eq(result, WHIPPET_E_REFUSED);
    cr_assert_eq(failure.error, WHIPPET_E_REFUSED);
    cr_assert_str_eq(failure.text, "cannot open orders: 7");
}

Test(failure, without_a_place_for_it_only_returns)
{
    cr_assert_eq(failure_set(NULL, WHIPPET_E_LIMIT, "text"), WHIPPET_E_LIMIT);
}

Test(failure, may_wrap_its_own_text)
{
    struct whippet_failure failure = {0};
    failure_set(&failure, WHIPPET_E_SYSTEM, "no such file");
    failure_set(&failure, WHIPPET_E_SYSTEM, "cannot read x: %s", failure.text);
    cr_assert_str_eq(failure.text, "cannot read x: no such file");
}

Test(failure, cuts_what_does_not_fit_with_an_ellipsis)
{
    struct whippet_failure failure = {0};
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    failure_set(&failure, WHIPPET_E_LIMIT, "%s", text);
    size_t length = strlen(failure.text);
    cr_assert_eq(length, FAILURE_TEXT_SIZE - 1, "is %zu long", length);
    cr_assert_str_eq(failure.text + length - 4, "x…");
}

Test(failure, fits_exactly_without_an_ellipsis)
{
    struct whippet_failure failure = {0};
    failure_set(&failure, WHIPPET_E_LIMIT, "%*d", FAILURE_TEXT_SIZE - 1, 7);
    cr_assert_eq(strlen(failure.text), FAILURE_TEXT_SIZE - 1);
    cr_assert_eq(failure.text[FAILURE_TEXT_SIZE - 2], '7');
}

Test(failure, never_cuts_a_character)
{
    struct whippet_failure failure = {0};
    char text[1200] = "";
    for (int i = 0; i < 300; i++)
        strcat(text, "€");
    failure_set(&failure, WHIPPET_E_LIMIT, "%s", text);
    size_t length = strlen(failure.text);
    cr_assert_str_eq(failure.text + length - 6, "€…", "ends in \"%s\"", failure.text + length - 6);
}

Test(error, each_has_its_text)
{
    cr_assert_str_eq(whippet_error_text(WHIPPET_E_TIMEOUT), "timed out");
    cr_assert_str_eq(whippet_error_text(WHIPPET_E_RETRY_EXHAUSTED), "retry exhausted");
    cr_assert_str_eq(whippet_error_text(0), "no error");
    cr_assert_str_eq(whippet_error_text(3), "no error");
    cr_assert_str_eq(whippet_error_text(-5), "unknown error");
}
