/* Semaphores: at most so many at once, first come, first served. */
#include "tasks.h"
#include <base/memory.h>
#include <whippet/sync.h>

TestSuite(semaphores, .init = tasks_set_up, .fini = tasks_tear_down);

static whippet_semaphore *semaphore;

static int holds_for_a_second(whippet_task *task, void *arg)
{
    const char *name = arg;
    int error = whippet_semaphore_acquire(task, semaphore);
    if (error != 0)
        return error;
    note(name[0]);
    error = whippet_sleep(task, 1);
    whippet_semaphore_release(semaphore);
    return error;
}

Test(semaphores, let_as_many_in_as_they_have_permits)
{
    semaphore = whippet_semaphore_create(2);
    int results[3];
    start(holds_for_a_second, "a", &results[0]);
    start(holds_for_a_second, "b", &results[1]);
    whippet_task *third = start(holds_for_a_second, "c", &results[2]);
    cr_expect_str_eq(noted, "ab");
    cr_expect_str_eq(task_activity(third), "waiting for a semaphore");
    turn(1);
    turn(1);
    cr_expect_str_eq(noted, "abc");
    turn(2);
    cr_expect_eq(results[2], 0);
    whippet_semaphore_destroy(semaphore);
}

Test(semaphores, serve_those_who_wait_in_the_order_they_came)
{
    semaphore = whippet_semaphore_create(1);
    int results[4];
    const char *names[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++)
        start(holds_for_a_second, names[i], &results[i]);
    for (int second = 1; second <= 8; second++)
        turn(second);
    cr_expect_str_eq(noted, "abcd");
    whippet_semaphore_destroy(semaphore);
}

static int holds_twice(whippet_task *task, void *arg)
{
    int error = holds_for_a_second(task, arg);
    return error == 0 ? holds_for_a_second(task, arg) : error;
}

Test(semaphores, let_nobody_come_between_who_gives_and_who_waits)
{
    semaphore = whippet_semaphore_create(1);
    int results[2];
    start(holds_twice, "a", &results[0]);
    start(holds_twice, "b", &results[1]);
    for (int second = 1; second <= 8; second++)
        turn(second);
    cr_expect_str_eq(noted, "abab", "\"%s\": the one that gives it back must not take it at once", noted);
    whippet_semaphore_destroy(semaphore);
}

Test(semaphores, skip_who_was_cancelled_in_the_line)
{
    semaphore = whippet_semaphore_create(1);
    int results[3];
    start(holds_for_a_second, "a", &results[0]);
    task_cancel(start(holds_for_a_second, "b", &results[1]));
    start(holds_for_a_second, "c", &results[2]);
    for (int second = 1; second <= 4; second++)
        turn(second);
    cr_expect_str_eq(noted, "ac");
    cr_expect_eq(results[1], WHIPPET_E_CANCELLED);
    cr_expect(whippet_semaphore_try(semaphore), "the permit is back");
    whippet_semaphore_destroy(semaphore);
}

Test(semaphores, give_the_permit_to_who_was_called_before_it_was_cancelled)
{
    semaphore = whippet_semaphore_create(1);
    int result;
    cr_assert(whippet_semaphore_try(semaphore));
    whippet_task *task = start(holds_for_a_second, "a", &result);
    whippet_semaphore_release(semaphore);
    task_cancel(task);
    turn(1);
    turn(2);
    cr_expect_str_eq(noted, "a");
    cr_expect_eq(result, WHIPPET_E_CANCELLED, "the await after it says so");
    cr_expect(whippet_semaphore_try(semaphore), "the permit is back");
    whippet_semaphore_destroy(semaphore);
}

static int waits_half_a_second(whippet_task *task, void *arg)
{
    return whippet_with_timeout(task, 0.5, holds_for_a_second, arg);
}

Test(semaphores, take_nothing_when_the_time_is_up)
{
    semaphore = whippet_semaphore_create(1);
    int results[2];
    start(holds_for_a_second, "a", &results[0]);
    start(waits_half_a_second, "b", &results[1]);
    turn(0.5);
    cr_expect_eq(results[1], WHIPPET_E_TIMEOUT);
    turn(1);
    cr_expect(whippet_semaphore_try(semaphore));
    cr_expect_not(whippet_semaphore_try(semaphore));
    whippet_semaphore_destroy(semaphore);
}

Test(semaphores, take_back_no_more_than_they_gave)
{
    semaphore = whippet_semaphore_create(2);
    cr_expect_eq(whippet_semaphore_release(semaphore), WHIPPET_E_INVALID);
    cr_expect(whippet_semaphore_try(semaphore));
    cr_expect_eq(whippet_semaphore_release(semaphore), 0);
    cr_expect(whippet_semaphore_try(semaphore));
    cr_expect(whippet_semaphore_try(semaphore));
    cr_expect_not(whippet_semaphore_try(semaphore));
    whippet_semaphore_destroy(semaphore);
}

Test(semaphores, end_the_wait_of_all_when_they_are_destroyed)
{
    semaphore = whippet_semaphore_create(1);
    int results[2];
    whippet_semaphore_try(semaphore);
    start(holds_for_a_second, "a", &results[0]);
    start(holds_for_a_second, "b", &results[1]);
    whippet_semaphore_destroy(semaphore);
    turn(0);
    cr_expect_eq(results[0], WHIPPET_E_CLOSED);
    cr_expect_eq(results[1], WHIPPET_E_CLOSED);
}

static int is_cancelled_and_acquires(whippet_task *task, void *arg)
{
    (void)arg;
    whippet_cancel(task);
    return whippet_semaphore_acquire(task, semaphore);
}

Test(semaphores, give_nothing_to_who_is_cancelled_already)
{
    semaphore = whippet_semaphore_create(1);
    int result;
    start(is_cancelled_and_acquires, NULL, &result);
    cr_expect_eq(result, WHIPPET_E_CANCELLED);
    cr_expect(whippet_semaphore_try(semaphore));
    whippet_semaphore_destroy(semaphore);
}

Test(semaphores, are_not_made_without_permits_or_memory)
{
    cr_expect_null(whippet_semaphore_create(0));
    memory_permit = tasks_deny;
    cr_expect_null(whippet_semaphore_create(1));
    memory_permit = NULL;
    whippet_semaphore_destroy(NULL);
}
