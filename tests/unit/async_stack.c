#include <async/context.h>
#include <async/stack.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <under_valgrind.h>

/* The tests that run into a guard on purpose want the plain signal. */
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
    PAGE = 4096,
    STACK_SIZE = 65536,
    SLAB_STACKS = (16 << 20) / STACK_SIZE,
};

static bool deny(size_t size)
{
    (void)size;
    return false;
}

static struct stack acquire(struct stack_pool *pool)
{
    struct stack stack;
    cr_assert(stack_acquire(pool, &stack), "no stack to be had with %zu in use", stack_pool_in_use(pool));
    return stack;
}

static void touch(struct stack stack, size_t bytes)
{
    for (char *at = stack.high - 1; at >= stack.high - bytes; at -= PAGE)
        *(volatile char *)at = 'x';
}

/* --- Getting stacks -------------------------------------------------------------------------------------*/

Test(stacks, have_a_size_that_makes_sense)
{
    static const size_t wrong[] = {
        0, 1, PAGE, 3 * PAGE, 16383, 16385, STACK_SIZE + 1, SIZE_MAX, SIZE_MAX - PAGE + 1};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_expect_not(stack_size_valid(wrong[i]), "%zu", wrong[i]);
        cr_expect_null(stack_pool_create(wrong[i]), "%zu", wrong[i]);
    }
    static const size_t right[] = {16384, 5 * PAGE, STACK_SIZE, 262144, 64 << 20};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        struct stack_pool *pool = stack_pool_create(right[i]);
        cr_expect_not_null(pool, "%zu", right[i]);
        cr_expect_eq(stack_pool_size(pool), right[i]);
        struct stack stack = acquire(pool);
        cr_expect_eq((size_t)(stack.high - stack.low), right[i] - PAGE);
        stack_release(pool, stack);
        stack_pool_destroy(pool);
    }
}

Test(stacks, are_writable_all_over_and_do_not_overlap)
{
    enum {
        COUNT = SLAB_STACKS + 3
    };
    struct stack_pool *pool = stack_pool_create(STACK_SIZE);
    static struct stack stacks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        stacks[i] = acquire(pool);
        memset(stacks[i].low, i % 251, (size_t)(stacks[i].high - stacks[i].low));
    }
    cr_expect_eq(stack_pool_in_use(pool), COUNT, "%zu", stack_pool_in_use(pool));
    for (int i = 0; i < COUNT; i++) {
        for (char *at = stacks[i].low; at < stacks[i].high; at++)
            cr_assert_eq(*at, (char)(i % 251), "stack %d was overwritten", i);
        stack_release(pool, stacks[i]);
    }
    cr_expect_eq(stack_pool_in_use(pool), 0);
    stack_pool_destroy(pool);
}

Test(stacks, come_back_last_in_first_out)
{
    struct stack_pool *pool = stack_pool_create(STACK_SIZE);
    struct stack one = acquire(pool);
    struct stack other = acquire(pool);
    stack_release(pool, other);
    stack_release(pool, one);
    cr_expect_eq(acquire(pool).low, one.low);
    cr_expect_eq(acquire(pool).low, other.low);
    stack_release(pool, one);
    stack_release(pool, other);
    stack_pool_destroy(pool);
}

Test(stacks, are_not_to_be_had_when_memory_is_short)
{
    memory_permit = deny;
    cr_expect_null(stack_pool_create(STACK_SIZE));
    memory_permit = NULL;

    struct stack_pool *pool = stack_pool_create(STACK_SIZE);
    struct stack stack;
    memory_permit = deny;
    cr_expect_not(stack_acquire(pool, &stack));
    memory_permit = NULL;
    cr_expect_eq(stack_pool_in_use(pool), 0);
    cr_expect(stack_acquire(pool, &stack), "memory is there again");
    stack_release(pool, stack);
    stack_pool_destroy(pool);
}

Test(stacks, of_a_pool_that_was_never_made_need_no_destroying)
{
    stack_pool_destroy(NULL);
}

/* --- Guards ---------------------------------------------------------------------------------------------*/

/* NULL where this machine lacks the guard. */
static struct stack_pool *guarded_pool(enum stack_guard guard)
{
    struct stack_pool *pool = stack_pool_create_guarded(STACK_SIZE, guard);
    if (pool == NULL)
        cr_skip_test("this kernel has no such guard");
    cr_assert_eq(stack_pool_guard(pool), guard);
    return pool;
}

static void write_below(struct stack stack)
{
    *(volatile char *)(stack.low - 1) = 'x';
}

/* Valgrind knows no guards but those of mprotect; a test that expects a signal can't be skipped. */
static void signal_under_valgrind(void)
{
    if (UNDER_VALGRIND)
        raise(SIGSEGV);
}

