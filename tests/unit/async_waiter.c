/* How tasks wait: sleeping, waiters, deadlines, scopes and cancellation. */
#include <async/scheduler.h>
#include <async/task.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static struct scheduler scheduler;

static void set_up(void)
{
    cr_assert_eq(scheduler_init(&scheduler, 65536, NULL), 0);
}

static void tear_down(void)
{
    cr_expect_eq(scheduler.tasks, 0, "%zu tasks are left", scheduler.tasks);
    scheduler_destroy(&scheduler);
}

TestSuite(waiters, .init = set_up, .fini = tear_down);

enum {
    UNSET = 12345
};

/* A task under test: what it is told, and what its awaits returned. */
struct subject {
    double seconds;
    double until;
    struct waiter *waiter;
    whippet_task_function *inner;
    int first;
    int second;
    double ended_at;
    whippet_task *task;
};

static struct subject *subject(void)
{
    static struct subject one;
    one =
        (struct subject){.seconds = 1.0, .until = INFINITY, .first = UNSET, .second = UNSET, .ended_at = -1};
    return &one;
}

static whippet_task *start(whippet_task_function *function, void *arg, double deadline)
{
    bool started;
    whippet_task *task = task_start(&scheduler, function, arg, deadline, NULL, NULL, &started);
    cr_assert(started);
    return task;
}

/* --- Sleeping -------------------------------------------------------------------------------------------*/

static int sleeps(whippet_task *task, void *arg)
{
    struct subject *it = arg;
    it->first = whippet_sleep(task, it->seconds);
    it->ended_at = scheduler.now;
    return it->first;
}

Test(waiters, sleep_as_long_as_they_were_told)
{
    struct subject *it = subject();
    it->seconds = 2.5;
    start(sleeps, it, INFINITY);
    cr_expect_eq(scheduler_next(&scheduler), 2.5, "%g", scheduler_next(&scheduler));
    scheduler_turn(&scheduler, 2.4);
    cr_expect_eq(it->first, UNSET, "woke too early");
    scheduler_turn(&scheduler, 2.5);
    cr_expect_eq(it->first, 0, "%d", it->first);
}

Test(waiters, sleep_for_no_time_by_letting_others_run)
{
    static const double none[] = {0, -1, -INFINITY, NAN, 1e-300};
    scheduler_turn(&scheduler, 1000);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        struct subject *it = subject();
        it->seconds = none[i];
        start(sleeps, it, INFINITY);
        cr_expect_eq(it->first, UNSET, "a sleep of %g did not suspend", none[i]);
        cr_expect_eq(scheduler_next(&scheduler), INFINITY, "it needs no timer");
        scheduler_turn(&scheduler, 1000);
        cr_expect_eq(it->first, 0, "a sleep of %g: %d", none[i], it->first);
    }
}

Test(waiters, sleep_for_ever_until_they_are_cancelled)
{
    struct subject *it = subject();
    it->seconds = INFINITY;
    whippet_task *task = start(sleeps, it, INFINITY);
    scheduler_turn(&scheduler, 1e9);
    cr_expect_eq(it->first, UNSET);
    task_cancel(task);
    scheduler_turn(&scheduler, 1e9);
    cr_expect_eq(it->first, WHIPPET_E_CANCELLED, "%d", it->first);
}

/* --- Waiting and waking ---------------------------------------------------------------------------------*/

static int waits(whippet_task *task, void *arg)
{
    struct subject *it = arg;
    it->task = task;
    it->first = waiter_wait(task, it->waiter, it->until, "waiting for the test");
    it->ended_at = scheduler.now;
    return it->first;
}

Test(waiters, return_what_they_were_woken_with)
{
    struct waiter waiter;
    waiter_init(&waiter);
    struct subject *it = subject();
    it->waiter = &waiter;
    whippet_task *task = start(waits, it, INFINITY);
    cr_expect_str_eq(task_activity(task), "waiting for the test");
    cr_expect_eq(waiter.task, task);
    waiter_wake(&waiter, 42);
    cr_expect_eq(it->first, UNSET, "a wake makes ready and runs nothing");
    cr_expect(scheduler_busy(&scheduler));
    scheduler_turn(&scheduler, 0);
    cr_expect_eq(it->first, 42, "%d", it->first);
}

