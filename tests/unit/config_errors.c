#include "config_testing.h"

static void setup(void)
{
    forget_environment();
}

TestSuite(errors, .init = setup);

Test(errors, are_all_found_at_once_in_the_order_of_their_lines)
{
    assert_errors(
        "{\n"
        "  \"log\": { \"level\": \"loud\" },\n"
        "  \"queues\": [\n"
        "    { \"name\": \"orders\", \"processor\": \"log\",\n"
        "      \"retry\": { \"attempts\": 0,\n"
        "                 \"delay\": true } },\n"
        "    { \"name\": \"\" }\n"
        "  ],\n"
        "  \"amqp\": { \"url\": \"amqp://host:x\", \"heartbeat\": -1 }\n"
        "}\n",
        "2: log.level: expected \"debug\", \"info\", \"warning\", \"warn\" or \"error\", found \"loud\"\n"
        "5: queues[0].retry.attempts: expected a whole number from 1 to 1000, found 0\n"
        "6: queues[0].retry.delay: expected a duration such as \"3s\", \"250ms\", \"5m\" or a number of "
        "seconds, found true\n"
        "7: queues[1].name: must not be empty\n"
        "7: queues[1].processor: is missing, but required\n"
        "9: amqp.url: the port is not a number from 1 to 65535; if it is part of the password, write a / "
        "within that as %2F\n"
        "9: amqp.heartbeat: expected a duration such as \"3s\", \"250ms\", \"5m\" or a number of seconds, "
        "found -1\n");
}

Test(errors, name_the_line_of_the_key)
{
    assert_errors("{\n\n\"queues\":\n[\n{\n\"name\":\n\"a\",\n\"processor\":\n5\n}\n]\n}",
                  "8: queues[0].processor: expected a string, found a number\n");
}

Test(errors, name_the_line_of_a_list_entry)
{
    assert_errors("{ \"queues\": [\n{ \"name\": \"]\\\"}\", \"processor\": \"a\" },\n  7 ] }",
                  "3: queues[1]: expected an object with \"name\" and \"processor\", found 7\n");
}

Test(errors, say_that_a_key_is_given_twice_and_where)
{
    assert_errors("{ " ONE_QUEUE
                  ",\n\"stack_size\": 65536,\n\"stack_size\": 65536,\n\"stack_\\u0073ize\": 65536 }",
                  "3: stack_size: is given twice, first on line 2; keep one of them\n"
                  "4: stack_size: is given twice, first on line 2; keep one of them\n");
    assert_error(WITH_QUEUE_KEYS("\"settings\": { \"a\": [{ \"b\": 1, \"b\": 2 }] }"),
                 "queues[0].settings.a[0].b: is given twice");
}

