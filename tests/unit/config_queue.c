#include "config_testing.h"
#include <cjson/cJSON.h>
#include <limits.h>

static void setup(void)
{
    forget_environment();
}

TestSuite(queue, .init = setup);

/* The one queue of a configuration that has `keys` besides name and processor. */
static struct config *parse_queue(const char *keys)
{
    char text[4000];
    snprintf(text, sizeof text, WITH_QUEUE_KEYS("%s"), keys);
    return parse(text);
}

Test(queue, has_defaults_for_everything_but_name_and_processor)
{
    struct config *config = parse("{\n" ONE_QUEUE "}");
    const struct queue_config *queue = &config->queues[0];
    cr_assert_str_eq(queue->name, "orders");
    cr_assert_str_eq(queue->processor, "log");
    cr_assert_null(queue->settings);
    cr_assert_eq(queue->declare, QUEUE_DECLARE_IF_MISSING);
    cr_assert_eq(queue->type, QUEUE_TYPE_QUORUM);
    cr_assert_null(queue->arguments);
    cr_assert_eq(queue->binding_count, 0);
    cr_assert_eq(queue->concurrency, 64);
    cr_assert_eq(queue->prefetch, 64);
    cr_assert_eq(queue->priority, 0);
    cr_assert_not(queue->exclusive);
    cr_assert_null(queue->consume_arguments);
    cr_assert_eq(queue->timeout, 300);
    cr_assert_eq(queue->retry.attempts, 5);
    cr_assert_eq(queue->retry.delay, 3);
    cr_assert_eq(queue->retry.backoff, WHIPPET_BACKOFF_CONSTANT);
    cr_assert_eq(queue->retry.max_delay, 300);
    cr_assert_eq(queue->retry.jitter, 0);
    cr_assert_eq(queue->on_failure, ON_FAILURE_DEAD_LETTER);
    cr_assert_str_eq(queue->dead_letter, "orders.dead");
    cr_assert_eq(queue->max_message_size, 16 << 20);
    cr_assert_eq(queue->line, 2);
    config_destroy(config);
}

Test(queue, takes_what_the_file_says)
{
    struct config *config = parse_queue(
        "\"settings\": { \"path\": \"/x\" }, \"declare\": \"create\", \"type\": \"classic\", \"arguments\": "
        "{ "
        "\"x-max-length\": 5 }, \"concurrency\": 4, \"prefetch\": 10, \"priority\": -7, \"exclusive\": true, "
        "\"consume_arguments\": { \"x-y\": \"z\" }, \"timeout\": \"30s\", \"retry\": { \"attempts\": 3, "
        "\"delay\": "
        "\"1s\", \"backoff\": \"exponential\", \"max_delay\": \"1m\", \"jitter\": 0.25 }, \"dead_letter\": "
        "\"bad\", "
        "\"max_message_size\": \"1MiB\"");
    const struct queue_config *queue = &config->queues[0];
    cr_assert_str_eq(cJSON_GetObjectItem(queue->settings, "path")->valuestring, "/x");
    cr_assert_eq(queue->declare, QUEUE_DECLARE_CREATE);
    cr_assert_eq(queue->type, QUEUE_TYPE_CLASSIC);
    cr_assert_eq(cJSON_GetObjectItem(queue->arguments, "x-max-length")->valueint, 5);
    cr_assert_eq(queue->concurrency, 4);
    cr_assert_eq(queue->prefetch, 10);
    cr_assert_eq(queue->priority, -7);
    cr_assert(queue->exclusive);
    cr_assert_str_eq(cJSON_GetObjectItem(queue->consume_arguments, "x-y")->valuestring, "z");
    cr_assert_eq(queue->timeout, 30);
    cr_assert_eq(queue->retry.attempts, 3);
    cr_assert_eq(queue->retry.delay, 1);
    cr_assert_eq(queue->retry.backoff, WHIPPET_BACKOFF_EXPONENTIAL);
    cr_assert_eq(queue->retry.max_delay, 60);
    cr_assert_eq(queue->retry.jitter, 0.25);
    cr_assert_str_eq(queue->dead_letter, "bad");
    cr_assert_eq(queue->max_message_size, 1 << 20);
    config_destroy(config);
}

