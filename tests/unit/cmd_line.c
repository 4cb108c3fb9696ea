/* Lines of a terminal, by columns. */
#include "../../cmd/line.h"
#include <base/memory.h>
#include <criterion/criterion.h>
#include <locale.h>

static struct line line;

static void begin(void)
{
    cr_assert_not_null(setlocale(LC_CTYPE, "C.UTF-8"));
}

TestSuite(line, .init = begin);

static void assert_line(const char *expected)
{
    char *text = line_end(&line);
    cr_assert_str_eq(text, expected);
    memory_free(text);
}

Test(line, fills_cells_up_on_the_left_and_on_the_right)
{
    line_begin(&line, 20, false);
    line_put_left(&line, "ab", 4);
    line_put_right(&line, "12", 4);
    cr_assert_eq(line.columns, 8);
    assert_line("ab    12");
}

Test(line, cuts_a_cell_with_an_ellipsis)
{
    line_begin(&line, 20, false);
    line_put_left(&line, "abcdef", 4);
    line_put_right(&line, "123456", 4);
    assert_line("abc…123…");
}

Test(line, cuts_before_a_wide_character_that_does_not_fit_and_fills_the_gap)
{
    line_begin(&line, 20, false);
    line_put_left(&line, "世界世界", 4);
    line_put(&line, "|");
    assert_line("世… |");
}

Test(line, counts_no_column_for_combining_characters)
{
    line_begin(&line, 20, false);
    line_put_left(&line, "e\xcc\x81t\xcc\x81", 3);
    line_put(&line, "|");
    assert_line("e\xcc\x81t\xcc\x81 |");
}

Test(line, shows_control_characters_and_bad_bytes_as_escapes)
{
    line_begin(&line, 80, false);
    line_put(&line, "a\033[2J\n\r\t\xff\xc2\x9b\xe2\x80\xae");
    assert_line("a\\x1b[2J\\n\\r\\t\\xff\\u{9b}\\u{202e}");
}

Test(line, puts_a_question_mark_for_what_ascii_has_not)
{
    line_begin(&line, 8, true);
    line_put(&line, "Grüße, 世界!");
    assert_line("Gr??e, ~");
}

Test(line, puts_a_question_mark_for_what_no_terminal_knows)
{
    line_begin(&line, 80, false);
    line_put(&line, "\xef\xbf\xbe|");
    assert_line("?|");
}

Test(line, stops_at_its_width)
{
    line_begin(&line, 5, false);
    line_put(&line, "abc");
    line_print(&line, "%s", "defgh");
    line_put(&line, "more");
    line_put_left(&line, "and", 10);
    line_fill(&line, 30);
    cr_assert_eq(line.columns, 5);
    assert_line("abcd…");
}

Test(line, has_no_end_when_none_is_asked_for)
{
    line_begin(&line, LINE_ENDLESS, false);
    for (int i = 0; i < 100; i++)
        line_put(&line, "0123456789");
    cr_assert_eq(line.columns, 1000);
    memory_free(line_end(&line));
}

static bool nothing(size_t size)
{
    (void)size;
    return false;
}

Test(line, has_no_text_when_memory_is_short)
{
    memory_permit = nothing;
    line_begin(&line, 80, false);
    line_put(&line, "abc");
    cr_assert_null(line_end(&line));
    memory_permit = NULL;
}
