#include "../../src/config/expand.h"
#include "config_testing.h"
#include <cjson/cJSON.h>

static void setup(void)
{
    forget_environment();
    unsetenv("TEST_UNSET");
    setenv("TEST_EMPTY", "", 1);
    setenv("TEST_NAME", "orders", 1);
    setenv("TEST_NUMBER", "8", 1);
}

TestSuite(expansion, .init = setup);

static void assert_name(const char *written, const char *expected)
{
    char text[512];
    snprintf(text, sizeof text, "{ \"queues\": [{ \"name\": \"%s\", \"processor\": \"log\" }] }", written);
    struct config *config = parse(text);
    cr_assert_str_eq(config->queues[0].name, expected, "%s became %s", written, config->queues[0].name);
    config_destroy(config);
}

Test(expansion, takes_a_variable)
{
    assert_name("${TEST_NAME}", "orders");
    assert_name("my-${TEST_NAME}.v${TEST_NUMBER}", "my-orders.v8");
}

Test(expansion, takes_the_default_of_a_variable_that_is_unset_or_empty)
{
    assert_name("${TEST_UNSET:-emails}", "emails");
    assert_name("${TEST_EMPTY:-emails}", "emails");
    assert_name("${TEST_NAME:-emails}", "orders");
    assert_name("a${TEST_UNSET:-}b", "ab");
    assert_name("${TEST_UNSET:-a:-b-$c}", "a:-b-$c");
}

Test(expansion, leaves_an_empty_variable_empty)
{
    assert_name("x${TEST_EMPTY}", "x");
}

Test(expansion, writes_a_dollar_twice)
{
    assert_name("$${TEST_NAME}", "${TEST_NAME}");
    assert_name("a$$b", "a$b");
    assert_name("a$$$${x}", "a$${x}");
}

Test(expansion, leaves_a_dollar_without_a_brace_alone)
{
    assert_name("^a$", "^a$");
    assert_name("$TEST_NAME", "$TEST_NAME");
}

Test(expansion, does_not_expand_what_came_out_of_a_variable)
{
    setenv("TEST_NAME", "${TEST_NUMBER} $$", 1);
    assert_name("${TEST_NAME}", "${TEST_NUMBER} $$");
}

Test(expansion, leaves_keys_alone)
{
    assert_error("{ \"${TEST_NAME}\": 1, " ONE_QUEUE " }", "${TEST_NAME}: unknown key");
}

Test(expansion, reaches_settings_and_lists)
{
    struct config *config = parse(WITH_QUEUE_KEYS("\"settings\": { \"a\": [\"${TEST_NAME}\"] }"));
    struct config *same = parse(WITH_KEYS("\"processor_path\": [\"/x/${TEST_NAME}\"]"));
    cr_assert_str_eq(same->processor_path[0], "/x/orders");
    config_destroy(same);
    config_destroy(config);
}

Test(expansion, of_an_unset_variable_is_an_error_that_names_it)
{
    assert_errors("{\n\"queues\": [{ \"name\": \"a\",\n\"processor\": \"${TEST_UNSET}\" }]}",
                  "3: queues[0].processor: the environment variable TEST_UNSET is not set; set it, or write "
                  "${TEST_UNSET:-default}\n");
}

Test(expansion, that_is_not_of_the_form_is_an_error)
{
    assert_error(WITH_KEYS("\"processor_path\": \"${TEST_NAME\""), "processor_path: a ${ without its }");
    assert_error(WITH_KEYS("\"processor_path\": \"${A:-${B}}\""), "a ${…} within another");
    static const char *const wrong[] = {"${}",    "${1A}",  "${A-b}", "${A:b}",
                                        "${A b}", "${:-b}", "${A:}",  "${é}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, WITH_KEYS("\"processor_path\": \"%s\""), wrong[i]);
        assert_error(text, "a ${…} that is not of the form ${NAME} or ${NAME:-default}");
    }
}

Test(expansion, to_bytes_that_are_not_utf8_is_an_error)
{
    setenv("TEST_NAME", "caf\xe9", 1);
    assert_error(WITH_KEYS("\"processor_path\": \"${TEST_NAME}\""),
                 "TEST_NAME holds bytes that are not UTF-8");
}

Test(expansion, that_fails_is_the_only_error_of_its_value)
{
    assert_error(WITH_QUEUE_KEYS("\"concurrency\": \"${TEST_UNSET}\", \"prefetch\": 3"),
                 "TEST_UNSET is not set");
}

Test(expansion, may_stand_where_a_number_or_another_kind_is_expected)
{
    setenv("TEST_TRUE", "true", 1);
    struct config *config = parse(WITH_QUEUE_KEYS(
        "\"concurrency\": \"${TEST_NUMBER}\", \"exclusive\": \"${TEST_TRUE}\", \"type\": "
        "\"${TEST_UNSET:-CLASSIC}\", "
        "\"timeout\": \"${TEST_NUMBER}\", \"max_message_size\": \"${TEST_NUMBER}KiB\", \"priority\": "
        "\"${TEST_UNSET:--3}\", \"retry\": { \"jitter\": \"${TEST_UNSET:-0.5}\", \"delay\": "
        "\"${TEST_NUMBER}ms\" }"));
    const struct queue_config *queue = &config->queues[0];
    cr_assert_eq(queue->concurrency, 8);
    cr_assert(queue->exclusive);
    cr_assert_eq(queue->type, QUEUE_TYPE_CLASSIC);
    cr_assert_eq(queue->timeout, 8);
    cr_assert_eq(queue->max_message_size, 8192);
    cr_assert_eq(queue->priority, -3);
    cr_assert_eq(queue->retry.jitter, 0.5);
    cr_assert_eq(queue->retry.delay, 0.008);
    config_destroy(config);
}