Test(queue, takes_the_limits_themselves)
{
    struct config *config =
        parse_queue("\"type\": \"classic\", \"prefetch\": 65535, \"concurrency\": 65535, \"priority\": "
                    "-2147483648, \"retry\": { \"attempts\": 1000, \"delay\": 0, \"jitter\": 1 }, "
                    "\"timeout\": 0.001, \"max_message_size\": 536870912");
    cr_assert_eq(config->queues[0].prefetch, 65535);
    cr_assert_eq(config->queues[0].priority, INT_MIN);
    config_destroy(config);
    config = parse_queue(
        "\"type\": \"stream\", \"priority\": 2147483647, \"prefetch\": 1, \"retry\": { \"attempts\": 1 }");
    cr_assert_eq(config->queues[0].type, QUEUE_TYPE_STREAM);
    cr_assert_eq(config->queues[0].priority, INT_MAX);
    config_destroy(config);
}

static void assert_queue_error(const char *keys, const char *expected)
{
    char text[4000];
    snprintf(text, sizeof text, WITH_QUEUE_KEYS("%s"), keys);
    assert_error(text, expected);
}

Test(queue, refuses_numbers_beyond_the_limits)
{
    assert_queue_error("\"prefetch\": 0",
                       "queues[0].prefetch: expected a whole number from 1 to 65535, found 0");
    assert_queue_error("\"prefetch\": 65536", "expected a whole number from 1 to 65535, found 65536");
    assert_queue_error("\"prefetch\": 1.5", "expected a whole number, found 1.5");
    assert_queue_error("\"concurrency\": -1", "expected a whole number from 1 to 65535, found -1");
    assert_queue_error("\"priority\": 2147483648", "from -2147483648 to 2147483647, found 2147483648");
    assert_queue_error("\"timeout\": 0", "expected a duration from 1ms to 365d, found 0");
    assert_queue_error("\"retry\": { \"attempts\": 1001 }",
                       "expected a whole number from 1 to 1000, found 1001");
    assert_queue_error("\"retry\": { \"jitter\": 1.1 }", "expected a number from 0 to 1, found 1.1");
    assert_queue_error("\"retry\": { \"jitter\": \"lots\" }", "expected a number, found \"lots\"");
    assert_queue_error("\"max_message_size\": 0", "expected a size from 1 B to 512 MiB, found 0");
    assert_queue_error("\"max_message_size\": \"1GiB\"",
                       "expected a size from 1 B to 512 MiB, found \"1GiB\"");
}

Test(queue, refuses_words_it_does_not_know)
{
    assert_queue_error("\"declare\": \"never\"",
                       "expected \"if-missing\", \"passive\" or \"create\", found \"never\"");
    assert_queue_error("\"type\": true", "expected \"quorum\", \"classic\" or \"stream\", found true");
    assert_queue_error("\"on_failure\": \"drop\"", "expected \"dead-letter\" or \"discard\", found \"drop\"");
    assert_queue_error("\"retry\": { \"backoff\": \"linear\" }", "expected \"constant\" or \"exponential\"");
    assert_queue_error("\"exclusive\": 1", "expected true or false, found 1");
    assert_queue_error("\"retry\": []", "queues[0].retry: expected an object, found an empty list");
    assert_queue_error("\"settings\": []", "queues[0].settings: expected an object");
}

Test(queue, wants_a_name_of_1_to_255_bytes)
{
    char text[600], name[257];
    assert_error("{ \"queues\": [{ \"name\": \"\", \"processor\": \"log\" }] }",
                 "queues[0].name: must not be empty");
    assert_error("{ \"queues\": [{ \"name\": 3, \"processor\": \"log\" }] }",
                 "expected a string, found a number");
    assert_error("{ \"queues\": [{ \"processor\": \"log\" }] }", "queues[0].name: is missing, but required");
    memset(name, 'n', 256);
    name[256] = '\0';
    snprintf(text, sizeof text, "{ \"queues\": [{ \"name\": \"%s\", \"processor\": \"log\" }] }", name);
    assert_error(text, "queues[0].name: expected at most 255 bytes, found 256");
    name[255] = '\0';
    snprintf(text, sizeof text,
             "{ \"queues\": [{ \"name\": \"%s\", \"processor\": \"log\", \"dead_letter\": \"d\" }] }", name);
    config_destroy(parse(text));
}

