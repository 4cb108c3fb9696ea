/* How tasks come, belong together and go. */
#include <async/scheduler.h>
#include <async/task.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

/* The test that runs into a guard on purpose wants the plain signal. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
    return "handle_segv=0";
}

const char *__tsan_default_options(void)
{
    return "handle_segv=0";
}

enum {
    STACK_SIZE = 65536,
    UNSET = 12345
};

static struct scheduler scheduler;

static void set_up(void)
{
    cr_assert_eq(scheduler_init(&scheduler, STACK_SIZE, NULL), 0);
}

static void tear_down(void)
{
    cr_expect_eq(scheduler.tasks, 0, "%zu tasks are left", scheduler.tasks);
    cr_expect_eq(stack_pool_in_use(scheduler.stacks), 0, "%zu stacks are in use",
                 stack_pool_in_use(scheduler.stacks));
    scheduler_destroy(&scheduler);
}

TestSuite(tasks, .init = set_up, .fini = tear_down);

static char order[128]; /* what happened, a letter each */

static void note(char letter)
{
    size_t length = strlen(order);
    cr_assert_lt(length, sizeof order - 1);
    order[length] = letter;
}

static int ended_with = UNSET;
static size_t ended_count;

static void on_end(void *arg, int result)
{
    (void)arg;
    ended_with = result;
    ended_count++;
    cr_expect_null(scheduler.running, "it is called on the loop's own stack");
}

static whippet_task *start(whippet_task_function *function, void *arg)
{
    bool started;
    whippet_task *task = task_start(&scheduler, function, arg, INFINITY, NULL, on_end, &started);
    cr_assert(started);
    return task;
}

static bool deny(size_t size)
{
    (void)size;
    return false;
}

/* --- Starting and ending --------------------------------------------------------------------------------*/

static int returns_its_argument(whippet_task *task, void *arg)
{
    cr_expect_eq(scheduler.running, task);
    cr_expect_str_eq(task_activity(task), "running");
    return *(int *)arg;
}

Test(tasks, that_never_suspend_end_before_their_start_returns)
{
    int value = 31;
    bool started = false;
    whippet_task *task =
        task_start(&scheduler, returns_its_argument, &value, INFINITY, NULL, on_end, &started);
    cr_expect_null(task);
    cr_expect(started);
    cr_expect_eq(ended_with, 31, "%d", ended_with);
    cr_expect_eq(ended_count, 1);
    cr_expect_eq(scheduler.timers.armings, 0, "no timer was armed");
}

static int sleeps_one_second(whippet_task *task, void *arg)
{
    (void)arg;
    return whippet_sleep(task, 1.0);
}

Test(tasks, that_suspend_are_returned_and_end_later)
{
    bool started = false;
    whippet_task *task = task_start(&scheduler, sleeps_one_second, NULL, 9.0, NULL, on_end, &started);
    cr_assert_not_null(task);
    cr_expect(started);
    cr_expect_null(scheduler.running);
    cr_expect_eq(scheduler.tasks, 1);
    cr_expect_str_eq(task_activity(task), "sleeping");
    cr_expect_eq(task_deadline(task), 9.0);
    cr_expect_eq(task_scheduler(task), &scheduler);
    cr_expect_eq(ended_count, 0);
    scheduler_turn(&scheduler, 1.0);
    cr_expect_eq(ended_count, 1);
    cr_expect_eq(ended_with, 0, "%d", ended_with);
}

Test(tasks, need_nobody_to_hear_of_their_end)
{
    int value = 1;
    task_start(&scheduler, returns_its_argument, &value, INFINITY, NULL, NULL, NULL);
    task_start(&scheduler, sleeps_one_second, NULL, INFINITY, NULL, NULL, NULL);
    scheduler_turn(&scheduler, 1.0);
}

