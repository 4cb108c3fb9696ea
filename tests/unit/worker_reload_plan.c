/* What a new configuration means for a worker that runs an old one. */
#include "../../src/worker/reload_plan.h"
#include "config_testing.h"
#include <whippet/task.h>

TestSuite(reload_plan, .init = forget_environment);

/* "keep:orders change:mails(timeout) add:new remove:old", as a plan has it; then "| amqp.url" where it
 * reconnects.
 */
static const char *describe(const char *before, const char *after)
{
    static char text[2048];
    static const char *const NAMES[] = {"keep", "change", "add", "remove"};
    struct config *first = parse(before), *second = parse(after);
    struct reload_plan plan;
    size_t length = 0;
    text[0] = '\0';
    cr_assert_eq(reload_plan_make(&plan, first, second), 0);
    for (size_t i = 0; i < plan.count; i++) {
        const struct reload_step *step = &plan.steps[i];
        const char *name = step->action == RELOAD_REMOVE ? first->queues[step->before].name
                                                         : second->queues[step->after].name;
        if (step->action == RELOAD_KEEP || step->action == RELOAD_CHANGE)
            cr_assert_str_eq(first->queues[step->before].name, name);
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s:%s", i > 0 ? " " : "",
                                   NAMES[step->action], name);
        if (step->action == RELOAD_CHANGE)
            length += (size_t)snprintf(text + length, sizeof text - length, "(%s)", step->changed);
    }
    if (*plan.reconnect != '\0')
        snprintf(text + length, sizeof text - length, " | %s", plan.reconnect);
    reload_plan_destroy(&plan);
    config_destroy(first);
    config_destroy(second);
    return text;
}

#define QUEUE(name, keys) "{ \"name\": \"" name "\", \"processor\": \"log\"" keys " }"
#define QUEUES(queues)    "{ \"queues\": [" queues "] }"

Test(reload_plan, keeps_everything_of_the_same_file)
{
    const char *text = QUEUES(QUEUE("a", "") "," QUEUE("b", ", \"prefetch\": 3"));
    cr_assert_str_eq(describe(text, text), "keep:a keep:b");
}

Test(reload_plan, keeps_queues_that_only_stand_elsewhere)
{
    cr_assert_str_eq(
        describe(QUEUES(QUEUE("a", "") "," QUEUE("b", "")), QUEUES(QUEUE("b", "") "," QUEUE("a", ""))),
        "keep:b keep:a");
}

Test(reload_plan, tells_what_is_changed_added_and_removed)
{
    cr_assert_str_eq(describe(QUEUES(QUEUE("a", "") "," QUEUE("b", ", \"timeout\": 3") "," QUEUE("c", "")),
                              QUEUES(QUEUE("d", "") "," QUEUE(
                                  "b", ", \"timeout\": 4, \"concurrency\": 2") "," QUEUE("a", ""))),
                     "add:d change:b(timeout, concurrency) keep:a remove:c");
}

Test(reload_plan, takes_a_queue_of_another_name_for_another_queue)
{
    cr_assert_str_eq(describe(QUEUES(QUEUE("a", "")), QUEUES(QUEUE("A", ""))), "add:A remove:a");
}

Test(reload_plan, changes_every_queue_when_the_connection_changes)
{
    cr_assert_str_eq(
        describe(
            "{ \"amqp\": { \"url\": \"amqp://a\", \"heartbeat\": 3 }, \"queues\": [" QUEUE("a", "") "] }",
            "{ \"amqp\": { \"url\": \"amqp://b\" }, \"queues\": [" QUEUE("a", "") "," QUEUE("b", "") "] }"),
        "change:a(the connection) add:b | amqp.url, amqp.heartbeat");
}

Test(reload_plan, a_kept_queue_may_still_be_changed_for_its_plugin)
{
    struct reload_step step = {.action = RELOAD_KEEP};
    reload_step_change(&step, "its plugin");
    cr_assert_eq(step.action, RELOAD_CHANGE);
    reload_step_change(&step, "timeout");
    cr_assert_str_eq(step.changed, "its plugin, timeout");
    for (int i = 0; i < 100; i++)
        reload_step_change(&step, "very_many_keys");
    cr_assert_lt(strlen(step.changed), RELOAD_KEYS_SIZE);
}

static void assert_restart(const char *before, const char *after, const char *expected)
{
    char keys[RELOAD_KEYS_SIZE];
    struct config *first = parse(before), *second = parse(after);
    reload_restart_keys(first, second, keys);
    cr_assert_str_eq(keys, expected);
    config_destroy(first);
    config_destroy(second);
}

Test(reload_plan, names_the_keys_that_need_a_restart)
{
    assert_restart(WITH_KEYS("\"stack_size\": \"256KiB\""), WITH_KEYS("\"stack_size\": \"512KiB\""),
                   "stack_size");
    assert_restart(WITH_KEYS("\"stack_size\": \"256KiB\""), "{ " ONE_QUEUE " }", "stack_size");
}

Test(reload_plan, asks_for_no_restart_where_all_can_be_applied)
{
    assert_restart("{ " ONE_QUEUE " }",
                   "{ \"$schema\": \"x\", \"amqp\": { \"heartbeat\": 3 }, \"log\": { \"level\": \"debug\" }, "
                   "\"shutdown_timeout\": 3, \"processor_path\": \"p\", \"max_tasks\": 500, "
                   "\"management\": { \"url\": \"http://a\" }, " ONE_QUEUE " }",
                   "");
}

static bool permit_nothing(size_t size)
{
    (void)size;
    return false;
}

Test(reload_plan, fails_cleanly_when_memory_is_short)
{
    struct config *config = parse("{ " ONE_QUEUE " }");
    struct reload_plan plan;
    memory_permit = permit_nothing;
    int error = reload_plan_make(&plan, config, config);
    memory_permit = NULL;
    cr_assert_eq(error, WHIPPET_E_MEMORY);
    reload_plan_destroy(&plan);
    config_destroy(config);
}