Test(queue, may_not_be_one_that_rabbitmq_keeps_to_itself_unless_it_exists)
{
    assert_error("{ \"queues\": [{ \"name\": \"amq.x\", \"processor\": \"log\" }] }",
                 "queues[0].name: RabbitMQ keeps names that begin with \"amq.\" to itself");
    config_destroy(
        parse("{ \"queues\": [{ \"name\": \"amq.x\", \"processor\": \"log\", \"declare\": \"passive\" }] }"));
    assert_queue_error("\"dead_letter\": \"amq.x\"", "queues[0].dead_letter: RabbitMQ keeps names");
}

Test(queue, may_be_named_only_once)
{
    assert_errors("{ \"queues\": [\n"
                  "{ \"name\": \"a\", \"processor\": \"log\" },\n"
                  "{ \"name\": \"b\", \"processor\": \"log\" },\n"
                  "{ \"name\": \"a\", \"processor\": \"exec\" },\n"
                  "{ \"name\": \"a\", \"processor\": \"log\" } ] }",
                  "4: queues[2].name: \"a\" is consumed by queues[0] already, on line 2; give that one more "
                  "concurrency "
                  "instead\n"
                  "5: queues[3].name: \"a\" is consumed by queues[0] already, on line 2; give that one more "
                  "concurrency "
                  "instead\n");
}

Test(queue, prefetch_follows_concurrency_and_the_other_way_round)
{
    static const struct {
        const char *keys;
        unsigned concurrency, prefetch;
    } cases[] = {
        {"\"concurrency\": 8", 8, 8},
        {"\"prefetch\": 8", 8, 8},
        {"\"prefetch\": 500", 64, 500},
        {"\"concurrency\": 8, \"prefetch\": 20", 8, 20},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *config = parse_queue(cases[i].keys);
        const struct queue_config *queue = &config->queues[0];
        cr_assert_eq(queue->concurrency, cases[i].concurrency, "%s: concurrency %u", cases[i].keys,
                     queue->concurrency);
        cr_assert_eq(queue->prefetch, cases[i].prefetch, "%s: prefetch %u", cases[i].keys, queue->prefetch);
        config_destroy(config);
    }
}

Test(queue, concurrency_beyond_prefetch_is_an_error)
{
    assert_queue_error(
        "\"concurrency\": 64, \"prefetch\": 8",
        "queues[0].concurrency: 64 can never be reached with a prefetch of 8; raise prefetch or lower "
        "concurrency");
}

Test(queue, of_type_quorum_takes_a_prefetch_of_2000_at_most)
{
    config_destroy(parse_queue("\"prefetch\": 2000"));
    config_destroy(parse_queue("\"prefetch\": 2001, \"type\": \"classic\""));
    assert_queue_error("\"prefetch\": 2001",
                       "queues[0].prefetch: a quorum queue takes a prefetch of at most 2000, found 2001;");
    assert_queue_error("\"concurrency\": 2001",
                       "queues[0].concurrency: a quorum queue takes a prefetch of at most 2000, "
                       "found 2001 (it follows concurrency)");
}

Test(queue, of_type_quorum_has_no_exclusive_consumers)
{
    assert_queue_error("\"exclusive\": true",
                       "set \"type\": \"classic\", or the queue argument \"x-single-active-consumer\"");
    config_destroy(parse_queue("\"exclusive\": false"));
}

