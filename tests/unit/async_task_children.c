/* Tasks that belong together: joining and cancelling. */
#include "async_task_testing.h"

/* --- Children -------------------------------------------------------------------------------------------*/

static int notes_its_letter(whippet_task *task, void *arg)
{
    (void)task;
    note(*(char *)arg);
    return *(char *)arg;
}

static char letters[] = "abcdefgh";

static int spawns_and_joins(whippet_task *task, void *arg)
{
    (void)arg;
    whippet_task *child = whippet_spawn(task, notes_its_letter, &letters[0]);
    cr_assert_not_null(child);
    note('-');
    int result = UNSET;
    cr_expect_eq(whippet_join(task, child, &result), 0);
    cr_expect_eq(result, 'a', "%d", result);
    cr_expect_eq(whippet_join(task, child, &result), WHIPPET_E_INVALID, "it was joined already");
    return 5;
}

Test(tasks, first_run_a_child_when_they_suspend_themselves)
{
    start(spawns_and_joins, NULL);
    scheduler_turn(&scheduler, 0);
    scheduler_turn(&scheduler, 0);
    cr_expect_str_eq(order, "-a", "%s", order);
    cr_expect_eq(ended_with, 5, "%d", ended_with);
}

static int joins_an_ended_child(whippet_task *task, void *arg)
{
    (void)arg;
    whippet_task *child = whippet_spawn(task, notes_its_letter, &letters[1]);
    whippet_sleep(task, 1.0);
    cr_expect_str_eq(task_activity(child), "ended");
    cr_expect_eq(scheduler.tasks, 2, "an ended child waits to be joined");
    int result = UNSET;
    cr_expect_eq(whippet_join(task, child, &result), 0);
    cr_expect_eq(result, 'b');
    cr_expect_eq(scheduler.tasks, 1);
    return whippet_join_all(task);
}

Test(tasks, join_a_child_that_has_ended_without_suspending)
{
    start(joins_an_ended_child, NULL);
    scheduler_turn(&scheduler, 0);
    scheduler_turn(&scheduler, 1.0);
    cr_expect_eq(ended_with, 0, "%d", ended_with);
}

static whippet_task *stranger;

static int joins_a_stranger(whippet_task *task, void *arg)
{
    (void)arg;
    cr_expect_eq(whippet_join(task, stranger, NULL), WHIPPET_E_INVALID);
    cr_expect_eq(whippet_join(task, task, NULL), WHIPPET_E_INVALID);
    cr_expect_eq(whippet_join(task, NULL, NULL), WHIPPET_E_INVALID);
    return 0;
}

Test(tasks, cannot_join_what_is_not_their_child)
{
    stranger = start(sleeps_one_second, NULL);
    start(joins_a_stranger, NULL);
    scheduler_turn(&scheduler, 1.0);
}

struct sleeper {
    double seconds;
    int result;
    int error; /* what its sleep returned */
};

static int sleeps_then_returns(whippet_task *task, void *arg)
{
    struct sleeper *sleeper = arg;
    sleeper->error = whippet_sleep(task, sleeper->seconds);
    return sleeper->result;
}

static int gathers(whippet_task *task, void *arg)
{
    struct sleeper *sleepers = arg;
    for (int i = 0; i < 3; i++)
        cr_assert_not_null(whippet_spawn(task, sleeps_then_returns, &sleepers[i]));
    int error = whippet_join_all(task);
    cr_expect_eq(scheduler.tasks, 1, "join_all frees every child");
    return error;
}

Test(tasks, gather_all_their_children)
{
    struct sleeper sleepers[] = {{.seconds = 3}, {.seconds = 1, .result = 7}, {.seconds = 2}};
    start(gathers, sleepers);
    for (double now = 0; now <= 2.9; now += 0.5)
        scheduler_turn(&scheduler, now);
    cr_expect_eq(ended_count, 0);
    scheduler_turn(&scheduler, 3.0);
    scheduler_turn(&scheduler, 3.0);
    cr_expect_eq(ended_with, 0, "%d", ended_with);
}

