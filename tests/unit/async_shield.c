/* What a shield holds back, and what comes after it. */
#include "tasks.h"
#include <math.h>

TestSuite(shields, .init = tasks_set_up, .fini = tasks_tear_down);

static int sleeps_a_second(whippet_task *task, void *arg)
{
    int error = whippet_sleep(task, 1);
    (void)arg;
    note(error == 0 ? 's' : 'x');
    return error;
}

static int is_shielded(whippet_task *task, void *arg)
{
    int error = whippet_shield(task, sleeps_a_second, arg);
    note(error == 0 ? 'i' : 'x');
    return whippet_sleep(task, 1);
}

Test(shields, hold_cancelling_back_until_they_end)
{
    int result;
    whippet_task *task = start(is_shielded, NULL, &result);
    task_cancel(task);
    turn(0.5);
    cr_expect_str_eq(noted, "");
    turn(1);
    cr_expect_str_eq(noted, "si", "\"%s\"", noted);
    cr_expect_eq(result, WHIPPET_E_CANCELLED, "the first await after it says so");
}

static int has_half_a_second(whippet_task *task, void *arg)
{
    return whippet_with_timeout(task, 0.5, is_shielded, arg);
}

Test(shields, hold_the_deadline_back_until_they_end)
{
    int result;
    start(has_half_a_second, NULL, &result);
    turn(0.5);
    turn(1);
    cr_expect_str_eq(noted, "si");
    cr_expect_eq(result, WHIPPET_E_TIMEOUT);
}

static int tells_the_time_left(whippet_task *task, void *arg)
{
    *(double *)arg = whippet_time_left(task);
    return 7;
}

static int tidies_up(whippet_task *task, void *arg)
{
    double left;
    (void)arg;
    cr_expect_eq(whippet_sleep(task, 5), WHIPPET_E_CANCELLED);
    cr_expect_eq(whippet_sleep(task, 0), WHIPPET_E_CANCELLED);
    cr_expect_eq(whippet_shield(task, tells_the_time_left, &left), 7);
    cr_expect_eq(left, INFINITY);
    cr_expect_eq(whippet_shield(task, sleeps_a_second, NULL), 0);
    return whippet_sleep(task, 0);
}

Test(shields, let_a_task_tidy_up_after_it_was_cancelled)
{
    int result;
    task_cancel(start(tidies_up, NULL, &result));
    turn(0);
    turn(1);
    cr_expect_str_eq(noted, "s");
    cr_expect_eq(result, WHIPPET_E_CANCELLED);
}

static int has_a_limit(whippet_task *task, void *arg)
{
    return whippet_with_timeout(task, 0.5, sleeps_a_second, arg);
}

static int is_shielded_within_limits(whippet_task *task, void *arg)
{
    return whippet_shield(task, has_a_limit, arg);
}

Test(shields, keep_to_limits_that_are_set_inside)
{
    int result;
    start(is_shielded_within_limits, NULL, &result);
    turn(0.5);
    cr_expect_str_eq(noted, "x");
    cr_expect_eq(result, WHIPPET_E_TIMEOUT);
}

static int joins_a_child(whippet_task *task, void *arg)
{
    whippet_task *child = whippet_spawn(task, sleeps_a_second, arg);
    int result;
    cr_assert_eq(whippet_join(task, child, &result), 0);
    return result;
}

static int shields_a_family(whippet_task *task, void *arg)
{
    return whippet_shield(task, joins_a_child, arg);
}

Test(shields, cover_the_children_spawned_inside)
{
    int result;
    whippet_task *task = start(shields_a_family, NULL, &result);
    turn(0);
    task_cancel(task);
    turn(1);
    turn(1);
    cr_expect_str_eq(noted, "s");
    cr_expect_eq(result, 0);
}

static int is_cancelled_then_shields_a_family(whippet_task *task, void *arg)
{
    whippet_cancel(task);
    return shields_a_family(task, arg);
}

Test(shields, cover_the_children_of_a_task_that_was_cancelled_before)
{
    int result;
    start(is_cancelled_then_shields_a_family, NULL, &result);
    turn(0);
    turn(1);
    turn(1);
    cr_expect_str_eq(noted, "s");
    cr_expect_eq(result, 0);
}

static int shields_beside_a_child(whippet_task *task, void *arg)
{
    whippet_spawn(task, sleeps_a_second, arg);
    return whippet_shield(task, joins_a_child, arg);
}

Test(shields, do_not_cover_the_children_spawned_outside)
{
    int result;
    whippet_task *task = start(shields_beside_a_child, NULL, &result);
    turn(0);
    task_cancel(task);
    turn(0);
    cr_expect_str_eq(noted, "x", "\"%s\": the one outside is cancelled", noted);
    turn(1);
    turn(1);
    cr_expect_str_eq(noted, "xs");
    cr_expect_eq(result, 0);
}

static int leaves_a_child(whippet_task *task, void *arg)
{
    whippet_spawn(task, sleeps_a_second, arg);
    return whippet_sleep(task, 0.5);
}

static int leaves_a_child_in_a_shield(whippet_task *task, void *arg)
{
    whippet_spawn(task, sleeps_a_second, arg);
    int error = whippet_shield(task, leaves_a_child, arg);
    note('e');
    return error != 0 ? error : whippet_join_all(task);
}

Test(shields, end_the_children_that_are_left_in_them)
{
    int result;
    start(leaves_a_child_in_a_shield, NULL, &result);
    turn(0);
    turn(0.5);
    turn(0.5);
    turn(0.5);
    cr_expect_str_eq(noted, "xe");
    turn(1);
    turn(1);
    cr_expect_str_eq(noted, "xes", "the one outside ran on");
    cr_expect_eq(result, 0);
}

static int cancels_a_child(whippet_task *task, void *arg)
{
    whippet_task *child = whippet_spawn(task, sleeps_a_second, arg);
    int result = 0;
    whippet_sleep(task, 0);
    whippet_cancel(child);
    cr_expect_eq(whippet_join(task, child, &result), 0);
    return result;
}

static int cancels_in_a_shield(whippet_task *task, void *arg)
{
    return whippet_shield(task, cancels_a_child, arg);
}

Test(shields, let_their_own_task_cancel_children)
{
    int result;
    start(cancels_in_a_shield, NULL, &result);
    for (int i = 0; i < 4; i++)
        turn(0);
    cr_expect_eq(result, WHIPPET_E_CANCELLED);
}

static int shields_twice(whippet_task *task, void *arg)
{
    int error = whippet_shield(task, is_shielded, arg);
    note('o');
    return error;
}

Test(shields, may_stand_inside_each_other)
{
    int result;
    task_cancel(start(shields_twice, NULL, &result));
    turn(1);
    turn(2);
    cr_expect_str_eq(noted, "sio", "\"%s\": the inner one's end lifts only the inner one", noted);
    cr_expect_eq(result, 0);
}