Test(errors, of_a_key_that_is_given_twice_are_those_of_the_first)
{
    static const char *const texts[] = {
        "{ " ONE_QUEUE ", \"queues\": [{}, {}, 3] }",
        WITH_KEYS("\"amqp\": { \"url\": \"amqp://a\", \"url\": [1, 2, 3] }"),
        WITH_KEYS("\"processor_path\": \"a\", \"processor_path\": [1, 2]"),
        WITH_QUEUE_KEYS("\"bindings\": [], \"bindings\": [{}, {}]"),
        WITH_QUEUE_KEYS("\"retry\": {}, \"retry\": { \"attempts\": 0 }"),
        WITH_QUEUE_KEYS("\"prefetch\": 64, \"prefetch\": 1"),
        WITH_QUEUE_KEYS("\"settings\": {}, \"settings\": { \"a\": 1, \"a\": \"${\" }"),
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_error(texts[i], "is given twice, first on line 1; keep one of them");
}

Test(errors, suggest_what_an_unknown_key_was_meant_to_be)
{
    assert_error(WITH_KEYS("\"qeues\": []"), ":1: qeues: unknown key; did you mean \"queues\"?");
    assert_error(WITH_QUEUE_KEYS("\"concurency\": 3"),
                 "queues[0].concurency: unknown key; did you mean \"concurrency\"?");
    assert_error(WITH_QUEUE_KEYS("\"retry\": { \"max-delay\": 3 }"), "did you mean \"max_delay\"?");
    assert_error(WITH_KEYS("\"amqp\": { \"uri\": \"x\" }"), "did you mean \"url\"?");
}

Test(errors, list_the_keys_there_are_when_none_is_near)
{
    assert_error(
        WITH_KEYS("\"zzz\": 1"),
        "zzz: unknown key; the keys here are amqp, queues, processor_path, max_tasks, threads, stack_size, "
        "shutdown_timeout, state_dir, stall_limit, admin, management, log, $schema\n");
    assert_error(WITH_KEYS("\"log\": { \"colour\": true }"),
                 "log.colour: unknown key; the keys here are level, format\n");
}

Test(errors, quote_keys_that_are_not_plain)
{
    assert_error(WITH_KEYS("\"a.b \\\"c\\\\\": 1"), "[\"a.b \\\"c\\\\\"]: unknown key");
    assert_error(WITH_KEYS("\"\": 1"), "[\"\"]: unknown key");
}

Test(errors, keep_control_characters_from_the_terminal)
{
    assert_error(WITH_KEYS("\"a\\u001b[31m\\u009b\": 1"), "a?[31m?");
    assert_error(WITH_KEYS("\"log\": { \"level\": \"\\n\\u007f\" }"), "found \"??\"");
}

Test(errors, cut_what_is_too_long)
{
    static char text[2000];
    char key[1001];
    memset(key, 'k', 1000);
    key[1000] = '\0';
    snprintf(text, sizeof text, WITH_KEYS("\"%s\": 1"), key);
    assert_error(text, "kkkk…: unknown key");
    snprintf(text, sizeof text, WITH_KEYS("\"log\": { \"level\": \"%s\" }"), key);
    assert_error(text, "kkkk…\"\n");
}

Test(errors, end_somewhere)
{
    char *text = malloc(100000);
    strcpy(text, "{\n");
    for (int i = 0; i < 1500; i++)
        sprintf(text + strlen(text), "\"zz%d\": 1,\n", i);
    strcat(text, ONE_QUEUE "}");
    struct config_errors errors;
    cr_assert_null(config_parse(text, TEST_FILE, &errors));
    cr_assert_eq(errors.count, 1001, "%zu errors", errors.count);
    cr_assert_str_eq(errors.items[0].text, "there are more errors than are shown here");
    cr_assert_eq(errors.items[1].line, 2);
    cr_assert_eq(errors.items[1000].line, 1001);
    config_errors_destroy(&errors);
    free(text);
}

static struct config *config;
static struct config_errors later;

static int line_of(const char *path)
{
    config_errors_add(&later, config, path, "x");
    int line = 0;
    for (size_t i = 0; i < later.count; i++) {
        if (strcmp(later.items[i].path, path) == 0)
            line = later.items[i].line;
    }
    return line;
}

Test(errors, that_are_found_later_take_their_lines_from_their_paths)
{
    config = parse("{ \"queues\": [\n"
                   "{ \"name\": \"a\", \"processor\": \"log\" },\n"
                   "{ \"name\": \"b\",\n"
                   "  \"processor\": \"exec\",\n"
                   "  \"settings\": {\n"
                   "    \"command\": [\"x\", \"}\",\n"
                   "      \"y\"],\n"
                   "    \"a.b\": { \"c\\\"]\": \n"
                   "      { \"d\": 1 } },\n"
                   "    \"e\\u0066\": [[1], [2,\n"
                   "3]] } }\n"
                   "] }");
    cr_assert_eq(line_of("queues[1].settings.command"), 6);
    cr_assert_eq(line_of("queues[1].settings.command[2]"), 7);
    cr_assert_eq(line_of("queues[1].settings[\"a.b\"]"), 8);
    cr_assert_eq(line_of("queues[1].settings[\"a.b\"][\"c\\\"]\"].d"), 9);
    cr_assert_eq(line_of("queues[1].settings.ef[1][1]"), 11);
    cr_assert_eq(line_of("queues[1].processor"), 4);
    cr_assert_eq(line_of("queues[0]"), 2);
    config_errors_destroy(&later);
    config_destroy(config);
}

Test(errors, about_what_is_missing_take_the_line_of_what_it_is_missing_from)
{
    config = parse("{ \"queues\": [\n{ \"name\": \"a\",\n \"processor\": \"log\",\n\"settings\": {} }] }");
    cr_assert_eq(line_of("queues[0].settings.command"), 4);
    cr_assert_eq(line_of("queues[0].dead_letter"), 2);
    cr_assert_eq(line_of("queues[7]"), 1);
    cr_assert_eq(line_of("log.level"), 1);
    cr_assert_eq(line_of(""), 1);
    cr_assert_eq(line_of("queues[0"), 1);
    cr_assert_eq(line_of("queues[\"x"), 1);
    cr_assert_eq(line_of("queues[]"), 1);
    cr_assert_eq(line_of("queues[99999999999999999999]"), 1);
    cr_assert_eq(line_of("..."), 1);
    config_errors_destroy(&later);
    config_destroy(config);
}

Test(errors, that_are_found_later_are_sorted_in)
{
    config = parse("{ \"queues\": [\n{ \"name\": \"a\",\n \"processor\": \"log\" }] }");
    config_errors_add(&later, config, "queues[0].processor", "there is no processor called \"%s\"", "log");
    config_errors_add(&later, config, "queues[0]", "first");
    char *printed = print_errors(&later);
    cr_assert_str_eq(printed, TEST_FILE ":2: queues[0]: first\n" TEST_FILE
                                        ":3: queues[0].processor: there is no processor called \"log\"\n");
    free(printed);
    config_errors_destroy(&later);
    config_destroy(config);
}

Test(errors, may_be_destroyed_twice)
{
    struct config_errors errors;
    cr_assert_null(config_parse("", TEST_FILE, &errors));
    config_errors_destroy(&errors);
    config_errors_destroy(&errors);
    cr_assert_eq(errors.count, 0);
}