Test(tasks, gather_the_error_of_the_child_that_was_spawned_first)
{
    struct sleeper sleepers[] = {{.seconds = 1},
                                 {.seconds = 3, .result = WHIPPET_E_CLOSED},
                                 {.seconds = 2, .result = WHIPPET_E_LIMIT}};
    start(gathers, sleepers);
    for (double now = 0; now <= 4; now++)
        scheduler_turn(&scheduler, now);
    cr_expect_eq(ended_with, WHIPPET_E_CLOSED, "%d", ended_with);
}

static int gathers_nothing(whippet_task *task, void *arg)
{
    (void)arg;
    return whippet_join_all(task);
}

Test(tasks, without_children_have_nothing_to_gather)
{
    cr_expect_null(start(gathers_nothing, NULL));
    cr_expect_eq(ended_with, 0, "%d", ended_with);
}

static int gathers_in_no_time(whippet_task *task, void *arg)
{
    struct sleeper *sleepers = arg;
    whippet_task *child = whippet_spawn(task, sleeps_then_returns, &sleepers[0]);
    cr_expect_eq(whippet_with_timeout(task, 1.0, gathers_nothing, NULL), WHIPPET_E_TIMEOUT);
    cr_expect_eq(sleepers[0].error, UNSET, "the child still runs");
    int result = UNSET;
    cr_expect_eq(whippet_join(task, child, &result), 0, "and is still owned");
    cr_expect_eq(result, 3);
    return 0;
}

Test(tasks, whose_gathering_times_out_keep_their_children)
{
    struct sleeper sleepers[] = {{.seconds = 5, .result = 3, .error = UNSET}};
    start(gathers_in_no_time, sleepers);
    for (double now = 0; now <= 6; now++)
        scheduler_turn(&scheduler, now);
    cr_expect_eq(ended_count, 1);
    cr_expect_eq(sleepers[0].error, 0, "%d", sleepers[0].error);
}

static int spawns_and_returns(whippet_task *task, void *arg)
{
    whippet_spawn(task, sleeps_then_returns, arg);
    whippet_sleep(task, 1.0);
    return 4;
}

Test(tasks, cancel_and_await_their_children_when_they_end)
{
    struct sleeper sleeper = {.seconds = 100, .error = UNSET};
    start(spawns_and_returns, &sleeper);
    scheduler_turn(&scheduler, 0);
    scheduler_turn(&scheduler, 1.0);
    scheduler_turn(&scheduler, 1.0);
    scheduler_turn(&scheduler, 1.0);
    cr_expect_eq(sleeper.error, WHIPPET_E_CANCELLED, "%d", sleeper.error);
    cr_expect_eq(ended_with, 4, "its own result counts: %d", ended_with);
}

static int finishes_slowly(whippet_task *task, void *arg)
{
    waiter_wait_shielded(task, arg, "finishing slowly");
    note('c');
    return 0;
}

static int spawns_slow_finisher(whippet_task *task, void *arg)
{
    whippet_spawn(task, finishes_slowly, arg);
    note('p');
    return 0;
}

static void note_end(void *arg, int result)
{
    (void)arg, (void)result;
    note('e');
}

Test(tasks, do_not_end_before_their_children_have)
{
    struct waiter waiter;
    waiter_init(&waiter);
    whippet_task *task = task_start(&scheduler, spawns_slow_finisher, &waiter, 1.0, NULL, note_end, NULL);
    for (double now = 0; now <= 3; now++)
        scheduler_turn(&scheduler, now);
    cr_expect_str_eq(order, "p", "%s", order);
    cr_expect_str_eq(task_activity(task), "ending its children");
    task_cancel(task);
    waiter_wake(&waiter, 0);
    scheduler_turn(&scheduler, 4);
    scheduler_turn(&scheduler, 4);
    cr_expect_str_eq(order, "pce", "%s", order);
}