Test(queue, growing_delays_end_above_where_they_begin)
{
    assert_queue_error(
        "\"retry\": { \"backoff\": \"exponential\", \"delay\": \"2s\", \"max_delay\": \"1s\" }",
        "queues[0].retry.max_delay: is less than the delay that it grows from");
    struct config *config = parse_queue("\"timeout\": \"1m\", \"retry\": { \"attempts\": 2, \"backoff\": "
                                        "\"exponential\", \"delay\": \"10m\" }");
    cr_assert_eq(config->queues[0].retry.max_delay, 600);
    config_destroy(config);
    config_destroy(parse_queue("\"retry\": { \"delay\": \"2s\", \"max_delay\": \"1s\" }"));
}

Test(queue, dead_letters_never_go_back_where_they_came_from)
{
    assert_queue_error("\"dead_letter\": \"orders\"", "queues[0].dead_letter: is the queue itself");
}

Test(queue, dead_letters_may_go_to_another_queue_that_is_consumed)
{
    struct config *config =
        parse("{ \"queues\": [{ \"name\": \"a\", \"processor\": \"log\", \"dead_letter\": \"b\" }, { "
              "\"name\": \"b\", \"processor\": \"log\" }] }");
    cr_assert_str_eq(config->queues[0].dead_letter, "b");
    config_destroy(config);
}

Test(queue, that_discards_has_no_dead_letters)
{
    struct config *config = parse_queue("\"on_failure\": \"discard\"");
    cr_assert_eq(config->queues[0].on_failure, ON_FAILURE_DISCARD);
    cr_assert_null(config->queues[0].dead_letter);
    config_destroy(config);
}

Test(queue, with_a_long_name_must_name_its_dead_letters)
{
    char text[600], name[252];
    memset(name, 'n', 251);
    name[251] = '\0';
    snprintf(text, sizeof text, "{ \"queues\": [{ \"name\": \"%s\", \"processor\": \"log\" }] }", name);
    assert_error(
        text,
        "queues[0].dead_letter: \"<name>.dead\" is longer than 255 bytes; name a dead-letter queue here");
    snprintf(text, sizeof text, "{ \"queues\": [{ \"name\": \"%s\", \"processor\": \"log\" }] }", name + 1);
    struct config *config = parse(text);
    cr_assert_eq(strlen(config->queues[0].dead_letter), 255);
    config_destroy(config);
}

Test(queue, takes_bindings)
{
    struct config *config = parse_queue(
        "\"bindings\": [{ \"exchange\": \"shop\" }, { \"exchange\": \"news\", "
        "\"exchange_type\": \"topic\", \"routing_key\": \"order.*\", \"arguments\": { \"a\": 1 } }, "
        "{ \"exchange\": \"late\", \"exchange_type\": \"x-delayed-message\" }]");
    const struct binding_config *bindings = config->queues[0].bindings;
    cr_assert_eq(config->queues[0].binding_count, 3);
    cr_assert_str_eq(bindings[0].exchange, "shop");
    cr_assert_null(bindings[0].exchange_type);
    cr_assert_str_eq(bindings[0].routing_key, "");
    cr_assert_null(bindings[0].arguments);
    cr_assert_str_eq(bindings[1].exchange_type, "topic");
    cr_assert_str_eq(bindings[1].routing_key, "order.*");
    cr_assert_not_null(bindings[1].arguments);
    cr_assert_str_eq(bindings[2].exchange_type, "x-delayed-message");
    config_destroy(config);
}

Test(queue, checks_bindings)
{
    assert_queue_error("\"bindings\": {}",
                       "queues[0].bindings: expected a list of bindings, found an object");
    assert_queue_error("\"bindings\": [3]",
                       "queues[0].bindings[0]: expected an object with an \"exchange\", found 3");
    assert_queue_error("\"bindings\": [{}]", "queues[0].bindings[0].exchange: is missing, but required");
    assert_queue_error("\"bindings\": [{ \"exchange\": \"\" }]", "must not be empty");
    assert_queue_error("\"bindings\": [{ \"exchange\": \"x\", \"exchange_type\": \"topci\" }]",
                       "expected \"direct\", \"fanout\", \"topic\", \"headers\" or a plugin's type");
    assert_queue_error("\"bindings\": [{ \"exchange\": \"x\", \"exchange_type\": \"x-\" }]",
                       "or a plugin's type");
    assert_queue_error("\"bindings\": [{ \"exchange\": \"x\", \"key\": \"y\" }]",
                       "bindings[0].key: unknown key");
}