Test(tasks, are_not_started_when_memory_is_short)
{
    int value = 1;
    bool started = true;
    memory_permit = deny;
    whippet_task *task =
        task_start(&scheduler, returns_its_argument, &value, INFINITY, NULL, on_end, &started);
    memory_permit = NULL;
    cr_expect_null(task);
    cr_expect_not(started);
    cr_expect_eq(ended_count, 0);
    cr_expect_eq(scheduler.tasks, 0);
}

Test(tasks, are_not_started_when_their_timers_have_no_room)
{
    int value = 1;
    bool started = true;
    size_t count = 0;
    do {
        start(sleeps_one_second, NULL);
        count++;
    } while (scheduler.timers.count + scheduler.tasks + 1 <= scheduler.timers.capacity);
    memory_permit = deny;
    task_start(&scheduler, returns_its_argument, &value, INFINITY, NULL, on_end, &started);
    memory_permit = NULL;
    cr_expect_not(started);
    scheduler_turn(&scheduler, 1.0);
    cr_expect_eq(ended_count, count, "%zu of %zu ended", ended_count, count);
}

/* --- Starting from the end of another -------------------------------------------------------------------*/

static size_t chain_left;
static uintptr_t chain_lowest = UINTPTR_MAX;
static uintptr_t chain_highest;

static int does_nothing(whippet_task *task, void *arg)
{
    (void)task, (void)arg;
    return 0;
}

static void start_next(void *arg, int result)
{
    (void)result;
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    chain_lowest = frame < chain_lowest ? frame : chain_lowest;
    chain_highest = frame > chain_highest ? frame : chain_highest;
    if (chain_left == 0)
        return;
    chain_left--;
    bool started;
    cr_assert_not_null(task_start(&scheduler, does_nothing, arg, INFINITY, NULL, start_next, &started));
    cr_assert(started);
}

Test(tasks, started_by_the_end_of_another_make_a_chain_of_any_length)
{
    chain_left = 100000;
    task_start(&scheduler, does_nothing, NULL, INFINITY, NULL, start_next, NULL);
    cr_expect_eq(chain_left, 0, "%zu were not run", chain_left);
    cr_expect_lt(chain_highest - chain_lowest, 16384, "it took %lu bytes of stack",
                 (unsigned long)(chain_highest - chain_lowest));
}

static void start_sleeper(void *arg, int result)
{
    (void)arg, (void)result;
    note('e');
    whippet_task *task = start(sleeps_one_second, NULL);
    cr_assert_not_null(task);
    cr_expect_str_eq(task_activity(task), "starting");
    task_cancel(task);
}

Test(tasks, started_by_the_end_of_another_can_be_cancelled_before_they_run)
{
    task_start(&scheduler, does_nothing, NULL, INFINITY, NULL, start_sleeper, NULL);
    cr_expect_str_eq(order, "e");
    cr_expect_eq(ended_with, WHIPPET_E_CANCELLED, "%d", ended_with);
}

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

/* --- What a task carries --------------------------------------------------------------------------------*/

static int allocates(whippet_task *task, void *arg)
{
    (void)arg;
    static const size_t sizes[] = {0, 1, 15, 16, 17, 400, 511, 512, 513, 2000, 2048, 5000, 1 << 20, 1, 100};
    for (int round = 0; round < 10; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            unsigned char *memory = whippet_alloc(task, sizes[i]);
            cr_assert_not_null(memory);
            cr_assert_eq((uintptr_t)memory % _Alignof(max_align_t), 0, "%p", (void *)memory);
            for (size_t at = 0; at < sizes[i]; at++)
                cr_assert_eq(memory[at], 0, "byte %zu of %zu is not zero", at, sizes[i]);
            memset(memory, 0xff, sizes[i]);
        }
    }
    return 0;
}

Test(tasks, have_memory_that_is_zeroed_aligned_and_freed_with_them)
{
    start(allocates, NULL);
    cr_expect_eq(ended_count, 1);
}

