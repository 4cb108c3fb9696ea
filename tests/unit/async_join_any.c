/* Waiting for whichever child ends first. */
#include "tasks.h"

TestSuite(joining_any, .init = tasks_set_up, .fini = tasks_tear_down);

static int sleeps(whippet_task *task, void *arg)
{
    double seconds = *(double *)arg;
    int error = whippet_sleep(task, seconds);
    return error != 0 ? error : (int)(seconds * 10);
}

static double seconds[] = {3, 1, 2};

static void spawn_all(whippet_task *task, whippet_task **children)
{
    for (int i = 0; i < 3; i++) {
        children[i] = whippet_spawn(task, sleeps, &seconds[i]);
        cr_assert_not_null(children[i]);
    }
}

static int takes_one_after_the_other(whippet_task *task, void *arg)
{
    whippet_task *children[3], *child;
    int result;
    (void)arg;
    spawn_all(task, children);
    for (int taken = 0; taken < 3; taken++) {
        cr_assert_eq(whippet_join_any(task, &child, &result), 0);
        for (int i = 0; i < 3; i++)
            if (child == children[i])
                cr_expect_eq(result, (int)(seconds[i] * 10));
        note((char)('0' + result / 10));
    }
    return whippet_join_any(task, &child, &result);
}

Test(joining_any, takes_children_in_the_order_they_end)
{
    int result;
    whippet_task *task = start(takes_one_after_the_other, NULL, &result);
    cr_expect_str_eq(task_activity(task), "waiting for any child");
    for (int second = 0; second <= 3; second++) {
        turn(second);
        turn(second);
    }
    cr_expect_str_eq(noted, "123");
    cr_expect_eq(result, WHIPPET_E_INVALID, "there is no child any more");
}

static int takes_late(whippet_task *task, void *arg)
{
    whippet_task *children[3];
    int result;
    (void)arg;
    spawn_all(task, children);
    cr_assert_eq(whippet_sleep(task, 5), 0);
    while (whippet_join_any(task, NULL, &result) == 0)
        note((char)('0' + result / 10));
    return 0;
}

Test(joining_any, remembers_the_order_of_those_that_have_ended)
{
    int result;
    start(takes_late, NULL, &result);
    for (int second = 0; second <= 5; second++)
        turn(second);
    cr_expect_str_eq(noted, "123");
    cr_expect_eq(result, 0);
}

static int takes_the_first_and_leaves(whippet_task *task, void *arg)
{
    whippet_task *children[3];
    int result;
    (void)arg;
    spawn_all(task, children);
    cr_assert_eq(whippet_join_any(task, NULL, &result), 0);
    return result;
}

Test(joining_any, leaves_the_others_to_the_end_of_their_parent)
{
    int result;
    start(takes_the_first_and_leaves, NULL, &result);
    for (int i = 0; i < 6; i++)
        turn(i < 1 ? i : 1);
    cr_expect_eq(result, 10, "the first child, and the others were cancelled at once: %d", result);
}

static int joins_in_other_ways(whippet_task *task, void *arg)
{
    whippet_task *children[3], *child;
    int result;
    (void)arg;
    spawn_all(task, children);
    cr_assert_eq(whippet_join(task, children[0], &result), 0); /* ends last */
    cr_assert_eq(result, 30);
    cr_assert_eq(whippet_join_any(task, &child, &result), 0);
    cr_assert_eq(child, children[1]);
    cr_assert_eq(whippet_join_all(task), 0);
    return whippet_join_any(task, &child, &result);
}

Test(joining_any, goes_with_the_other_ways_to_join)
{
    int result;
    start(joins_in_other_ways, NULL, &result);
    for (int second = 0; second <= 3; second++)
        turn(second);
    turn(3);
    cr_expect_eq(result, WHIPPET_E_INVALID);
}

static int takes_within_a_second(whippet_task *task, void *arg)
{
    (void)arg;
    return whippet_join_any(task, NULL, NULL);
}

static int gives_up(whippet_task *task, void *arg)
{
    double long_time = 100;
    (void)arg;
    whippet_spawn(task, sleeps, &long_time);
    int error = whippet_with_timeout(task, 1, takes_within_a_second, NULL);
    note('e');
    return error;
}

Test(joining_any, ends_with_the_time_and_leaves_the_children)
{
    int result;
    start(gives_up, NULL, &result);
    turn(0);
    turn(1);
    turn(1);
    turn(1);
    cr_expect_str_eq(noted, "e");
    cr_expect_eq(result, WHIPPET_E_TIMEOUT);
}
