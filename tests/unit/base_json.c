/* What counts as JSON, and where a text stops being it. */
#include <base/bytes.h>
#include <base/json.h>
#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(json);

static bool is_json(const char *text)
{
    struct json_problem problem;
    return json_check(bytes_of_text(text), &problem);
}

/* The text is in memory of exactly its size, so that a sanitizer sees a byte too many. */
static void assert_wrong(const char *text, size_t length, const char *expected, size_t offset)
{
    struct json_problem problem = {0};
    char *copy = malloc(length > 0 ? length : 1);
    memcpy(copy, text, length);
    cr_assert_not(json_check(bytes_of(copy, length), &problem), "\"%.*s\" passed", (int)length, text);
    cr_expect_str_eq(problem.text, expected, "\"%.*s\": %s, not %s", (int)length, text, problem.text,
                     expected);
    cr_expect_eq(problem.offset, offset, "\"%.*s\": at %zu, not %zu", (int)length, text, problem.offset,
                 offset);
    free(copy);
}

static void assert_problem(const char *text, const char *expected, size_t offset)
{
    assert_wrong(text, strlen(text), expected, offset);
}

Test(json, is_one_value_of_any_kind)
{
    static const char *const texts[] = {"{}",
                                        "[]",
                                        "\"\"",
                                        "0",
                                        "-0",
                                        "-1.5e+10",
                                        "1E5",
                                        "true",
                                        "false",
                                        "null",
                                        " \t\r\n[ 1 , 2 ]\n",
                                        "{\"a\":{\"b\":[{},[],\"c\"]},\"a\":2}",
                                        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\ud83d\\udE00\"",
                                        "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"",
                                        "\xef\xbb\xbf{}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        cr_expect(is_json(texts[i]), "%s", texts[i]);
}

Test(json, says_where_the_structure_is_wrong)
{
    assert_problem("", "empty", 0);
    assert_problem("  ", "expected a value", 2);
    assert_problem("<html>", "expected a value", 0);
    assert_problem("{\"a\":1,}", "expected a name in quotes", 7);
    assert_problem("{a:1}", "expected a name in quotes", 1);
    assert_problem("{\"a\" 1}", "expected ':'", 5);
    assert_problem("{\"a\":1 \"b\":2}", "expected ',' or '}'", 7);
    assert_problem("[1,]", "expected a value", 3);
    assert_problem("[1 2]", "expected ',' or ']'", 3);
    assert_problem("[1}", "expected ',' or ']'", 2);
    assert_problem("[1", "expected ',' or ']'", 2);
    assert_problem("{\"a\":", "expected a value", 5);
    assert_problem("{", "expected a name in quotes", 1);
    assert_problem("[", "expected a value", 1);
    assert_problem("{} {}", "expected nothing more after the value", 3);
    assert_problem("'a'", "expected a value", 0);
    assert_problem("[1,2] // comment", "expected nothing more after the value", 6);
}

Test(json, says_where_a_number_or_word_is_wrong)
{
    assert_problem("01", "a number must not begin with 0", 1);
    assert_problem("-", "expected a digit", 1);
    assert_problem("1.", "expected a digit", 2);
    assert_problem("1.e1", "expected a digit", 2);
    assert_problem("1e", "expected a digit", 2);
    assert_problem(".5", "expected a value", 0);
    assert_problem("+1", "expected a value", 0);
    assert_problem("NaN", "expected a value", 0);
    assert_problem("nul", "expected a value", 0);
    assert_problem("trueish", "expected nothing more after the value", 4);
}

Test(json, says_where_a_string_is_wrong)
{
    assert_problem("\"a", "the string does not end", 2);
    assert_problem("\"a\\\"", "the string does not end", 4);
    assert_problem("\"a\nb\"", "a control character that is not escaped", 2);
    assert_problem("\"\\x\"", "an escape that JSON does not have", 2);
    assert_problem("\"\\u12G4\"", "expected four hexadecimal digits", 5);
    assert_problem("\"\\ud800\"", "half a surrogate pair", 1);
    assert_problem("\"\\udc00\"", "half a surrogate pair", 1);
    assert_problem("\"\\ud800\\u0041\"", "half a surrogate pair", 1);
    assert_problem("\"\xff\"", "not valid UTF-8", 1);
    assert_problem("\"\xc0\xaf\"", "not valid UTF-8", 1);
    assert_problem("\"\xed\xa0\x80\"", "not valid UTF-8", 1);
    assert_wrong("\"\xc3", 2, "not valid UTF-8", 1);
    assert_wrong("\"\0\"", 3, "a control character that is not escaped", 1);
    assert_wrong("\"\\\0\"", 4, "an escape that JSON does not have", 2);
    assert_wrong("{}\0", 3, "expected nothing more after the value", 2);
}

static char *nested(size_t depth, bool objects, size_t *length)
{
    size_t each = objects ? 5 : 1;
    char *text = malloc(depth * (each + 1) + 1);
    for (size_t i = 0; i < depth; i++)
        memcpy(text + i * each, objects ? "{\"a\":" : "[", each);
    *length = depth * each;
    text[(*length)++] = '1';
    for (size_t i = 0; i < depth; i++)
        text[(*length)++] = objects ? '}' : ']';
    return text;
}

Test(json, may_be_512_deep_and_no_more)
{
    for (int objects = 0; objects <= 1; objects++) {
        size_t length;
        struct json_problem problem;
        char *text = nested(JSON_DEPTH_LIMIT, objects, &length);
        cr_expect(json_check(bytes_of(text, length), &problem));
        free(text);
        text = nested(JSON_DEPTH_LIMIT + 1, objects, &length);
        cr_expect_not(json_check(bytes_of(text, length), &problem));
        cr_expect_str_eq(problem.text, "nested more than 512 deep");
        free(text);
        text = nested(100000, objects, &length);
        cr_expect_not(json_check(bytes_of(text, length), &problem));
        cr_expect_eq(problem.offset, objects ? 5 * JSON_DEPTH_LIMIT : JSON_DEPTH_LIMIT);
        free(text);
    }
}

/* Each beginning of a text is checked without reading beyond it, and only the whole of it passes. */
Test(json, is_never_read_beyond_its_end)
{
    static const char text[] = "{\"a\":[1.5e-3,\"\\u00e4\\ud83d\\ude00\xc3\xa4\",{\"b\":[true,false,null]}]}";
    for (size_t length = 0; length < sizeof text; length++) {
        struct json_problem problem;
        char *copy = malloc(length > 0 ? length : 1);
        memcpy(copy, text, length);
        cr_expect_eq(json_check(bytes_of(copy, length), &problem), length == sizeof text - 1, "%zu bytes",
                     length);
        free(copy);
    }
}
