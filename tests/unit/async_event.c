/* Events: something has happened. */
#include "tasks.h"
#include <base/memory.h>
#include <whippet/sync.h>

TestSuite(events, .init = tasks_set_up, .fini = tasks_tear_down);

static whippet_event *event;

static int waits(whippet_task *task, void *arg)
{
    int error = whippet_event_wait(task, event);
    note(*(const char *)arg);
    return error;
}

Test(events, wake_all_who_wait_in_the_order_they_came)
{
    event = whippet_event_create();
    int results[3];
    whippet_task *first = start(waits, "a", &results[0]);
    start(waits, "b", &results[1]);
    start(waits, "c", &results[2]);
    cr_expect_str_eq(task_activity(first), "waiting for an event");
    cr_expect_str_eq(noted, "");
    whippet_event_set(event);
    turn(0);
    cr_expect_str_eq(noted, "abc");
    cr_expect_eq(results[2], 0);
    whippet_event_destroy(event);
}

Test(events, let_everybody_pass_while_they_are_set)
{
    event = whippet_event_create();
    int result;
    cr_expect_not(whippet_event_is_set(event));
    whippet_event_set(event);
    cr_expect(whippet_event_is_set(event));
    cr_expect_null(start(waits, "a", &result), "it did not suspend");
    cr_expect_eq(result, 0);
    whippet_event_destroy(event);
}

Test(events, wake_those_who_wait_though_they_are_cleared_at_once)
{
    event = whippet_event_create();
    int results[2];
    start(waits, "a", &results[0]);
    whippet_event_set(event);
    whippet_event_clear(event);
    whippet_task *late = start(waits, "b", &results[1]);
    turn(0);
    cr_expect_str_eq(noted, "a");
    task_cancel(late);
    turn(0);
    cr_expect_eq(results[0], 0);
    cr_expect_eq(results[1], WHIPPET_E_CANCELLED);
    whippet_event_destroy(event);
}

Test(events, end_the_wait_of_all_when_they_are_destroyed)
{
    event = whippet_event_create();
    int result;
    start(waits, "a", &result);
    whippet_event_destroy(event);
    turn(0);
    cr_expect_eq(result, WHIPPET_E_CLOSED);
}

Test(events, are_not_made_without_memory)
{
    memory_permit = tasks_deny;
    cr_expect_null(whippet_event_create());
    memory_permit = NULL;
    whippet_event_destroy(NULL);
}
