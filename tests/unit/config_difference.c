/* What counts as a difference between two configurations, and what does not. */
#include "config_testing.h"
#include <config/difference.h>

TestSuite(difference, .init = forget_environment);

static char found[512];

static void note(void *owner, const char *path)
{
    (void)owner;
    snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", *found != '\0' ? " " : "", path);
}

static void assert_differences(const char *before, const char *after, const char *expected)
{
    struct config *first = parse(before), *second = parse(after);
    found[0] = '\0';
    config_differences(first, second, note, NULL);
    cr_assert_str_eq(found, expected);
    config_destroy(first);
    config_destroy(second);
}

static void assert_queue_differences(const char *before, const char *after, const char *expected)
{
    struct config *first = parse(before), *second = parse(after);
    found[0] = '\0';
    config_queue_differences(first, 0, second, 0, note, NULL);
    cr_assert_str_eq(found, expected);
    config_destroy(first);
    config_destroy(second);
}

Test(difference, none_between_two_readings_of_the_same_text)
{
    const char *text = "{ \"log\": { \"level\": \"debug\" }, \"amqp\": { \"heartbeat\": 5 }, \"queues\": [{ "
                       "\"name\": \"orders\", \"processor\": \"log\", \"settings\": { \"a\": [1, {}] } }] }";
    assert_differences(text, text, "");
    assert_queue_differences(text, text, "");
}

Test(difference, none_in_order_or_space_or_empty_objects)
{
    assert_queue_differences(
        WITH_QUEUE_KEYS("\"prefetch\": 3, \"timeout\": \"3s\""),
        WITH_QUEUE_KEYS("\"timeout\" :  \"3s\", \"settings\": {}, \"arguments\": {}, \"prefetch\": 3"), "");
    assert_differences(WITH_KEYS("\"log\": {}"), "{ " ONE_QUEUE " }", "");
}

Test(difference, names_each_key_of_a_section)
{
    assert_differences(
        WITH_KEYS("\"amqp\": { \"heartbeat\": 5, \"reconnect\": { \"min\": 1 } }, \"shutdown_timeout\": 3"),
        WITH_KEYS("\"log\": { \"level\": \"debug\", \"format\": \"json\" }, \"amqp\": { \"heartbeat\": 6 }"),
        "amqp.heartbeat amqp.reconnect.min shutdown_timeout log.level log.format");
}

Test(difference, of_the_whole_file_leaves_the_queues_out)
{
    assert_differences(WITH_QUEUE_KEYS("\"prefetch\": 3"), WITH_QUEUE_KEYS("\"prefetch\": 4"), "");
}

Test(difference, names_each_key_of_a_queue)
{
    assert_queue_differences(
        WITH_QUEUE_KEYS("\"prefetch\": 3, \"concurrency\": 2, \"settings\": { \"password\": \"secret\" }"),
        WITH_QUEUE_KEYS(
            "\"retry\": { \"delay\": 1 }, \"concurrency\": 3, \"settings\": { \"password\": \"other\" "
            "}"),
        "prefetch concurrency settings retry");
}

Test(difference, is_seen_after_the_environment_was_put_in)
{
    setenv("DIFFERENCE_TEST", "here", 1);
    assert_queue_differences(WITH_QUEUE_KEYS("\"dead_letter\": \"${DIFFERENCE_TEST}\""),
                             WITH_QUEUE_KEYS("\"dead_letter\": \"here\""), "");
    assert_queue_differences(WITH_QUEUE_KEYS("\"dead_letter\": \"${DIFFERENCE_TEST}\""),
                             WITH_QUEUE_KEYS("\"dead_letter\": \"there\""), "dead_letter");
}

Test(difference, of_a_list_is_one_whatever_it_holds)
{
    assert_differences(WITH_KEYS("\"processor_path\": [\"a\", \"b\"]"),
                       WITH_KEYS("\"processor_path\": \"a\""), "processor_path");
    assert_queue_differences(WITH_QUEUE_KEYS("\"bindings\": [{ \"exchange\": \"a\" }]"),
                             WITH_QUEUE_KEYS("\"bindings\": [{ \"exchange\": \"b\" }]"), "bindings");
}

Test(difference, finds_the_queue_by_its_index)
{
    struct config *first =
        parse("{ \"queues\": [{ \"name\": \"a\", \"processor\": \"log\" }, { \"name\": \"b\", "
              "\"processor\": \"log\", \"timeout\": 3 }] }");
    struct config *second =
        parse("{ \"queues\": [{ \"name\": \"b\", \"processor\": \"log\", \"timeout\": 4 }] }");
    found[0] = '\0';
    config_queue_differences(first, 1, second, 0, note, NULL);
    cr_assert_str_eq(found, "timeout");
    config_destroy(first);
    config_destroy(second);
}

Test(difference, a_retained_configuration_lives_until_its_last_holder_lets_go)
{
    struct config *config = parse("{ " ONE_QUEUE " }");
    const struct config *held = config_retain(config);
    config_destroy(config);
    cr_assert_str_eq(held->queues[0].name, "orders");
    config_destroy(held);
}
