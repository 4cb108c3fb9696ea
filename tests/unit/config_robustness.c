#include "config_testing.h"
#include <fcntl.h>
#include <unistd.h>

static const char good[] =
    "{\n"
    "  \"$schema\": \"whippet.schema.json\",\n"
    "  \"amqp\": { \"url\": [\"amqp://me:${TEST_PASSWORD:-x}@[::1]:5673/v%2Fw\", \"amqp://localhost/\"], "
    "\"heartbeat\": \"20s\",\n"
    "    \"connect_timeout\": 2.5, \"reconnect\": { \"min\": \"500ms\", \"max\": \"30s\" } },\n"
    "  \"queues\": [\n"
    "    { \"name\": \"orders\", \"processor\": \"log\", \"settings\": { \"a\": [1, null, \"caf\\u00e9 "
    "\\ud83d\\ude00\"], \"b\": {} },\n"
    "      \"declare\": \"create\", \"type\": \"classic\", \"arguments\": { \"x-max-length\": 1e3 }, "
    "\"exclusive\": true,\n"
    "      \"bindings\": [{ \"exchange\": \"shop\", \"exchange_type\": \"topic\", \"routing_key\": \"#\", "
    "\"arguments\": {} }],\n"
    "      \"concurrency\": 4, \"prefetch\": 10, \"priority\": -7, \"consume_arguments\": { \"x-y\": false } "
    "},\n"
    "    { \"name\": \"emails\", \"processor\": \"./exec.so\", \"timeout\": \"30s\", \"dead_letter\": "
    "\"bad\",\n"
    "      \"retry\": { \"attempts\": 3, \"delay\": \"1s\", \"backoff\": \"exponential\", \"max_delay\": "
    "\"1m\", \"jitter\": 0.25 },\n"
    "      \"on_failure\": \"dead-letter\", \"max_message_size\": \"1MiB\" }\n"
    "  ],\n"
    "  \"stack_size\": \"128KiB\", \"processor_path\": [\"a\", \"/b\"], \"shutdown_timeout\": \"1m\",\n"
    "  \"log\": { \"level\": \"debug\", \"format\": \"json\" }\n"
    "}\n";

static void setup(void)
{
    forget_environment();
}

TestSuite(robustness, .init = setup);

/* Whatever the text: a configuration and no error, or none and at least one that can be printed. */
static bool check(const char *text)
{
    struct config_errors errors;
    struct config *config = config_parse(text, TEST_FILE, &errors);
    cr_assert_eq(config != NULL, errors.count == 0, "a configuration: %d, errors: %zu, of\n%s",
                 config != NULL, errors.count, text);
    for (size_t i = 0; i < errors.count; i++)
        cr_assert(errors.items[i].text[0] != '\0' &&
                  (i == 0 || errors.items[i - 1].line <= errors.items[i].line));
    char *printed = print_errors(&errors);
    /* What cJSON would refuse of a text that we found to be right would look like this. */
    cr_assert_null(strstr(printed, "not enough memory"), "%s", text);
    free(printed);
    config_errors_destroy(&errors);
    config_destroy(config);
    return config != NULL;
}

static size_t random_below(size_t limit)
{
    return (size_t)rand() % limit;
}