Test(waiters, woken_before_anybody_waits_remember_it)
{
    struct waiter waiter;
    waiter_init(&waiter);
    waiter_wake(&waiter, 7);
    struct subject *it = subject();
    it->waiter = &waiter;
    cr_expect_null(start(waits, it, INFINITY), "it does not suspend at all");
    cr_expect_eq(it->first, 7, "%d", it->first);
}

Test(waiters, are_woken_once_and_keep_the_first_result)
{
    struct waiter waiter;
    waiter_init(&waiter);
    struct subject *it = subject();
    it->waiter = &waiter;
    start(waits, it, INFINITY);
    waiter_wake(&waiter, 1);
    waiter_wake(&waiter, 2);
    scheduler_turn(&scheduler, 0);
    cr_expect_eq(it->first, 1, "%d", it->first);
}

Test(waiters, give_up_at_their_own_limit)
{
    struct waiter waiter;
    waiter_init(&waiter);
    struct subject *it = subject();
    it->waiter = &waiter;
    it->until = 3.0;
    start(waits, it, INFINITY);
    scheduler_turn(&scheduler, 2.9);
    cr_expect_eq(it->first, UNSET);
    scheduler_turn(&scheduler, 3.0);
    cr_expect_eq(it->first, WHIPPET_E_TIMEOUT, "%d", it->first);
    waiter_wake(&waiter, 1);
    cr_expect_not(scheduler_busy(&scheduler), "a wake after the limit is ignored");
}

Test(waiters, with_a_limit_in_the_past_do_not_suspend)
{
    struct waiter waiter;
    waiter_init(&waiter);
    struct subject *it = subject();
    it->waiter = &waiter;
    it->until = 3.0;
    scheduler_turn(&scheduler, 3.0);
    cr_expect_null(start(waits, it, INFINITY));
    cr_expect_eq(it->first, WHIPPET_E_TIMEOUT, "%d", it->first);
}

static int waits_then_sleeps(whippet_task *task, void *arg)
{
    struct subject *it = arg;
    it->first = waiter_wait(task, it->waiter, it->until, "waiting for the test");
    it->second = whippet_sleep(task, it->seconds);
    return 0;
}

Test(waiters, own_limit_is_not_sticky)
{
    struct waiter waiter;
    waiter_init(&waiter);
    struct subject *it = subject();
    it->waiter = &waiter;
    it->until = 3.0;
    start(waits_then_sleeps, it, INFINITY);
    scheduler_turn(&scheduler, 3.0);
    scheduler_turn(&scheduler, 4.0);
    cr_expect_eq(it->first, WHIPPET_E_TIMEOUT, "%d", it->first);
    cr_expect_eq(it->second, 0, "%d", it->second);
}

Test(waiters, that_are_woken_before_they_go_on_are_not_timed_out_or_cancelled_any_more)
{
    struct waiter waiter;
    waiter_init(&waiter);
    struct subject *it = subject();
    it->waiter = &waiter;
    it->until = 1.0;
    whippet_task *task = start(waits_then_sleeps, it, 1.0);
    waiter_wake(&waiter, 5);
    task_cancel(task);
    scheduler_turn(&scheduler, 2.0);
    cr_expect_eq(it->first, 5, "what comes first counts: %d", it->first);
    cr_expect_eq(it->second, WHIPPET_E_CANCELLED, "%d", it->second);
}

Test(waiters, that_were_cut_short_are_not_woken_any_more)
{
    struct waiter waiter;
    waiter_init(&waiter);
    struct subject *it = subject();
    it->waiter = &waiter;
    whippet_task *task = start(waits, it, INFINITY);
    task_cancel(task);
    waiter_wake(&waiter, 5);
    scheduler_turn(&scheduler, 0);
    cr_expect_eq(it->first, WHIPPET_E_CANCELLED, "%d", it->first);
    cr_expect(waiter.woken, "but it shows that the wake came");
}