Test(queue, checks_arguments)
{
    char text[700], name[257];
    assert_queue_error("\"arguments\": 3", "queues[0].arguments: expected an object, found 3");
    assert_queue_error("\"arguments\": { \"a\": [{ \"b\": 9007199254740994 }] }",
                       "queues[0].arguments.a[0].b: a number beyond 2^53, of which JSON loses digits");
    assert_queue_error(
        "\"arguments\": { \"x-queue-type\": \"classic\" }",
        "queues[0].arguments.x-queue-type: is given by the key \"type\" of the queue; use that");
    assert_queue_error("\"consume_arguments\": { \"x-priority\": 3 }",
                       "is given by the key \"priority\" of the queue");
    memset(name, 'n', 256);
    name[256] = '\0';
    snprintf(text, sizeof text, "\"consume_arguments\": { \"%s\": 3 }", name);
    assert_queue_error(text, "a name of more than 255 bytes");
    config_destroy(parse_queue("\"arguments\": { \"a\": [null, true, 1.5, \"x\", {}, []] }"));
}

Test(queue, errors_of_one_key_do_not_bring_others_along)
{
    assert_queue_error("\"prefetch\": \"many\", \"concurrency\": 100", "queues[0].prefetch");
    assert_queue_error("\"type\": \"qourum\", \"exclusive\": true", "queues[0].type");
    assert_queue_error(
        "\"retry\": { \"backoff\": \"exponential\", \"delay\": \"10m\", \"max_delay\": \"x\" }", "max_delay");
    assert_error("{ \"queues\": [{ \"name\": \"amq.x\", \"processor\": \"log\", \"declare\": 3 }] }",
                 "declare");
}

Test(queue, there_may_be_many)
{
    char *text = malloc(1 << 20);
    strcpy(text, "{ \"queues\": [");
    char *end = text + strlen(text);
    for (int i = 0; i < 3000; i++)
        end += sprintf(end, "%s{ \"name\": \"q%d\", \"processor\": \"log\" }", i > 0 ? ",\n" : "", i);
    strcpy(end, "] }");
    struct config *config = parse(text);
    cr_assert_eq(config->queue_count, 3000);
    cr_assert_eq(config->queues[2999].line, 3000);
    cr_assert_str_eq(config->queues[2999].dead_letter, "q2999.dead");
    config_destroy(config);
    free(text);
}

Test(queue, runs_as_its_processor_wishes_unless_told_otherwise)
{
    struct config *config = parse(WITH_QUEUE_KEYS("\"processes\": 2"));
    cr_assert_eq(config->queues[0].run, RUN_AS_WISHED);
    cr_assert_eq(config->queues[0].processes, 2);
    config_destroy(config);
    config = parse(WITH_QUEUE_KEYS("\"run\": \"process\", \"processes\": 8, \"concurrency\": 8"));
    cr_assert_eq(config->queues[0].run, RUN_PROCESS);
    config_destroy(config);
    config = parse(WITH_QUEUE_KEYS("\"run\": \"thread\""));
    cr_assert_eq(config->queues[0].run, RUN_THREAD);
    cr_assert_eq(config->threads, 4);
    config_destroy(config);
}

Test(queue, has_no_processes_that_it_could_not_use)
{
    assert_error(WITH_QUEUE_KEYS("\"run\": \"fork\""), "queues[0].run: expected \"loop\", \"thread\"");
    assert_error(WITH_QUEUE_KEYS("\"run\": \"thread\", \"processes\": 2"),
                 "queues[0].processes: is for \"run\": \"process\"");
    assert_error(WITH_QUEUE_KEYS("\"run\": \"process\", \"processes\": 9, \"concurrency\": 8"),
                 "queues[0].processes: 9 of them can't share a concurrency of 8");
    assert_error(WITH_QUEUE_KEYS("\"processes\": 257"), "from 1 to 256");
    assert_error(WITH_KEYS("\"threads\": 0"), "from 1 to 256");
}
