/* Reading a message's JSON. */
#include "tasks.h"
#include <base/bytes.h>
#include <base/memory.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>
#include <whippet/json.h>
#include <worker/message.h>

TestSuite(message_json, .init = tasks_set_up, .fini = tasks_tear_down);

static whippet_json_value read_json(const char *text)
{
    whippet_json_value value = whippet_json_read(bytes_of_text(text), NULL, NULL);
    cr_assert_neq(value.kind, WHIPPET_JSON_ABSENT, "%s", text);
    return value;
}

static void expect_raw(whippet_json_value value, const char *expected)
{
    cr_expect(bytes_equal_text(value.raw, expected), "%.*s, not %s", (int)value.raw.len,
              (const char *)value.raw.data, expected);
}

static const char ORDER[] = " { \"id\" : 9007199254740993 , \"customer\":{\"address\":[ {\"city\":\"Linz\"}, "
                            "{\"city\":\"Wien\"}]},\"paid\":true,\"note\":null, \"total\" : 12.50} ";

Test(message_json, finds_values_by_name_index_and_path)
{
    whippet_json_value order = read_json(ORDER);
    cr_expect_eq(order.kind, WHIPPET_JSON_OBJECT);
    expect_raw(whippet_json_get(order, "id"), "9007199254740993");
    expect_raw(whippet_json_find(order, "customer.address[0].city"), "\"Linz\"");
    expect_raw(whippet_json_find(order, "customer.address[1]"), "{\"city\":\"Wien\"}");
    expect_raw(whippet_json_find(order, "total"), "12.50");
    cr_expect_eq(whippet_json_find(order, "").kind, WHIPPET_JSON_OBJECT);
    cr_expect_eq(whippet_json_get(order, "note").kind, WHIPPET_JSON_NULL);
    whippet_json_value matrix = read_json("[[1,2],[3,[4]]]");
    expect_raw(whippet_json_find(matrix, "[1][1][0]"), "4");
    expect_raw(whippet_json_at(matrix, 0), "[1,2]");
}