Test(waiters, hold_one_task_at_a_time)
{
    struct waiter waiter;
    waiter_init(&waiter);
    struct subject one = {.waiter = &waiter, .until = INFINITY, .first = UNSET};
    struct subject other = {.waiter = &waiter, .until = INFINITY, .first = UNSET};
    start(waits, &one, INFINITY);
    start(waits, &other, INFINITY);
    cr_expect_eq(other.first, WHIPPET_E_INVALID, "%d", other.first);
    waiter_wake(&waiter, 1);
    scheduler_turn(&scheduler, 0);
    cr_expect_eq(one.first, 1, "%d", one.first);
}

static int waits_as_another(whippet_task *task, void *arg)
{
    (void)task;
    struct subject *other = arg;
    struct waiter waiter;
    waiter_init(&waiter);
    cr_expect_eq(waiter_wait(other->task, &waiter, INFINITY, "wrong"), WHIPPET_E_INVALID);
    cr_expect_eq(waiter_wait_shielded(other->task, &waiter, "wrong"), WHIPPET_E_INVALID);
    cr_expect_eq(whippet_sleep(other->task, 0), WHIPPET_E_INVALID);
    cr_expect_eq(whippet_sleep(other->task, 1), WHIPPET_E_INVALID);
    return 0;
}

Test(waiters, are_only_for_the_task_that_runs)
{
    struct waiter waiter;
    waiter_init(&waiter);
    struct subject *it = subject();
    it->waiter = &waiter;
    start(waits, it, INFINITY);
    start(waits_as_another, it, INFINITY);
    waiter_wake(&waiter, 0);
    scheduler_turn(&scheduler, 0);
    cr_expect_eq(it->first, 0);
}

static int wakes(whippet_task *task, void *arg)
{
    (void)task;
    waiter_wake(arg, 9);
    return 0;
}

Test(waiters, can_be_woken_by_another_task)
{
    struct waiter waiter;
    waiter_init(&waiter);
    struct subject *it = subject();
    it->waiter = &waiter;
    start(waits, it, INFINITY);
    start(wakes, &waiter, INFINITY);
    scheduler_turn(&scheduler, 0);
    cr_expect_eq(it->first, 9, "%d", it->first);
}

static bool deny(size_t size)
{
    (void)size;
    return false;
}

Test(waiters, with_limits_need_no_memory)
{
    enum {
        COUNT = 300
    };
    static struct subject many[COUNT];
    for (int i = 0; i < COUNT; i++) {
        many[i] = (struct subject){.seconds = 0, .first = UNSET};
        start(sleeps, &many[i], 100.0);
        many[i].seconds = 1.0 + i;
    }
    scheduler_turn(&scheduler, 0);
    cr_assert_eq(scheduler.tasks, 0);

    /* Each reads how long to sleep only after the first await: all timers are armed when memory is short. */
    static struct waiter gates[COUNT];
    for (int i = 0; i < COUNT; i++) {
        waiter_init(&gates[i]);
        many[i] = (struct subject){.seconds = 1.0, .until = INFINITY, .waiter = &gates[i], .second = UNSET};
        start(waits_then_sleeps, &many[i], INFINITY);
    }
    memory_permit = deny;
    for (int i = 0; i < COUNT; i++)
        waiter_wake(&gates[i], 0);
    scheduler_turn(&scheduler, 0);
    scheduler_turn(&scheduler, 1.0);
    memory_permit = NULL;
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(many[i].second, 0, "sleeper %d: %d", i, many[i].second);
}

/* --- Deadlines ------------------------------------------------------------------------------------------*/

static int sleeps_twice(whippet_task *task, void *arg)
{
    struct subject *it = arg;
    it->first = whippet_sleep(task, it->seconds);
    it->second = whippet_sleep(task, 0);
    it->ended_at = scheduler.now;
    return 0;
}

