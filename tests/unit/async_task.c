/* How tasks come and go, and what they carry. Those that belong together are in async_task_children.c. */
#include "async_task_testing.h"

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

/* --- Starting and ending --------------------------------------------------------------------------------*/

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
