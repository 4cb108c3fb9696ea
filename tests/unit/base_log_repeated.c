/* What the log says of a thing that is tried again and again and does not work. */
#include <base/log_repeated.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static FILE *lines;
static struct log_repetition repetition;

static void open_log(void)
{
    repetition = (struct log_repetition){0};
    lines = tmpfile();
    cr_assert_not_null(lines);
    log_configure(fileno(lines), WHIPPET_WARNING, LOG_FORMAT_TEXT);
}

static void close_log(void)
{
    fclose(lines);
}

TestSuite(log_repeated, .init = open_log, .fini = close_log);

static void fail(double now, const char *error)
{
    struct log_fields fields = {.error = error};
    log_repeated(&repetition, now, WHIPPET_WARNING, &fields, "no connection; trying again in %g s", now);
}

/* What was written since the last call, without the times. */
static const char *take(void)
{
    static char text[4096];
    char line[1024];
    text[0] = '\0';
    rewind(lines);
    while (fgets(line, sizeof line, lines) != NULL)
        strcat(text, line + sizeof "2026-11-21T09:30:00.250Z" - 1);
    cr_assert_eq(ftruncate(fileno(lines), 0), 0);
    rewind(lines);
    return text;
}

static void assert_said(const char *expected)
{
    const char *found = take();
    cr_assert_str_eq(found, expected, "it said \"%s\" where \"%s\" was expected", found, expected);
}

Test(log_repeated, says_the_first_with_its_cause)
{
    fail(0, "refused");
    assert_said(" warn  no connection; trying again in 0 s: refused\n");
}

Test(log_repeated, says_the_same_cause_once_a_minute_with_how_often_it_came)
{
    for (int i = 0; i < 60; i++)
        fail(i, "refused");
    assert_said(" warn  no connection; trying again in 0 s: refused\n");
    fail(62, "refused");
    assert_said(" warn  no connection; trying again in 62 s (and 59 times more in the last 62 s): refused\n");
    fail(63, "refused");
    assert_said("");
}

Test(log_repeated, says_another_cause_at_once)
{
    fail(0, "refused");
    fail(1, "wrong password");
    assert_said(" warn  no connection; trying again in 0 s: refused\n"
                " warn  no connection; trying again in 1 s: wrong password\n");
}

Test(log_repeated, says_the_same_cause_anew_after_it_was_over)
{
    fail(0, "refused");
    log_repetition_over(&repetition);
    fail(1, "refused");
    assert_said(" warn  no connection; trying again in 0 s: refused\n"
                " warn  no connection; trying again in 1 s: refused\n");
}

Test(log_repeated, does_not_count_what_never_came_twice)
{
    fail(0, "refused");
    fail(100, "refused");
    assert_said(" warn  no connection; trying again in 0 s: refused\n"
                " warn  no connection; trying again in 100 s: refused\n");
}

Test(log_repeated, shows_every_one_at_the_level_debug)
{
    log_configure(fileno(lines), WHIPPET_DEBUG, LOG_FORMAT_TEXT);
    fail(0, "refused");
    fail(1, "refused");
    assert_said(" warn  no connection; trying again in 0 s: refused\n"
                " debug no connection; trying again in 1 s: refused\n");
}

Test(log_repeated, knows_a_cause_again_that_is_longer_than_what_it_keeps)
{
    char error[FAILURE_TEXT_SIZE + 100];
    memset(error, 'x', sizeof error - 1);
    error[sizeof error - 1] = '\0';
    fail(0, error);
    take();
    fail(1, error);
    assert_said("");
}
