#include "config_testing.h"

static void setup(void)
{
    forget_environment();
}

TestSuite(syntax, .init = setup);

Test(syntax, names_line_and_column)
{
    assert_errors("{\n  \"queues\": [\n    nope\n",
                  "3: column 5: expected a value (a text takes double quotes), found n\n");
}

Test(syntax, counts_columns_in_characters)
{
    assert_errors("{\"€€\" 1}", "1: column 7: expected a colon after the key, found 1\n");
}

Test(syntax, says_that_json_has_no_comments)
{
    const char *expected = "a comment begins here, but JSON has none; remove it";
    assert_error("// hello\n{}", expected);
    assert_error("{ # hello\n}", expected);
    assert_error("{ \"a\": /* hello */ 1 }", expected);
    assert_error("{} // hello", expected);
}

Test(syntax, says_that_json_has_no_trailing_comma)
{
    assert_errors("{\"a\": 1,\n}",
                  "1: column 8: a comma after the last entry, where JSON has none; remove it\n");
    assert_error("{\"a\": [1, 2,]}", "column 12: a comma after the last entry");
}

Test(syntax, names_the_bracket_that_is_not_closed)
{
    assert_errors(
        "{\n\"a\": [1\n",
        "3: column 1: expected a comma or ], but the text ends here; the [ of line 2 is not closed\n");
    assert_error("{\"a\": ", "but the text ends here; the { of line 1 is not closed");
}

Test(syntax, says_what_json_writes_instead)
{
    assert_error("{'a': 1}", "expected a key in double quotes, found a single quote");
    assert_error("{a: 1}", "expected a key in double quotes, found a");
    assert_error("{\"a\": True}", "found True; JSON writes it true");
    assert_error("{\"a\": None}", "JSON writes it null");
    assert_error("{\"a\": NaN}", "JSON has no such number");
    assert_error("{\"a\": 30s}", "a value with a unit is written in quotes");
    assert_error("{\"a\" 1}", "expected a colon after the key, found 1");
    assert_error("{\"a\": 1 \"b\": 2}", "expected a comma or }, found a double quote");
    assert_error("{\"a\": trueish}", "expected a value");
    assert_error("{\"a\": \x01}", "byte 0x01");
    assert_error("{} {}", "expected nothing more after the end of the configuration, found {");
}

Test(syntax, refuses_numbers_that_json_does_not_have)
{
    static const char *const numbers[] = {"01", "+1", ".5", "1.", "-", "1e", "1e+", "1.2.3", "--1", "00"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"a\": %s}", numbers[i]);
        assert_error(text, "a number that JSON does not have");
    }
    char text[128] = "{\"a\": ";
    for (int i = 0; i < 64; i++)
        strcat(text, "1");
    assert_error(strcat(text, "}"), "a number of more than 63 characters");
}

Test(syntax, refuses_strings_that_json_does_not_have)
{
    assert_error("{\"a\": \"x\ny\"}", "column 7: the string that begins here is not closed on its line");
    assert_error("{\"a\": \"x", "column 7: the string that begins here is never closed");
    assert_error("{\"a\": \"\t\"}", "a control character within a string; it is written \\u0009");
    assert_error("{\"a\": \"\\x\"}", "a backslash that escapes nothing");
    assert_error("{\"a\": \"\\", "a backslash that escapes nothing");
    assert_error("{\"a\": \"\\u12g4\"}", "\\u takes four hexadecimal digits");
    assert_error("{\"a\": \"\\u12", "\\u takes four hexadecimal digits");
    assert_error("{\"a\": \"\\u0000\"}", "\\u0000 is not supported in a string");
    assert_error("{\"a\": \"\\ud800\"}", "half of a surrogate pair");
    assert_error("{\"a\": \"\\udc00\"}", "half of a surrogate pair");
    assert_error("{\"a\": \"\\ud800\\u0041\"}", "half of a surrogate pair");
}

Test(syntax, takes_every_escape)
{
    struct config *config =
        parse("{ \"queues\": [{ \"name\": \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\", "
              "\"processor\": \"log\" }] }");
    cr_assert_str_eq(config->queues[0].name, "\"\\/\b\f\n\r\té😀");
    config_destroy(config);
}

Test(syntax, refuses_deep_nesting)
{
    char text[300] = "{\"a\": ";
    for (int i = 0; i < 64; i++)
        strcat(text, "[");
    assert_error(text, "column 70: nested deeper than 64 levels");
}

Test(syntax, says_that_an_empty_text_is_empty)
{
    assert_error("", "test.json: is empty; the least there can be is");
    assert_error(" \n\t\r\n", "test.json: is empty");
}

Test(syntax, wants_an_object)
{
    assert_error("[1]", "test.json:1: expected an object");
    assert_error("\"text\"", "test.json:1: expected an object");
}

Test(syntax, shows_no_more_than_a_character_of_what_may_be_a_password)
{
    struct config_errors errors;
    cr_assert_null(config_parse("{\"amqp\": {\"url\": \"amqp://me:sec\"ret@host/\"}}", TEST_FILE, &errors));
    char *printed = print_errors(&errors);
    cr_assert_null(strstr(printed, "sec"), "printed %s", printed);
    cr_assert_null(strstr(printed, "ret"), "printed %s", printed);
    free(printed);
    config_errors_destroy(&errors);
}
