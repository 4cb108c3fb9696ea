/* Printing what strangers wrote. */
#include "../../cmd/safe_print.h"
#include <base/bytes.h>
#include <criterion/criterion.h>
#include <stdlib.h>

static char *text;
static size_t size;
static FILE *stream;

static void begin(void)
{
    stream = open_memstream(&text, &size);
}

static void end(void)
{
    fclose(stream);
    free(text);
}

TestSuite(safe_print, .init = begin, .fini = end);

static void assert_printed(const char *expected)
{
    fflush(stream);
    cr_assert_str_eq(text, expected);
}

Test(safe_print, keeps_utf8)
{
    safe_print(stream, bytes_of_text("Grüße, 世界 🐇"), 100);
    assert_printed("Grüße, 世界 🐇");
}

Test(safe_print, escapes_what_commands_a_terminal)
{
    safe_print(stream, bytes_of_text("a\033[2J\n\t\r\007\177\302\233b"), 100);
    assert_printed("a\\x1b[2J\\n\\t\\r\\x07\\x7f\\u{9b}b");
}

Test(safe_print, escapes_what_turns_the_direction_of_writing)
{
    safe_print(stream, bytes_of_text("\342\200\256x\342\201\246"), 100);
    assert_printed("\\u{202e}x\\u{2066}");
}

Test(safe_print, escapes_bytes_that_are_no_utf8)
{
    safe_print(stream, bytes_of_text("\xff\xc3"), 100);
    assert_printed("\\xff\\xc3");
}

Test(safe_print, cuts_between_characters_and_says_so)
{
    safe_print(stream, bytes_of_text("aéé"), 2);
    assert_printed("a… (5 bytes in all)");
}

Test(safe_print, indents_the_lines_of_a_body)
{
    safe_print_body(stream, bytes_of_text("one\n\ttwo"), 100);
    assert_printed("    one\n    \ttwo\n");
}

Test(safe_print, dumps_a_body_that_is_no_text)
{
    safe_print_body(stream, bytes_of("\0\1A", 3), 100);
    assert_printed("    00000000  00 01 41                                         |..A|\n");
}

Test(safe_print, says_how_much_of_a_body_it_left_out)
{
    safe_print_body(stream, bytes_of_text("0123456789"), 4);
    assert_printed("    0123\n    … (4 of 10 bytes; --bytes N shows more)\n");
}

Test(safe_print, writes_json_that_is_safe_on_a_terminal)
{
    safe_print_json(stream, bytes_of_text("\"\\\033\302\233é\xff"));
    assert_printed("\"\\\"\\\\\\u001b\\u009bé\xef\xbf\xbd\"");
}

Test(safe_print, writes_base64)
{
    safe_print_base64(stream, bytes_of_text("a"));
    safe_print_base64(stream, bytes_of_text("ab"));
    safe_print_base64(stream, bytes_of_text("abc"));
    assert_printed("\"YQ==\"\"YWI=\"\"YWJj\"");
}

Test(safe_print, leaves_a_json_document_as_it_is)
{
    static const char TEXT[] = "{\"a\":[1.50,true,null,\"Grüße \\u001b\\n\"]}";
    safe_print_document(stream, bytes_of_text(TEXT));
    assert_printed(TEXT);
}

Test(safe_print, prints_a_json_document_in_one_line_that_commands_no_terminal)
{
    safe_print_document(stream, bytes_of_text("[\r\n\t\"\177\302\233\342\200\256\"]"));
    assert_printed("[   \"\\u007f\\u009b\\u202e\"]");
}