static int allocates_without_memory(whippet_task *task, void *arg)
{
    (void)arg;
    memory_permit = deny;
    void *small = whippet_alloc(task, 8);
    void *large = whippet_alloc(task, 8000);
    memory_permit = NULL;
    cr_expect_null(small);
    cr_expect_null(large);
    cr_expect_null(whippet_alloc(task, SIZE_MAX));
    cr_expect_null(whippet_alloc(task, SIZE_MAX / 2 + 1));
    cr_expect_not_null(whippet_alloc(task, 8), "memory is there again");
    return 0;
}

Test(tasks, get_null_when_memory_is_short)
{
    start(allocates_without_memory, NULL);
    cr_expect_eq(ended_count, 1);
}

static char *left_by_child;

static int allocates_in_a_child(whippet_task *task, void *arg)
{
    (void)arg;
    left_by_child = whippet_alloc(task, 6);
    strcpy(left_by_child, "child");
    task_set_reason(task, "of a child", (va_list){0});
    return 0;
}

static int reads_what_the_child_left(whippet_task *task, void *arg)
{
    whippet_join(task, whippet_spawn(task, allocates_in_a_child, arg), NULL);
    cr_expect_str_eq(left_by_child, "child", "a child's memory is its root's");
    cr_expect_str_eq(task_reason(task), "of a child");
    return 0;
}

Test(tasks, keep_the_memory_of_their_children_to_their_own_end)
{
    start(reads_what_the_child_left, NULL);
    while (scheduler_busy(&scheduler))
        scheduler_turn(&scheduler, 0);
    cr_expect_eq(ended_count, 1);
}

__attribute__((format(printf, 2, 3))) static void set_reason(whippet_task *task, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    task_set_reason(task, format, arguments);
    va_end(arguments);
}

static int gives_reasons(whippet_task *task, void *arg)
{
    (void)arg;
    cr_expect_str_eq(task_reason(task), "");
    set_reason(task, "no key %s", "abc");
    cr_expect_str_eq(task_reason(task), "no key abc");
    set_reason(task, "twice: %s", task_reason(task));
    cr_expect_str_eq(task_reason(task), "twice: no key abc");
    return 0;
}

Test(tasks, keep_the_last_reason)
{
    start(gives_reasons, NULL);
    cr_expect_eq(ended_count, 1);
}

static int gives_a_long_reason(whippet_task *task, void *arg)
{
    (void)arg;
    char text[3001] = {0};
    for (size_t i = 0; i + 1 < sizeof text; i += 3)
        memcpy(&text[i], "…", 3);
    set_reason(task, "%s", text);
    cr_expect_eq(strlen(task_reason(task)), 1023, "341 signs of three bytes fit: %zu",
                 strlen(task_reason(task)));
    return 0;
}

Test(tasks, cut_a_long_reason_between_two_signs)
{
    start(gives_a_long_reason, NULL);
    cr_expect_eq(ended_count, 1);
}

static int gives_a_reason_without_memory(whippet_task *task, void *arg)
{
    (void)arg;
    memory_permit = deny;
    set_reason(task, "lost");
    memory_permit = NULL;
    cr_expect_str_eq(task_reason(task), "");
    return 0;
}

Test(tasks, have_no_reason_when_there_is_no_memory_for_it)
{
    start(gives_a_reason_without_memory, NULL);
    cr_expect_eq(ended_count, 1);
}

static int tells_its_fields(whippet_task *task, void *arg)
{
    *(const struct log_fields **)arg = task_log_fields(task);
    return 0;
}

static int spawns_field_teller(whippet_task *task, void *arg)
{
    whippet_spawn(task, tells_its_fields, arg);
    return whippet_join_all(task);
}

Test(tasks, inherit_the_fields_of_their_log_lines)
{
    struct log_fields fields = {.queue = "orders"};
    const struct log_fields *found = NULL;
    task_start(&scheduler, spawns_field_teller, &found, INFINITY, &fields, NULL, NULL);
    while (scheduler_busy(&scheduler))
        scheduler_turn(&scheduler, 0);
    cr_expect_eq(found, &fields);
    cr_expect_null(task_log_fields(NULL));
}