static const cJSON *argument(const cJSON *arguments, const char *name)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(arguments, name);
    cr_assert_not_null(found, "there is no %s", name);
    return found;
}

Test(expansion, is_a_number_or_a_boolean_among_the_arguments_of_a_queue)
{
    setenv("TEST_TRUE", "true", 1);
    struct config *config = parse(WITH_QUEUE_KEYS(
        "\"arguments\": { \"x-max-length\": \"${TEST_NUMBER}\", \"x-single-active-consumer\": "
        "\"${TEST_TRUE}\", "
        "\"x-overflow\": \"${TEST_UNSET:-drop-head}\", \"x-as-it-is\": \"8\", "
        "\"x-dead-letter-routing-key\": \"${TEST_NUMBER}\" }, "
        "\"consume_arguments\": { \"x-list\": [\"${TEST_UNSET:--1.5}\"] }, "
        "\"bindings\": [{ \"exchange\": \"e\", \"arguments\": { \"size\": \"${TEST_NUMBER}\" } }]"));
    const struct queue_config *queue = &config->queues[0];
    const cJSON *length = argument(queue->arguments, "x-max-length");
    cr_assert(cJSON_IsNumber(length));
    cr_assert_eq(length->valuedouble, 8);
    cr_assert(cJSON_IsTrue(argument(queue->arguments, "x-single-active-consumer")));
    cr_assert_str_eq(argument(queue->arguments, "x-overflow")->valuestring, "drop-head");
    cr_assert(cJSON_IsString(argument(queue->arguments, "x-as-it-is")));
    cr_assert(cJSON_IsString(argument(queue->arguments, "x-dead-letter-routing-key")));
    const cJSON *list = argument(queue->consume_arguments, "x-list");
    cr_assert_eq(cJSON_GetArrayItem(list, 0)->valuedouble, -1.5);
    cr_assert(cJSON_IsString(argument(queue->bindings[0].arguments, "size")));
    config_destroy(config);
}

Test(expansion, of_an_argument_is_checked_as_what_it_is)
{
    setenv("TEST_LARGE", "1e300", 1);
    assert_error(WITH_QUEUE_KEYS("\"arguments\": { \"x-max-length\": \"${TEST_LARGE}\" }"),
                 "a number beyond 2^53");
    setenv("TEST_LIMIT", "3", 1);
    assert_error(WITH_QUEUE_KEYS("\"arguments\": { \"x-delivery-limit\": \"${TEST_LIMIT}\" }"),
                 "queues[0].arguments.x-delivery-limit: 3 is below the 5 attempts");
    setenv("TEST_LIMIT", "60000", 1);
    assert_error(
        WITH_QUEUE_KEYS("\"arguments\": { \"x-consumer-timeout\": \"${TEST_LIMIT}\" }"),
        "an attempt may take 5m, and the broker takes a message away that is unacknowledged for longer than "
        "1m");
}

Test(expansion, is_what_makes_a_string_a_number)
{
    assert_error(WITH_QUEUE_KEYS("\"concurrency\": \"8\""), "expected a whole number, found \"8\"");
    assert_error(WITH_QUEUE_KEYS("\"exclusive\": \"true\""), "expected true or false, found \"true\"");
    assert_error(WITH_KEYS("\"log\": { \"level\": \"INFO\" }"), "found \"INFO\"");
    assert_error(WITH_QUEUE_KEYS("\"concurrency\": \"$$8\""), "expected a whole number, found \"$8\"");
}

Test(expansion, to_something_else_than_expected_is_an_error_that_says_where_it_came_from)
{
    assert_error(WITH_QUEUE_KEYS("\"concurrency\": \"${TEST_NAME}\""),
                 "expected a whole number, found \"orders\" (out of ${…})");
    static const char *const wrong[] = {"", " 8", "8 ", "0x8", "+8", "8.5", "1e999", "nan", "inf"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        setenv("TEST_NUMBER", wrong[i], 1);
        assert_error(WITH_QUEUE_KEYS("\"concurrency\": \"${TEST_NUMBER}\""),
                     "queues[0].concurrency: expected a whole number");
    }
}

static size_t taken; /* bytes, in one piece */
static unsigned pieces;

static bool count_pieces(size_t size)
{
    taken = size;
    pieces++;
    return true;
}

/* What is grown into leaves copies behind that nobody wipes. */
Test(expansion, leaves_no_copy_of_a_secret_behind)
{
    char secret[2000];
    struct expansion expansion;
    struct whippet_failure failure;
    memset(secret, 's', sizeof secret - 1);
    secret[sizeof secret - 1] = '\0';
    setenv("TEST_SECRET", secret, 1);
    memory_permit = count_pieces;
    cr_assert_eq(expand("${TEST_SECRET}$$${TEST_SECRET}", &expansion, &failure), 0);
    memory_permit = NULL;
    cr_expect_eq(pieces, 1);
    cr_expect_eq(taken, 2 * strlen(secret) + sizeof "$");
    cr_expect_eq(strlen(expansion.text) + 1, taken);
    memory_free(expansion.text);
}