/* Pieces that lead further into the parser than random bytes do. */
static const char *const pieces[] = {
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "\\",
    "\\u0041",
    "\\ud800",
    "//",
    "/*",
    "'",
    "null",
    "true",
    "1e999",
    "-1",
    "0",
    "1.5",
    "\"3s\"",
    "${",
    "${A",
    "}",
    "$$",
    "é",
    "\xff",
    "\n",
    "\x01",
    "amq.",
    "amqp:",
    "@",
    "%2",
    "[]",
    "{}",
    "\"\"",
    "9007199254740993",
    "99",
    "\t",
    "queues",
    "name",
    "\"name\": \"x\",",
    "amqp://a:b@c/d",
    "\"retry\": {}",
    "\"queues\": [{}, {}, {}],",
    "\"bindings\": [{}, {}, {}],",
    "\"url\": [1, 2, 3],",
    "quorum",
    "exponential",
    " ",
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Puts `inserted` bytes at an offset in the place of `removed` others, unless that makes it too long. */
static void replace(char *text, size_t size, size_t at, size_t removed, const char *data, size_t inserted)
{
    size_t length = strlen(text);
    if (length - removed + inserted >= size)
        return;
    memmove(text + at + inserted, text + at + removed, length - at - removed + 1);
    memcpy(text + at, data, inserted);
}

/* Removes a little, puts in a piece, or repeats a part of the text elsewhere. */
static void mutate(char *text, size_t size)
{
    char part[200];
    size_t length = strlen(text);
    size_t at = random_below(length + 1), from = random_below(length + 1);
    size_t removed = least(random_below(random_below(8) == 0 ? 40 : 4), length - at);
    const char *piece = pieces[random_below(sizeof pieces / sizeof pieces[0])];
    size_t repeated = least(random_below(sizeof part), length - from);
    memcpy(part, text + from, repeated);
    switch (random_below(4)) {
    case 0: replace(text, size, at, removed, "", 0); break;
    case 1: replace(text, size, at, 0, part, repeated); break;
    default: replace(text, size, at, random_below(2) * removed, piece, strlen(piece));
    }
}

Test(robustness, every_mutation_gives_a_configuration_or_errors, .timeout = 120)
{
    enum {
        ROUNDS = 20000,
        MOST_MUTATIONS = 4
    };
    unsigned accepted = 0;
    srand(20261121);
    cr_assert(check(good));
    for (int i = 0; i < ROUNDS; i++) {
        char text[sizeof good + 1000];
        strcpy(text, good);
        for (size_t mutations = 1 + random_below(MOST_MUTATIONS); mutations > 0; mutations--)
            mutate(text, sizeof text);
        accepted += check(text) ? 1 : 0;
    }
    cr_assert(accepted > ROUNDS / 100 && accepted < ROUNDS / 2, "accepted %u of %d", accepted, ROUNDS);
}

Test(robustness, every_beginning_of_a_configuration_gives_errors)
{
    char text[sizeof good];
    for (size_t length = 0; length < sizeof good - 2; length++) {
        memcpy(text, good, length);
        text[length] = '\0';
        cr_assert_not(check(text), "accepted the first %zu bytes", length);
    }
}

Test(robustness, every_byte_can_be_any_other, .timeout = 120)
{
    char text[sizeof good];
    srand(7);
    for (size_t at = 0; at < sizeof good - 1; at++) {
        for (int i = 0; i < 8; i++) {
            memcpy(text, good, sizeof good);
            text[at] = (char)(1 + random_below(255));
            check(text);
        }
    }
}

static size_t allocations; /* since the last one that was set to fail was chosen */
static size_t failing;     /* which of them fails first, from 0 */
static bool has_failed;

static bool permit_before(size_t size)
{
    (void)size;
    bool permitted = allocations++ < failing;
    has_failed = has_failed || !permitted;
    return permitted;
}

static bool permit_all_but_one(size_t size)
{
    (void)size;
    bool permitted = allocations++ != failing;
    has_failed = has_failed || !permitted;
    return permitted;
}

static void start_failing(size_t first, bool (*permit)(size_t))
{
    allocations = 0;
    failing = first;
    has_failed = false;
    memory_permit = permit;
}

/* Fails each allocation there is, one after the other: alone, or with all that follow. */
static void fail_each_allocation(const char *text, bool (*permit)(size_t), bool is_good)
{
    size_t first = 0;
    for (has_failed = true; has_failed; first++) {
        struct config_errors errors;
        start_failing(first, permit);
        struct config *config = config_parse(text, TEST_FILE, &errors);
        memory_permit = NULL;
        cr_assert_eq(config != NULL, errors.count == 0, "allocation %zu: %zu errors", first, errors.count);
        cr_assert(has_failed || (config != NULL) == is_good, "without a failure: %d", config != NULL);
        if (has_failed && config == NULL)
            cr_assert_not_null(strstr(errors.items[0].text, "not enough memory"), "allocation %zu: %s", first,
                               errors.items[0].text);
        config_errors_destroy(&errors);
        config_destroy(config);
    }
    cr_assert_gt(first, 20, "only %zu allocations", first);
}

static const char bad[] =
    "{ \"a.b\": 1, \"log\": { \"level\": \"${TEST_UNSET}\", \"level\": 3 },\n"
    "\"amqp\": { \"url\": [\"amqp://me:x@host/v\", 3] }, \"queues\": [\n"
    "{ \"name\": \"a\", \"processor\": 3 }, { \"name\": \"a\", \"bindings\": [{}], \"concurrency\": 9, "
    "\"prefetch\": \"${TEST_NONE:-3}\" }] }";

Test(robustness, any_allocation_of_a_good_configuration_may_fail)
{
    fail_each_allocation(good, permit_before, true);
    fail_each_allocation(good, permit_all_but_one, true);
    fail_each_allocation("{" ONE_QUEUE "}", permit_before, true);
}

Test(robustness, any_allocation_on_the_way_to_an_error_may_fail)
{
    unsetenv("TEST_UNSET");
    unsetenv("TEST_NONE");
    fail_each_allocation(bad, permit_before, false);
    fail_each_allocation(bad, permit_all_but_one, false);
}

Test(robustness, any_allocation_of_reading_a_file_may_fail)
{
    char file[] = "/tmp/whippet-config-XXXXXX";
    int descriptor = mkstemp(file);
    cr_assert_eq(write(descriptor, good, sizeof good - 1), (ssize_t)sizeof good - 1);
    close(descriptor);
    for (size_t first = 0; first < 8; first++) {
        struct config_errors errors;
        start_failing(first, permit_before);
        struct config *config = config_load(file, &errors);
        memory_permit = NULL;
        cr_assert_null(config, "allocation %zu failed unseen", first);
        cr_assert_not_null(strstr(errors.items[0].text, "not enough memory"), "%s", errors.items[0].text);
        config_errors_destroy(&errors);
    }
    unlink(file);
}

Test(robustness, adding_an_error_without_memory_says_so)
{
    struct config *config = parse("{" ONE_QUEUE "}");
    struct config_errors errors = {0};
    config_errors_add(&errors, config, "queues[0]", "first");
    start_failing(1, permit_before);
    config_errors_add(&errors, config, "queues[0]", "second");
    memory_permit = NULL;
    cr_assert_eq(errors.count, 1);
    cr_assert_not_null(strstr(errors.items[0].text, "not enough memory"));
    config_errors_add(&errors, config, "queues[0]", "third");
    cr_assert_eq(errors.count, 1);
    config_errors_destroy(&errors);
    config_destroy(config);
}
