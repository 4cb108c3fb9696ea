/* What each key takes, and what can't work together. */
#include "config_testing.h"
#include <config/retry.h>
#include <math.h>

static void setup(void)
{
    forget_environment();
}

TestSuite(feasible, .init = setup);

/* `keys` of the one queue, with `amqp` at the top: must be refused at `path` with words that hold `text`. */
static void assert_refused(const char *amqp, const char *keys, const char *path, const char *text)
{
    char json[1000];
    struct config_errors errors;
    snprintf(json, sizeof json,
             "{ \"amqp\": { %s }, \"queues\": [{ \"name\": \"orders\", \"processor\": \"log\"%s%s }] }", amqp,
             *keys != '\0' ? ", " : "", keys);
    cr_assert_null(config_parse(json, TEST_FILE, &errors), "accepted %s", json);
    cr_assert_eq(errors.count, 1, "%zu errors", errors.count);
    cr_assert_str_eq(errors.items[0].path, path);
    cr_assert_not_null(strstr(errors.items[0].text, text), "\"%s\" does not say \"%s\"", errors.items[0].text,
                       text);
    config_errors_destroy(&errors);
}

static void assert_accepted(const char *amqp, const char *keys)
{
    char json[1000];
    snprintf(json, sizeof json,
             "{ \"amqp\": { %s }, \"queues\": [{ \"name\": \"orders\", \"processor\": \"log\"%s%s }] }", amqp,
             *keys != '\0' ? ", " : "", keys);
    config_destroy(parse(json));
}

/* --- The broker's patience ------------------------------------------------------------------------------*/

Test(feasible, the_defaults_hold_a_message_for_less_than_half_an_hour)
{
    struct config *config = parse("{ " ONE_QUEUE " }");
    cr_assert_eq(config->consumer_timeout, 1800);
    cr_assert_eq(retry_longest_hold(&config->queues[0]), 5 * 300 + 4 * 3);
    config_destroy(config);
}

Test(feasible, an_attempt_ends_within_the_brokers_patience)
{
    assert_refused("", "\"timeout\": \"31m\"", "queues[0].timeout",
                   "longer than 30m (amqp.consumer_timeout)");
    assert_refused("\"consumer_timeout\": \"1m\"", "\"timeout\": \"61s\", \"retry\": { \"via\": \"broker\" }",
                   "queues[0].timeout", "set at most that");
    assert_accepted("", "\"timeout\": \"30m\", \"retry\": { \"attempts\": 1 }");
    assert_accepted("\"consumer_timeout\": \"2h\"", "\"timeout\": \"31m\", \"retry\": { \"attempts\": 2 }");
}

Test(feasible, a_pause_leaves_time_for_the_attempts_that_follow)
{
    struct config *config = parse("{ " ONE_QUEUE " }");
    const struct queue_config *queue = &config->queues[0];
    double patience = queue_patience(queue, config->consumer_timeout);
    cr_assert_eq(patience, 1800);
    cr_assert_eq(retry_room(queue, patience, 1, 10), 1800 - 10 - 4 * 300 - 3 * 3);
    cr_assert_eq(retry_room(queue, patience, 4, 10), 1800 - 10 - 300);
    cr_assert_eq(queue_patience(queue, 0), INFINITY);
    config_destroy(config);
}

Test(feasible, a_message_waits_in_the_shortest_delay_queue_that_is_long_enough)
{
    static const whippet_retry_policy growing = {
        .attempts = 6, .delay = 1, .backoff = WHIPPET_BACKOFF_EXPONENTIAL, .max_delay = 8};
    cr_assert_eq(retry_queue_delay_after(&growing, 1, 0), 1000);
    cr_assert_eq(retry_queue_delay_after(&growing, 1, 3), 4000);
    cr_assert_eq(retry_queue_delay_after(&growing, 1, 4), 4000);
    cr_assert_eq(retry_queue_delay_after(&growing, 3, 2), 4000);
    cr_assert_eq(retry_queue_delay_after(&growing, 1, 1e9), 8000);
    static const whippet_retry_policy constant = {.attempts = 3, .delay = 3};
    cr_assert_eq(retry_queue_delay_after(&constant, 1, 100), 3000);
}