Test(waiters, return_timeout_at_the_deadline_and_ever_after)
{
    struct subject *it = subject();
    it->seconds = 10;
    start(sleeps_twice, it, 3.0);
    scheduler_turn(&scheduler, 2.9);
    cr_expect_eq(it->first, UNSET);
    scheduler_turn(&scheduler, 3.0);
    cr_expect_eq(it->first, WHIPPET_E_TIMEOUT, "%d", it->first);
    cr_expect_eq(it->second, WHIPPET_E_TIMEOUT, "%d", it->second);
    cr_expect_eq(it->ended_at, 3.0, "no await suspends any more");
}

Test(waiters, arm_no_timer_for_the_deadline_of_a_task_that_does_not_suspend)
{
    struct waiter waiter;
    waiter_init(&waiter);
    waiter_wake(&waiter, 0);
    struct subject *it = subject();
    it->waiter = &waiter;
    start(waits, it, 3.0);
    cr_expect_eq(scheduler.timers.armings, 0, "%lu timers were armed",
                 (unsigned long)scheduler.timers.armings);
}

Test(waiters, whose_deadline_has_passed_do_not_suspend_at_all)
{
    scheduler_turn(&scheduler, 5.0);
    struct subject *it = subject();
    cr_expect_null(start(sleeps_twice, it, 5.0));
    cr_expect_eq(it->first, WHIPPET_E_TIMEOUT, "%d", it->first);
    cr_expect_eq(it->second, WHIPPET_E_TIMEOUT, "%d", it->second);
}

static int tells_time_left(whippet_task *task, void *arg)
{
    double *left = arg;
    left[0] = whippet_time_left(task);
    whippet_sleep(task, 4.0);
    left[1] = whippet_time_left(task);
    return 0;
}

Test(waiters, tell_the_time_left)
{
    double left[2];
    start(tells_time_left, left, 3.0);
    cr_expect_eq(left[0], 3.0, "%g", left[0]);
    scheduler_turn(&scheduler, 5.0);
    cr_expect_eq(left[1], -2.0, "%g", left[1]);
    start(tells_time_left, left, INFINITY);
    scheduler_turn(&scheduler, 9.0);
    cr_expect_eq(left[0], INFINITY, "%g", left[0]);
    cr_expect_eq(left[1], INFINITY, "%g", left[1]);
}

/* --- Cancelling -----------------------------------------------------------------------------------------*/

Test(waiters, return_cancelled_and_ever_after)
{
    struct subject *it = subject();
    it->seconds = 10;
    whippet_task *task = start(sleeps_twice, it, 20.0);
    cr_expect_eq(task_struck(task), 0);
    task_cancel(task);
    cr_expect_eq(task_struck(task), WHIPPET_E_CANCELLED);
    task_cancel(task);
    cr_expect_eq(it->first, UNSET, "cancelling makes ready and runs nothing");
    scheduler_turn(&scheduler, 0);
    cr_expect_eq(it->first, WHIPPET_E_CANCELLED, "%d", it->first);
    cr_expect_eq(it->second, WHIPPET_E_CANCELLED, "%d", it->second);
}

Test(waiters, cancelled_before_the_deadline_keep_saying_cancelled)
{
    struct subject *it = subject();
    it->seconds = 10;
    whippet_task *task = start(sleeps_twice, it, 3.0);
    task_cancel(task);
    scheduler_turn(&scheduler, 5.0);
    cr_expect_eq(it->first, WHIPPET_E_CANCELLED, "%d", it->first);
    cr_expect_eq(it->second, WHIPPET_E_CANCELLED, "%d", it->second);
}

static int cancels_itself_after_the_deadline(whippet_task *task, void *arg)
{
    struct subject *it = arg;
    it->first = whippet_sleep(task, 10);
    whippet_cancel(task);
    it->second = whippet_sleep(task, 10);
    return 0;
}

Test(waiters, timed_out_before_they_were_cancelled_keep_saying_timeout)
{
    struct subject *it = subject();
    start(cancels_itself_after_the_deadline, it, 3.0);
    scheduler_turn(&scheduler, 3.0);
    cr_expect_eq(it->first, WHIPPET_E_TIMEOUT, "%d", it->first);
    cr_expect_eq(it->second, WHIPPET_E_TIMEOUT, "%d", it->second);
}