Test(stacks, end_in_a_guard_by_madvise, .signal = SIGSEGV)
{
    signal_under_valgrind();
    write_below(acquire(guarded_pool(STACK_GUARD_MADVISE)));
}

Test(stacks, end_in_a_guard_by_mprotect, .signal = SIGSEGV)
{
    write_below(acquire(guarded_pool(STACK_GUARD_MPROTECT)));
}

Test(stacks, keep_their_guard_when_their_memory_is_given_back, .signal = SIGSEGV)
{
    signal_under_valgrind();
    struct stack_pool *pool = guarded_pool(STACK_GUARD_MADVISE);
    struct stack stack = acquire(pool);
    touch(stack, STACK_SIZE - PAGE);
    stack_release(pool, stack);
    stack_pool_trim(pool, 0);
    write_below(acquire(pool));
}

static struct context home;

static void take_a_large_frame(void *argument)
{
    char taken[4 * STACK_SIZE];
    __asm__ volatile("" : : "r"(taken) : "memory"); /* or the compiler takes less */
    context_finish(argument, &home);
}

/* Without -fstack-clash-protection such a frame reaches over the guard into the next stack. */
Test(stacks, are_not_jumped_out_of_by_a_large_frame, .signal = SIGSEGV)
{
    struct stack_pool *pool = stack_pool_create(STACK_SIZE);
    struct stack stack = acquire(pool);
    struct context context;
    cr_assert(context_init_home(&home));
    context_init(&context, stack.low, stack.high, take_a_large_frame, &context);
    context_switch(&home, &context);
}

Test(stacks, have_the_best_guard_there_is)
{
    struct stack_pool *madvised = stack_pool_create_guarded(STACK_SIZE, STACK_GUARD_MADVISE);
    struct stack_pool *pool = stack_pool_create(STACK_SIZE);
    cr_assert_not_null(pool);
    enum stack_guard best = madvised != NULL ? STACK_GUARD_MADVISE : STACK_GUARD_MPROTECT;
    cr_expect_eq(stack_pool_guard(pool), best);
    stack_pool_destroy(pool);
    stack_pool_destroy(madvised);
}

/* --- How many -------------------------------------------------------------------------------------------*/

Test(stacks, with_madvise_guards_are_not_limited_in_number)
{
    struct stack_pool *pool = guarded_pool(STACK_GUARD_MADVISE);
    cr_expect_eq(stack_pool_limit(pool), SIZE_MAX);
    stack_pool_destroy(pool);
}

/* Sanitizers map memory of their own all the time, and do not survive it when they can't. */
#if defined(__SANITIZE_ADDRESS__) || defined(__clang__)
#define MAY_RUN_OUT_OF_MAPPINGS false
#else
#define MAY_RUN_OUT_OF_MAPPINGS true
#endif

/* As many as it says can be had; and when there are no more, that is an answer and not a crash. */
Test(stacks, with_mprotect_guards_are_limited_by_the_number_of_mappings)
{
    struct stack_pool *pool = stack_pool_create_guarded(16384, STACK_GUARD_MPROTECT);
    size_t limit = stack_pool_limit(pool);
    cr_assert_gt(limit, 1000);
    skip_under_valgrind("it has room for fewer mappings than the kernel");
#if defined(__SANITIZE_THREAD__) || (defined(__SANITIZE_ADDRESS__) && __GNUC__ >= 14)
    cr_skip_test("the sanitizer takes a mapping for each of ours");
#endif
    if (limit > 100000)
        cr_skip_test("vm.max_map_count is too large here to run out of it");
    size_t most = MAY_RUN_OUT_OF_MAPPINGS ? 2 * limit : limit;
    struct stack *stacks = malloc(most * sizeof *stacks);
    size_t count = 0;
    while (count < most && stack_acquire(pool, &stacks[count]))
        count++;
    cr_expect_geq(count, limit, "%zu of %zu", count, limit);
    cr_expect(!MAY_RUN_OUT_OF_MAPPINGS || count < most, "%zu are more than there can be mappings", count);
    cr_expect_eq(stack_pool_in_use(pool), count);
    for (size_t i = 0; i < count; i++)
        stack_release(pool, stacks[i]);
    struct stack again = acquire(pool);
    stack_release(pool, again);
    stack_pool_destroy(pool);
    free(stacks);
}

/* --- Giving memory back ---------------------------------------------------------------------------------*/

static void use_and_release(struct stack_pool *pool, size_t count)
{
    struct stack *stacks = malloc(count * sizeof *stacks);
    for (size_t i = 0; i < count; i++) {
        stacks[i] = acquire(pool);
        touch(stacks[i], PAGE);
    }
    while (count > 0)
        stack_release(pool, stacks[--count]);
    free(stacks);
}