Test(feasible, attempts_and_pauses_in_memory_end_within_the_brokers_patience)
{
    assert_refused("", "\"retry\": { \"attempts\": 10 }", "queues[0].retry.attempts",
                   "10 attempts of up to 5m and 27s of pauses hold a message for up to 3027s");
    assert_refused("", "\"retry\": { \"attempts\": 10 }", "queues[0].retry.attempts",
                   "set \"timeout\" to at most \"177s\"");
    assert_refused("", "\"timeout\": \"1s\", \"retry\": { \"delay\": \"10m\" }", "queues[0].retry.attempts",
                   "\"via\": \"broker\"");
    assert_accepted("", "\"timeout\": \"177s\", \"retry\": { \"attempts\": 10 }");
    assert_accepted("", "\"retry\": { \"attempts\": 10, \"via\": \"broker\" }");
}

Test(feasible, a_broker_without_a_limit_lets_everything_be_held)
{
    assert_accepted("\"consumer_timeout\": 0", "\"timeout\": \"10d\", \"retry\": { \"attempts\": 1000 }");
}

Test(feasible, a_queue_may_have_a_patience_of_its_own)
{
    assert_refused("", "\"arguments\": { \"x-consumer-timeout\": 60000 }", "queues[0].timeout",
                   "longer than 1m");
    assert_accepted("", "\"arguments\": { \"x-consumer-timeout\": 86400000 }, \"timeout\": \"1h\"");
}

/* --- Delay queues ---------------------------------------------------------------------------------------*/

Test(feasible, a_delay_queue_leaves_nothing_to_chance)
{
    assert_refused("", "\"retry\": { \"via\": \"broker\", \"jitter\": 0.1 }", "queues[0].retry.jitter",
                   "one fixed delay");
}

Test(feasible, a_stream_is_not_retried_through_the_broker)
{
    assert_refused("", "\"type\": \"stream\", \"retry\": { \"via\": \"broker\" }", "queues[0].retry.via",
                   "all its readers");
}

Test(feasible, a_delay_queue_keeps_messages_for_a_time_that_rabbitmq_takes)
{
    assert_refused("", "\"retry\": { \"via\": \"broker\", \"delay\": 0 }", "queues[0].retry.delay",
                   "1ms at least");
    assert_refused("", "\"retry\": { \"via\": \"broker\", \"delay\": \"50d\" }", "queues[0].retry.delay",
                   "49.7 days");
    assert_accepted("", "\"retry\": { \"via\": \"broker\", \"delay\": \"49d\" }");
    assert_accepted("", "\"retry\": { \"via\": \"broker\", \"delay\": 0, \"attempts\": 1 }");
}

Test(feasible, there_are_16_delay_queues_at_most)
{
    assert_refused(
        "",
        "\"retry\": { \"via\": \"broker\", \"attempts\": 40, \"backoff\": \"exponential\", \"delay\": "
        "\"1ms\", \"max_delay\": \"1d\" }",
        "queues[0].retry.max_delay", "28 steps");
    assert_accepted("",
                    "\"retry\": { \"via\": \"broker\", \"attempts\": 1000, \"backoff\": \"exponential\" }");
}

Test(feasible, a_delay_queues_name_fits_as_well)
{
    char keys[600], name[256];
    memset(name, 'n', 250);
    name[250] = '\0';
    snprintf(
        keys, sizeof keys,
        "{ \"queues\": [{ \"name\": \"%s\", \"processor\": \"log\", \"dead_letter\": \"dead\", \"retry\": { "
        "\"via\": \"broker\" } }] }",
        name);
    struct config_errors errors;
    cr_assert_null(config_parse(keys, TEST_FILE, &errors));
    cr_assert_not_null(strstr(errors.items[0].text, ".retry.<delay>"), "%s", errors.items[0].text);
    config_errors_destroy(&errors);
}