static int sleeps_then_waits(whippet_task *task, void *arg)
{
    struct subject *it = arg;
    it->first = whippet_sleep(task, it->seconds);
    it->second = waiter_wait(task, it->waiter, INFINITY, "waiting for the test");
    return 0;
}

Test(waiters, cancelled_while_they_let_others_run_say_so)
{
    struct subject *it = subject();
    it->seconds = 0;
    whippet_task *task = start(sleeps, it, INFINITY);
    task_cancel(task);
    scheduler_turn(&scheduler, 0);
    cr_expect_eq(it->first, WHIPPET_E_CANCELLED, "%d", it->first);
}

Test(waiters, woken_before_a_cancelled_task_waits_do_not_keep_it_going)
{
    struct waiter waiter;
    waiter_init(&waiter);
    struct subject *it = subject();
    it->seconds = 0;
    it->waiter = &waiter;
    whippet_task *task = start(sleeps_then_waits, it, INFINITY);
    waiter_wake(&waiter, 5);
    task_cancel(task);
    scheduler_turn(&scheduler, 0);
    cr_expect_eq(it->second, WHIPPET_E_CANCELLED, "%d", it->second);
    cr_expect(waiter.woken);
}

/* --- Shielded -------------------------------------------------------------------------------------------*/

static int waits_shielded(whippet_task *task, void *arg)
{
    struct subject *it = arg;
    it->first = waiter_wait_shielded(task, it->waiter, "must not be left half done");
    it->second = whippet_sleep(task, 1.0);
    return 0;
}

Test(waiters, that_are_shielded_end_neither_by_deadline_nor_by_cancellation)
{
    struct waiter waiter;
    waiter_init(&waiter);
    struct subject *it = subject();
    it->waiter = &waiter;
    whippet_task *task = start(waits_shielded, it, 1.0);
    scheduler_turn(&scheduler, 2.0);
    task_cancel(task);
    scheduler_turn(&scheduler, 3.0);
    cr_expect_eq(it->first, UNSET);
    waiter_wake(&waiter, 11);
    scheduler_turn(&scheduler, 4.0);
    cr_expect_eq(it->first, 11, "%d", it->first);
    cr_expect_eq(it->second, WHIPPET_E_CANCELLED, "the next await tells: %d", it->second);
}

Test(waiters, that_are_shielded_and_woken_already_do_not_suspend)
{
    struct waiter waiter;
    waiter_init(&waiter);
    waiter_wake(&waiter, 3);
    struct subject *it = subject();
    it->waiter = &waiter;
    start(waits_shielded, it, INFINITY);
    cr_expect_eq(it->first, 3, "%d", it->first);
    scheduler_turn(&scheduler, 1.0);
}

/* --- Scopes ---------------------------------------------------------------------------------------------*/

static int runs_inner_with_timeout(whippet_task *task, void *arg)
{
    struct subject *it = arg;
    it->first = whippet_with_timeout(task, it->until, it->inner, it);
    it->second = whippet_sleep(task, 1.0);
    it->ended_at = scheduler.now;
    return 0;
}

static int sleeps_long(whippet_task *task, void *arg)
{
    (void)arg;
    int error = whippet_sleep(task, 100);
    cr_expect_eq(whippet_sleep(task, 1), error, "sticky inside");
    return error;
}

static int returns_positive(whippet_task *task, void *arg)
{
    (void)task, (void)arg;
    return 77;
}

Test(waiters, inside_a_narrower_deadline_time_out_there_and_go_on_outside)
{
    struct subject *it = subject();
    it->until = 2.0;
    it->inner = sleeps_long;
    start(runs_inner_with_timeout, it, 50.0);
    cr_expect_eq(scheduler_next(&scheduler), 2.0, "%g", scheduler_next(&scheduler));
    scheduler_turn(&scheduler, 2.0);
    cr_expect_eq(it->first, WHIPPET_E_TIMEOUT, "%d", it->first);
    scheduler_turn(&scheduler, 3.0);
    cr_expect_eq(it->second, 0, "%d", it->second);
}