Test(stacks, hold_no_memory_after_a_trim)
{
    struct stack_pool *pool = stack_pool_create(STACK_SIZE);
    struct stack stack = acquire(pool);
    touch(stack, 3 * PAGE);
    stack_release(pool, stack);
    cr_expect_eq(stack_pool_idle(pool), 1, "%zu", stack_pool_idle(pool));
    stack_pool_trim(pool, 0);
    cr_expect_eq(stack_pool_idle(pool), 0, "%zu", stack_pool_idle(pool));
    cr_expect_eq(stack_used(stack), 0, "%zu bytes are left", stack_used(stack));
    stack_pool_destroy(pool);
}

Test(stacks, used_last_keep_their_memory_in_a_trim)
{
    struct stack_pool *pool = stack_pool_create(STACK_SIZE);
    use_and_release(pool, 10);
    stack_pool_trim(pool, 4);
    cr_expect_eq(stack_pool_idle(pool), 4, "%zu", stack_pool_idle(pool));
    struct stack stacks[10];
    for (int i = 0; i < 10; i++) {
        stacks[i] = acquire(pool);
        size_t expected = i < 4 ? PAGE : 0;
        cr_expect_eq(stack_used(stacks[i]), expected, "stack %d holds %zu bytes", i, stack_used(stacks[i]));
    }
    for (int i = 0; i < 10; i++)
        stack_release(pool, stacks[i]);
    stack_pool_destroy(pool);
}

Test(stacks, are_left_alone_by_a_trim_that_keeps_more_than_there_are)
{
    struct stack_pool *pool = stack_pool_create(STACK_SIZE);
    use_and_release(pool, 3);
    stack_pool_trim(pool, 1000);
    cr_expect_eq(stack_pool_idle(pool), 3, "%zu", stack_pool_idle(pool));
    stack_pool_destroy(pool);
}

Test(stacks, count_as_idle_only_when_they_were_not_used_since_the_last_look)
{
    struct stack_pool *pool = stack_pool_create(STACK_SIZE);
    use_and_release(pool, 100);
    cr_expect_not(stack_pool_trim_idle(pool, 10, 1000), "the first look only notes");
    cr_expect_eq(stack_pool_idle(pool), 100, "all were used just now: %zu", stack_pool_idle(pool));

    use_and_release(pool, 40);
    cr_expect_not(stack_pool_trim_idle(pool, 10, 1000));
    cr_expect_eq(stack_pool_idle(pool), 50, "60 lay unused, 10 of them are kept: %zu", stack_pool_idle(pool));

    cr_expect_not(stack_pool_trim_idle(pool, 10, 1000));
    cr_expect_eq(stack_pool_idle(pool), 10, "%zu", stack_pool_idle(pool));
    stack_pool_destroy(pool);
}

Test(stacks, are_trimmed_in_steps)
{
    struct stack_pool *pool = stack_pool_create(STACK_SIZE);
    use_and_release(pool, 100);
    stack_pool_trim_idle(pool, 0, 0);
    for (size_t step = 1; step <= 3; step++) {
        cr_expect(stack_pool_trim_idle(pool, 0, 30));
        cr_expect_eq(stack_pool_idle(pool), 100 - 30 * step, "%zu", stack_pool_idle(pool));
    }
    cr_expect_not(stack_pool_trim_idle(pool, 0, 30));
    cr_expect_eq(stack_pool_idle(pool), 0, "%zu", stack_pool_idle(pool));
    stack_pool_destroy(pool);
}

/* --- Measuring ------------------------------------------------------------------------------------------*/

Test(stacks, tell_how_much_of_them_was_used)
{
    struct stack_pool *pool = stack_pool_create(8 << 20);
    struct stack stack = acquire(pool);
    cr_expect_eq(stack_used(stack), 0, "%zu", stack_used(stack));
    touch(stack, 1);
    cr_expect_eq(stack_used(stack), PAGE, "%zu", stack_used(stack));
    touch(stack, 5 * PAGE);
    cr_expect_eq(stack_used(stack), 5 * PAGE, "%zu", stack_used(stack));
    touch(stack, (8 << 20) - PAGE);
    cr_expect_eq(stack_used(stack), (8 << 20) - PAGE, "%zu", stack_used(stack));
    stack_release(pool, stack);
    stack_pool_destroy(pool);
}

Test(stacks, of_a_measured_pool_start_anew_each_time)
{
    struct stack_pool *pool = stack_pool_create(STACK_SIZE);
    struct stack stack = acquire(pool);
    touch(stack, 5 * PAGE);
    stack_release(pool, stack);
    stack_pool_measure(pool);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(acquire(pool).low, stack.low);
        cr_expect_eq(stack_used(stack), 0, "%zu", stack_used(stack));
        touch(stack, 2 * PAGE);
        cr_expect_eq(stack_used(stack), 2 * PAGE, "%zu", stack_used(stack));
        stack_release(pool, stack);
    }
    stack_pool_destroy(pool);
}