Test(feasible, delays_are_counted_once_each_and_named_in_whole_units)
{
    static const struct {
        double seconds;
        const char *name;
    } cases[] = {{3, "q.retry.3s"},      {90, "q.retry.90s"},     {300, "q.retry.5m"},
                 {86400, "q.retry.24h"}, {1.5, "q.retry.1500ms"}, {0.1, "q.retry.100ms"},
                 {0.0011, "q.retry.2ms"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        whippet_retry_policy policy = {.attempts = 5, .delay = cases[i].seconds};
        uint64_t delays[RETRY_QUEUES_MAX];
        char name[RETRY_QUEUE_NAME_SIZE];
        cr_assert_eq(retry_queue_delays(&policy, delays), 1);
        cr_assert(retry_queue_name("q", delays[0], name));
        cr_assert_str_eq(name, cases[i].name);
    }
}

Test(feasible, every_delay_of_a_policy_has_its_queue)
{
    whippet_retry_policy policy = {
        .attempts = 12, .delay = 3, .backoff = WHIPPET_BACKOFF_EXPONENTIAL, .max_delay = 300};
    uint64_t delays[RETRY_QUEUES_MAX];
    unsigned count = retry_queue_delays(&policy, delays);
    cr_assert_eq(count, 8, "%u", count);
    for (unsigned failed = 1; failed < policy.attempts; failed++) {
        bool found = false;
        for (unsigned i = 0; i < count; i++)
            found = found || delays[i] == retry_queue_delay(&policy, failed);
        cr_assert(found, "the delay after attempt %u has no queue", failed);
    }
}

/* --- The broker's limit of deliveries -------------------------------------------------------------------*/

Test(feasible, the_broker_does_not_give_a_message_up_before_its_last_attempt)
{
    assert_refused("", "\"arguments\": { \"x-delivery-limit\": 3 }", "queues[0].arguments.x-delivery-limit",
                   "3 is below the 5 attempts");
    assert_accepted("", "\"arguments\": { \"x-delivery-limit\": 5 }");
    assert_accepted("", "\"arguments\": { \"x-delivery-limit\": -1 }");
    assert_accepted("", "\"type\": \"classic\", \"arguments\": { \"x-delivery-limit\": 1 }");
}

/* --- Tasks ----------------------------------------------------------------------------------------------*/

Test(feasible, there_is_room_for_every_attempt_and_by_default_for_16_more_each)
{
    struct config *config = parse("{ " ONE_QUEUE " }");
    cr_assert_eq(config_tasks_reserved(config), 64 + 16 + 3);
    cr_assert_eq(config->max_tasks, 17 * (64 + 16 + 3));
    config_destroy(config);
    config_destroy(parse(WITH_KEYS("\"max_tasks\": 83")));
    struct config_errors errors;
    cr_assert_null(config_parse(WITH_KEYS("\"max_tasks\": 82"), TEST_FILE, &errors));
    cr_assert_str_eq(errors.items[0].path, "max_tasks");
    cr_assert_not_null(strstr(errors.items[0].text, "adds up to 83 tasks"), "%s", errors.items[0].text);
    config_errors_destroy(&errors);
}

/* What is wrong already is not found fault with twice. */
Test(feasible, is_not_looked_at_where_a_key_is_wrong)
{
    assert_refused("", "\"timeout\": \"31m\", \"retry\": { \"attempts\": \"x\" }", "queues[0].retry.attempts",
                   "expected");
    assert_refused("\"consumer_timeout\": \"soon\"", "\"timeout\": \"31m\"", "amqp.consumer_timeout",
                   "expected");
}