Test(tasks, cannot_spawn_when_memory_is_short)
{
    struct sleeper sleepers[3] = {{.seconds = 1}, {.seconds = 1}, {.seconds = 1}};
    (void)sleepers;
    start(sleeps_one_second, NULL);
    /* The stacks of a slab are there already: take them all, so that the next child needs memory. */
    size_t count = 1;
    while (count < (16 << 20) / STACK_SIZE) {
        start(sleeps_one_second, NULL);
        count++;
    }
    memory_permit = deny;
    bool started = true;
    task_start(&scheduler, does_nothing, NULL, INFINITY, NULL, NULL, &started);
    memory_permit = NULL;
    cr_expect_not(started);
    scheduler_turn(&scheduler, 1.0);
    cr_expect_eq(ended_count, count);
}

static int spawns_without_memory(whippet_task *task, void *arg)
{
    (void)arg;
    size_t count = 0;
    memory_permit = deny;
    while (whippet_spawn(task, sleeps_one_second, NULL) != NULL)
        count++;
    memory_permit = NULL;
    cr_expect_gt(count, 0);
    int error = whippet_join_all(task);
    cr_expect_eq(scheduler.tasks, 1);
    return error;
}

Test(tasks, get_null_for_a_child_when_memory_is_short_and_keep_those_they_have)
{
    start(spawns_without_memory, NULL);
    scheduler_turn(&scheduler, 0);
    scheduler_turn(&scheduler, 1.0);
    scheduler_turn(&scheduler, 1.0);
    cr_expect_eq(ended_with, 0, "%d", ended_with);
}

static int tells_deadline(whippet_task *task, void *arg)
{
    *(double *)arg = task_deadline(task);
    return 0;
}

static int spawns_one(whippet_task *task, void *arg)
{
    whippet_spawn(task, tells_deadline, arg);
    return whippet_join_all(task);
}

static int spawns_in_scopes(whippet_task *task, void *arg)
{
    double *deadlines = arg;
    spawns_one(task, &deadlines[0]);
    return whippet_with_timeout(task, 2.0, spawns_one, &deadlines[1]);
}

Test(tasks, inherit_the_deadline_of_the_scope_they_were_spawned_in)
{
    double deadlines[2] = {0, 0};
    task_start(&scheduler, spawns_in_scopes, deadlines, 8.0, NULL, on_end, NULL);
    while (scheduler_busy(&scheduler))
        scheduler_turn(&scheduler, 0);
    cr_expect_eq(deadlines[0], 8.0, "%g", deadlines[0]);
    cr_expect_eq(deadlines[1], 2.0, "%g", deadlines[1]);
}

static int returns_in_a_scope(whippet_task *task, void *arg)
{
    return *(int *)arg == 0 ? 0 : whippet_sleep(task, 0);
}

Test(tasks, run_inside_a_timeout_without_suspending)
{
    int value = 0;
    cr_expect_null(start(returns_in_a_scope, &value));
    cr_expect_eq(ended_with, 0);
}

/* --- Cancelling -----------------------------------------------------------------------------------------*/

struct chain {
    int depth; /* of those below */
    int error; /* what the deepest await returned */
};

static int spawns_a_chain(whippet_task *task, void *arg)
{
    struct chain *chain = arg;
    if (chain->depth-- == 0) {
        chain->error = whippet_sleep(task, 1000);
        return chain->error;
    }
    int result = UNSET;
    whippet_task *child = whippet_spawn(task, spawns_a_chain, chain);
    int error = whippet_join(task, child, &result);
    return error != 0 ? error : result;
}

Test(tasks, are_cancelled_down_to_the_deepest_await)
{
    struct chain chain = {.depth = 20, .error = UNSET};
    whippet_task *task = start(spawns_a_chain, &chain);
    while (scheduler_busy(&scheduler))
        scheduler_turn(&scheduler, 0);
    cr_expect_eq(scheduler.tasks, 21, "%zu", scheduler.tasks);
    task_cancel(task);
    while (scheduler_busy(&scheduler))
        scheduler_turn(&scheduler, 0);
    cr_expect_eq(chain.error, WHIPPET_E_CANCELLED, "%d", chain.error);
    cr_expect_eq(ended_with, WHIPPET_E_CANCELLED, "%d", ended_with);
}