static int uses_stack(whippet_task *task, void *arg)
{
    volatile char taken[20000];
    for (size_t i = 0; i < sizeof taken; i += 100)
        taken[i] = 'x';
    *(size_t *)arg = task_stack_used(task);
    return 0;
}

static int uses_little_stack(whippet_task *task, void *arg)
{
    *(size_t *)arg = task_stack_used(task);
    return 0;
}

Test(tasks, tell_how_much_stack_they_used)
{
    size_t much = 0;
    size_t little = 0;
    stack_pool_measure(scheduler.stacks);
    start(uses_stack, &much);
    start(uses_little_stack, &little);
    cr_expect(much > 20000 && much < 40000, "%zu", much);
    cr_expect_lt(little, 20000, "the stack was used before, but not by this task: %zu", little);
}

static int recurses(whippet_task *task, void *arg)
{
    volatile char taken[1024];
    taken[0] = *(char *)arg;
    return taken[0] == 'x' ? recurses(task, (void *)&taken[0]) + taken[0] : 0;
}

Test(tasks, that_overflow_their_stack_crash_instead_of_writing_elsewhere, .signal = SIGSEGV)
{
    char value = 'x';
    start(recurses, &value);
}

/* --- The board ------------------------------------------------------------------------------------------*/

static struct task_board board;

static int look_at_board_below(whippet_task *task, void *arg)
{
    (void)task;
    *(char *)arg = board.label.bytes[0];
    return 0;
}

static int carry_label(whippet_task *task, void *arg)
{
    const struct task_label *label = arg;
    char below = '?';
    cr_expect(!board_is_taken(&board), "nobody with a label has the CPU yet");
    task_set_label(task, label);
    cr_expect_eq(board.label.bytes[0], label->bytes[0]);
    cr_expect(board_is_taken(&board));
    whippet_sleep(task, 1);
    cr_expect_eq(board.label.bytes[0], label->bytes[0], "another had the CPU meanwhile");
    cr_expect(board_is_taken(&board));
    whippet_spawn(task, look_at_board_below, &below);
    whippet_join_all(task);
    cr_expect_eq(below, label->bytes[0], "a child goes by its root's label");
    return 0;
}

Test(tasks, are_told_apart_by_a_board)
{
    static struct task_label first = {"first"}, second = {"second"};
    board = (struct task_board){0};
    scheduler.board = &board;
    task_start(&scheduler, carry_label, &first, INFINITY, NULL, NULL, NULL);
    task_start(&scheduler, carry_label, &second, INFINITY, NULL, NULL, NULL);
    cr_expect_str_eq(board.label.bytes, "second", "whoever had the CPU last is remembered");
    cr_expect(!board_is_taken(&board), "nobody has it now");
    uint64_t turns = board_turns(&board);
    for (double now = 0; scheduler.tasks > 0; now += 0.5)
        scheduler_turn(&scheduler, now);
    cr_expect_gt(board_turns(&board), turns, "turns are counted");
    scheduler.board = NULL;
}

/* --- Tasks that block -----------------------------------------------------------------------------------*/

static double blocked_until;

static double clock_of_the_blocked(void)
{
    return blocked_until;
}

static int sleep_after_blocking(whippet_task *task, void *arg)
{
    (void)arg;
    blocked_until = 5;
    return whippet_sleep(task, 1);
}

Test(tasks, that_blocked_before_they_sleep_sleep_as_long_all_the_same)
{
    scheduler.clock = clock_of_the_blocked;
    blocked_until = 0;
    task_start(&scheduler, sleep_after_blocking, NULL, INFINITY, NULL, NULL, NULL);
    cr_expect_eq(scheduler_next(&scheduler), 6, "it sleeps until %g", scheduler_next(&scheduler));
    scheduler_turn(&scheduler, 6);
    cr_expect_eq(scheduler.tasks, 0);
}