Test(message_json, finds_nothing_where_there_is_nothing)
{
    static const char *const paths[] = {"x",
                                        "customer.x.y",
                                        "customer.address[2]",
                                        "customer[0]",
                                        "id.x",
                                        ".id",
                                        "customer.",
                                        "customer..address",
                                        "customer.address[]",
                                        "customer.address[0",
                                        "customer.address[-1]",
                                        "customer.address[0]city",
                                        "customer.address[99999999999999999999999]",
                                        "]"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        cr_expect_eq(whippet_json_find(read_json(ORDER), paths[i]).kind, WHIPPET_JSON_ABSENT, "%s", paths[i]);
    whippet_json_value absent = {0};
    cr_expect_eq(whippet_json_get(absent, "a").kind, WHIPPET_JSON_ABSENT);
    cr_expect_eq(whippet_json_at(absent, 0).kind, WHIPPET_JSON_ABSENT);
    cr_expect_eq(whippet_json_length(absent), 0);
    cr_expect_not(whippet_json_equals(absent, ""));
}

Test(message_json, iterates_over_members_and_elements)
{
    whippet_json_value cursor = read_json("{ \"a\" : [1, {\"x\":\"}]\\\"\"}] , \"\\u0062\":2 , \"a\":[ ] }");
    whippet_json_value name, value;
    cr_assert(whippet_json_next(&cursor, &name, &value));
    cr_expect(whippet_json_equals(name, "a"));
    expect_raw(value, "[1, {\"x\":\"}]\\\"\"}]");
    cr_expect_eq(whippet_json_length(value), 2);
    cr_assert(whippet_json_next(&cursor, &name, &value));
    cr_expect(whippet_json_equals(name, "b"));
    cr_assert(whippet_json_next(&cursor, NULL, &value));
    cr_expect_eq(whippet_json_length(value), 0);
    cr_expect_not(whippet_json_next(&cursor, &name, &value));
    cr_expect_not(whippet_json_next(&cursor, &name, &value));
    cursor = read_json("[ ]");
    cr_expect_not(whippet_json_next(&cursor, &name, &value));
    cursor = read_json("3");
    cr_expect_not(whippet_json_next(&cursor, &name, &value));
}

Test(message_json, takes_the_last_of_names_that_are_alike)
{
    expect_raw(whippet_json_get(read_json("{\"a\":1,\"\\u0061\":2}"), "a"), "2");
}

Test(message_json, keeps_integers_exactly)
{
    static const struct {
        const char *text;
        bool fits;
        int64_t value;
    } cases[] = {
        {"9007199254740993", true, 9007199254740993},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"-0", true, 0},
        {"1.0", false, 0},
        {"1e3", false, 0},
        {"\"1\"", false, 0},
        {"true", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = 77;
        cr_expect_eq(whippet_json_integer(read_json(cases[i].text), &value), cases[i].fits, "%s",
                     cases[i].text);
        cr_expect_eq(value, cases[i].fits ? cases[i].value : 77, "%s: %ld", cases[i].text, (long)value);
    }
}

Test(message_json, gives_numbers_and_booleans_where_they_fit)
{
    double real = 7;
    bool boolean = false;
    cr_expect(whippet_json_real(read_json("-12.5e1"), &real));
    cr_expect_eq(real, -125);
    cr_expect_not(whippet_json_real(read_json("1e999"), &real));
    cr_expect_not(whippet_json_real(read_json("\"1\""), &real));
    cr_expect_eq(real, -125, "it is left as it was");
    cr_expect(whippet_json_boolean(read_json("true"), &boolean) && boolean);
    cr_expect(whippet_json_boolean(read_json("false"), &boolean) && !boolean);
    cr_expect_not(whippet_json_boolean(read_json("1"), &boolean));
}

Test(message_json, gives_numbers_of_any_length)
{
    char text[2000] = "0.";
    double real = 0;
    memset(text + 2, '3', sizeof text - 3);
    cr_expect(whippet_json_real(read_json(text), &real));
    cr_expect_float_eq(real, 1.0 / 3, DBL_EPSILON);
    memory_permit = tasks_deny;
    cr_expect_not(whippet_json_real(read_json(text), &real));
    memory_permit = NULL;
}

static int reads_texts(whippet_task *task, void *arg)
{
    whippet_json_value plain = read_json("\"plain\""),
                       escaped = read_json("\"\\u00fc\\ud83d\\ude00\\n\\/\\\\\""),
                       nul = read_json("\"ab\\u0000cd\"");
    (void)arg;
    whippet_bytes text = whippet_json_text(task, plain);
    cr_expect_eq((const char *)text.data, (const char *)plain.raw.data + 1, "it is not copied");
    cr_expect(bytes_equal_text(text, "plain"));
    cr_expect(bytes_equal_text(whippet_json_text(task, escaped), "\xc3\xbc\xf0\x9f\x98\x80\n/\\"));
    cr_expect(bytes_equal(whippet_json_text(task, nul), bytes_of("ab\0cd", 5)), "it is not cut");
    cr_expect_str_eq(whippet_json_string(task, escaped), "\xc3\xbc\xf0\x9f\x98\x80\n/\\");
    cr_expect_str_eq(whippet_json_string(task, read_json("\"\"")), "");
    cr_expect_null(whippet_json_string(task, nul), "a C string would end early");
    cr_expect_not(whippet_json_equals(nul, "ab"));
    cr_expect_null(whippet_json_text(task, read_json("1")).data);
    cr_expect_null(whippet_json_string(task, read_json("null")));
    memory_permit = tasks_deny;
    char long_text[3000];
    memset(long_text, 'n', sizeof long_text);
    memcpy(long_text, "\"\\n", 3);
    memcpy(long_text + sizeof long_text - 2, "\"", 2);
    cr_expect_null(whippet_json_text(task, read_json(long_text)).data);
    cr_expect_null(whippet_json_string(task, read_json(long_text)));
    memory_permit = NULL;
    return 0;
}

Test(message_json, resolves_escapes_and_never_cuts_a_string)
{
    int result;
    start(reads_texts, NULL, &result);
}

Test(message_json, compares_strings_without_copying_them)
{
    cr_expect(whippet_json_equals(read_json("\"\\u00e4b\""), "\xc3\xa4"
                                                             "b"));
    cr_expect_not(whippet_json_equals(read_json("\"ab\""), "a"));
    cr_expect_not(whippet_json_equals(read_json("\"a\""), "ab"));
    cr_expect_not(whippet_json_equals(read_json("[\"a\"]"), "a"));
}

static struct whippet_message message_of(const char *body)
{
    struct message *content =
        message_create((whippet_bytes){0}, (whippet_bytes){0}, bytes_of("\0\0", 2), strlen(body));
    memcpy(message_body_storage(content), body, strlen(body));
    return (struct whippet_message){.content = content, .queue = "orders"};
}

static int reads_a_body_that_is_not_json(whippet_task *task, void *arg)
{
    struct whippet_message message = message_of("{\n  \"a\": 1\n  \"b\": 2 }");
    (void)arg;
    cr_expect_eq(whippet_json(&message).kind, WHIPPET_JSON_ABSENT);
    cr_expect_eq(whippet_json(&message).kind, WHIPPET_JSON_ABSENT);
    const char *error = whippet_json_error(task, &message);
    cr_expect_str_eq(error, "the body is not JSON: expected ',' or '}' at line 3, column 3 (byte 13)", "%s",
                     error);
    message_destroy(message.content);
    message = message_of("");
    cr_expect_str_eq(whippet_json_error(task, &message),
                     "the body is not JSON: empty at line 1, column 1 (byte 0)");
    message_destroy(message.content);
    return 0;
}

Test(message_json, says_where_the_body_is_not_json)
{
    int result;
    start(reads_a_body_that_is_not_json, NULL, &result);
}

static int reads_a_body(whippet_task *task, void *arg)
{
    struct whippet_message message = message_of("\xef\xbb\xbf {\"a\":[1]} ");
    (void)arg;
    expect_raw(whippet_json(&message), "{\"a\":[1]}");
    cr_expect_eq(message.json, JSON_SOUND, "it is not checked again");
    expect_raw(whippet_json_find(whippet_json(&message), "a[0]"), "1");
    cr_expect_str_eq(whippet_json_error(task, &message), "");
    message_destroy(message.content);
    return 0;
}

Test(message_json, is_the_body_when_that_is_json)
{
    int result;
    start(reads_a_body, NULL, &result);
}

Test(message_json, reads_any_text_and_says_what_is_wrong)
{
    size_t offset = 0;
    const char *problem = NULL;
    cr_expect_eq(whippet_json_read(bytes_of_text("[1,"), &offset, &problem).kind, WHIPPET_JSON_ABSENT);
    cr_expect_eq(offset, 3);
    cr_expect_str_eq(problem, "expected a value");
}