static int cancels_a_chain(whippet_task *task, void *arg)
{
    whippet_task *child = whippet_spawn(task, spawns_a_chain, arg);
    whippet_sleep(task, 1.0);
    whippet_cancel(child);
    int result = UNSET;
    cr_expect_eq(whippet_join(task, child, &result), 0, "the parent itself is not cancelled");
    return result;
}

Test(tasks, cancel_a_very_deep_tree_without_recursion)
{
    struct chain chain = {.depth = 1500, .error = UNSET};
    start(cancels_a_chain, &chain);
    while (scheduler_busy(&scheduler))
        scheduler_turn(&scheduler, 0);
    cr_expect_eq(scheduler.tasks, 1502, "%zu", scheduler.tasks);
    scheduler_turn(&scheduler, 1.0);
    while (scheduler_busy(&scheduler))
        scheduler_turn(&scheduler, 1.0);
    cr_expect_eq(chain.error, WHIPPET_E_CANCELLED, "%d", chain.error);
    cr_expect_eq(ended_with, WHIPPET_E_CANCELLED, "%d", ended_with);
}

static int cancels_before_it_runs(whippet_task *task, void *arg)
{
    whippet_task *child = whippet_spawn(task, sleeps_then_returns, arg);
    whippet_cancel(child);
    return whippet_join(task, child, NULL);
}

Test(tasks, cancelled_before_they_ran_run_and_are_told_at_their_first_await)
{
    struct sleeper sleeper = {.seconds = 100, .error = UNSET};
    start(cancels_before_it_runs, &sleeper);
    while (scheduler_busy(&scheduler))
        scheduler_turn(&scheduler, 0);
    cr_expect_eq(sleeper.error, WHIPPET_E_CANCELLED, "%d", sleeper.error);
    cr_expect_eq(ended_with, 0, "%d", ended_with);
}

static int cancels_an_ended_child(whippet_task *task, void *arg)
{
    whippet_task *child = whippet_spawn(task, returns_its_argument, arg);
    whippet_sleep(task, 0);
    whippet_cancel(child);
    int result = UNSET;
    whippet_join(task, child, &result);
    return result;
}

Test(tasks, that_have_ended_are_not_changed_by_cancelling)
{
    int value = 8;
    start(cancels_an_ended_child, &value);
    while (scheduler_busy(&scheduler))
        scheduler_turn(&scheduler, 0);
    cr_expect_eq(ended_with, 8, "%d", ended_with);
}

static int spawns_after_cancel(whippet_task *task, void *arg)
{
    whippet_sleep(task, 1000);
    whippet_spawn(task, sleeps_then_returns, arg);
    return 0;
}

Test(tasks, spawned_by_a_cancelled_task_are_cancelled_from_the_start)
{
    struct sleeper sleeper = {.seconds = 100, .error = UNSET};
    task_cancel(start(spawns_after_cancel, &sleeper));
    while (scheduler_busy(&scheduler))
        scheduler_turn(&scheduler, 0);
    cr_expect_eq(sleeper.error, WHIPPET_E_CANCELLED, "%d", sleeper.error);
}

static int ignores_cancelling(whippet_task *task, void *arg)
{
    size_t *awaits = arg;
    while (*awaits < 1000 && whippet_sleep(task, 10) != 0)
        ++*awaits;
    return 0;
}

Test(tasks, that_go_on_regardless_come_to_their_end)
{
    size_t awaits = 0;
    task_cancel(start(ignores_cancelling, &awaits));
    scheduler_turn(&scheduler, 0);
    cr_expect_eq(ended_count, 1);
    cr_expect_eq(awaits, 1000, "%zu", awaits);
}