Test(waiters, inside_a_wider_deadline_keep_the_earlier_one)
{
    struct subject *it = subject();
    it->until = 1000.0;
    it->inner = sleeps_long;
    start(runs_inner_with_timeout, it, 5.0);
    scheduler_turn(&scheduler, 5.0);
    cr_expect_eq(it->first, WHIPPET_E_TIMEOUT, "%d", it->first);
    cr_expect_eq(it->second, WHIPPET_E_TIMEOUT, "the outer deadline has passed: %d", it->second);
}

Test(waiters, inside_no_time_at_all_time_out_at_once)
{
    static const double none[] = {0, -1, NAN};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        struct subject *it = subject();
        it->until = none[i];
        it->inner = sleeps_long;
        start(runs_inner_with_timeout, it, INFINITY);
        cr_expect_eq(it->first, WHIPPET_E_TIMEOUT, "%g: %d", none[i], it->first);
        scheduler_turn(&scheduler, scheduler.now + 1.0);
        cr_expect_eq(it->second, 0, "%d", it->second);
    }
}

Test(waiters, with_a_timeout_pass_the_result_on)
{
    struct subject *it = subject();
    it->until = 1.0;
    it->inner = returns_positive;
    start(runs_inner_with_timeout, it, INFINITY);
    cr_expect_eq(it->first, 77, "%d", it->first);
    scheduler_turn(&scheduler, 1.0);
    cr_expect_eq(it->second, 0, "the deadline was only for inside: %d", it->second);
}

Test(waiters, cancelled_inside_a_scope_are_cancelled_outside_too)
{
    struct subject *it = subject();
    it->until = 50.0;
    it->inner = sleeps_long;
    whippet_task *task = start(runs_inner_with_timeout, it, INFINITY);
    task_cancel(task);
    scheduler_turn(&scheduler, 0);
    cr_expect_eq(it->first, WHIPPET_E_CANCELLED, "%d", it->first);
    cr_expect_eq(it->second, WHIPPET_E_CANCELLED, "%d", it->second);
}

static int innermost_left(whippet_task *task, void *arg)
{
    *(double *)arg = whippet_time_left(task);
    return whippet_sleep(task, 100);
}

static int middle(whippet_task *task, void *arg)
{
    int error = whippet_with_timeout(task, 2.0, innermost_left, arg);
    cr_expect_eq(error, WHIPPET_E_TIMEOUT, "%d", error);
    cr_expect_eq(whippet_time_left(task), 3.0, "%g", whippet_time_left(task));
    return whippet_sleep(task, 1.0);
}

static int outermost(whippet_task *task, void *arg)
{
    int result = whippet_with_timeout(task, 5.0, middle, arg);
    cr_expect_eq(whippet_time_left(task), 7.0, "%g", whippet_time_left(task));
    return result;
}

static int result_of_outermost = UNSET;

static void note_result(void *arg, int result)
{
    (void)arg;
    result_of_outermost = result;
}

Test(waiters, in_nested_scopes_have_the_narrowest_deadline_and_get_each_back)
{
    double left = 0;
    task_start(&scheduler, outermost, &left, 10.0, NULL, note_result, NULL);
    cr_expect_eq(left, 2.0, "%g", left);
    scheduler_turn(&scheduler, 2.0);
    scheduler_turn(&scheduler, 3.0);
    cr_expect_eq(result_of_outermost, 0, "%d", result_of_outermost);
}

static int sleeps_inside_after_struck(whippet_task *task, void *arg)
{
    struct subject *it = arg;
    it->first = whippet_sleep(task, 10);
    it->second = whippet_with_timeout(task, 5, sleeps_long, it);
    return 0;
}

Test(waiters, in_a_scope_entered_after_the_deadline_return_timeout_at_once)
{
    struct subject *it = subject();
    start(sleeps_inside_after_struck, it, 1.0);
    scheduler_turn(&scheduler, 1.0);
    cr_expect_eq(it->first, WHIPPET_E_TIMEOUT, "%d", it->first);
    cr_expect_eq(it->second, WHIPPET_E_TIMEOUT, "%d", it->second);
}
