#include <async/scheduler.h>
#include <async/task.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <whippet/sync.h>

enum {
    STACK_SIZE = 65536
};

static struct scheduler scheduler;
static char order[64]; /* what happened, a letter each */

static void note(char letter)
{
    size_t length = strlen(order);
    cr_assert_lt(length, sizeof order - 1);
    order[length] = letter;
}

static void set_up(void)
{
    cr_assert_eq(scheduler_init(&scheduler, STACK_SIZE, NULL), 0);
}

static void tear_down(void)
{
    cr_expect_eq(scheduler.tasks, 0, "%zu tasks are left", scheduler.tasks);
    scheduler_destroy(&scheduler);
}

TestSuite(scheduler, .init = set_up, .fini = tear_down);

/* --- Coming ---------------------------------------------------------------------------------------------*/

Test(scheduler, refuses_a_stack_size_that_makes_no_sense_and_names_it)
{
    struct scheduler other;
    struct whippet_failure failure;
    cr_expect_eq(scheduler_init(&other, 12345, &failure), WHIPPET_E_INVALID);
    cr_expect_eq(failure.error, WHIPPET_E_INVALID);
    cr_expect_not_null(strstr(failure.text, "12345"), "%s", failure.text);
}

static int permitted;

static bool permit_some(size_t size)
{
    (void)size;
    return permitted-- > 0;
}

Test(scheduler, cannot_be_had_without_memory)
{
    for (int some = 0; some < 10; some++) {
        struct scheduler other;
        struct whippet_failure failure = {0};
        permitted = some;
        memory_permit = permit_some;
        int error = scheduler_init(&other, STACK_SIZE, &failure);
        memory_permit = NULL;
        if (error == 0) {
            scheduler_destroy(&other);
            return;
        }
        cr_expect_eq(error, WHIPPET_E_MEMORY, "%d", error);
        cr_expect_eq(failure.error, WHIPPET_E_MEMORY);
        cr_expect_str_not_empty(failure.text);
    }
    cr_assert(false, "ten allocations are not enough");
}

/* --- Turning --------------------------------------------------------------------------------------------*/

static void timer_notes(struct timer *timer)
{
    (void)timer;
    note('t');
}

static void post_notes(struct posted *posted)
{
    (void)posted;
    note('p');
}

static int task_notes(whippet_task *task, void *arg)
{
    (void)arg;
    note('a');
    whippet_sleep(task, 0);
    note('b');
    return 0;
}

Test(scheduler, runs_timers_then_tasks_then_posted_work)
{
    struct timer timer = {.function = timer_notes};
    struct posted posted = {.function = post_notes};
    scheduler_post(&scheduler, &posted);
    task_start(&scheduler, task_notes, NULL, INFINITY, NULL, NULL, NULL);
    timer_start(&scheduler.timers, &timer, 1.0);
    scheduler_turn(&scheduler, 1.0);
    cr_expect_str_eq(order, "atbp", "%s", order);
}

Test(scheduler, knows_what_time_it_is_and_never_goes_back)
{
    scheduler_turn(&scheduler, 5.0);
    cr_expect_eq(scheduler.now, 5.0);
    scheduler_turn(&scheduler, 4.0);
    cr_expect_eq(scheduler.now, 5.0, "%g", scheduler.now);
}

Test(scheduler, tells_the_next_timer)
{
    struct timer timer = {.function = timer_notes};
    cr_expect_eq(scheduler_next(&scheduler), INFINITY);
    timer_start(&scheduler.timers, &timer, 3.5);
    cr_expect_eq(scheduler_next(&scheduler), 3.5);
    timer_stop(&scheduler.timers, &timer);
}

Test(scheduler, is_busy_while_a_task_is_ready)
{
    cr_expect_not(scheduler_busy(&scheduler));
    task_start(&scheduler, task_notes, NULL, INFINITY, NULL, NULL, NULL);
    cr_expect(scheduler_busy(&scheduler));
    scheduler_turn(&scheduler, 0);
    cr_expect_not(scheduler_busy(&scheduler));
}

static int yields_thrice(whippet_task *task, void *arg)
{
    for (int i = 0; i < 3; i++) {
        note(*(const char *)arg);
        whippet_sleep(task, 0);
    }
    return 0;
}

Test(scheduler, lets_each_ready_task_run_once_a_turn)
{
    char letters[] = {'x', 'y'};
    task_start(&scheduler, yields_thrice, &letters[0], INFINITY, NULL, NULL, NULL);
    task_start(&scheduler, yields_thrice, &letters[1], INFINITY, NULL, NULL, NULL);
    cr_expect_str_eq(order, "xy", "%s", order);
    scheduler_turn(&scheduler, 0);
    cr_expect_str_eq(order, "xyxy", "%s", order);
    scheduler_turn(&scheduler, 0);
    cr_expect_str_eq(order, "xyxyxy", "%s", order);
    scheduler_turn(&scheduler, 0);
}

struct relay {
    whippet_semaphore *mine, *next;
    char letter;
};

static int passes_on_twice(whippet_task *task, void *arg)
{
    struct relay *relay = arg;
    for (int i = 0; i < 2; i++) {
        whippet_semaphore_acquire(task, relay->mine);
        note(relay->letter);
        whippet_semaphore_release(relay->next);
    }
    return 0;
}

Test(scheduler, runs_whom_a_task_wakes_in_the_same_turn_but_nobody_twice)
{
    whippet_semaphore *batons[] = {whippet_semaphore_create(1), whippet_semaphore_create(1)};
    struct relay runners[] = {{batons[0], batons[1], 'x'}, {batons[1], batons[0], 'y'}};
    for (size_t i = 0; i < 2; i++) {
        cr_assert(whippet_semaphore_try(batons[i]));
        task_start(&scheduler, passes_on_twice, &runners[i], INFINITY, NULL, NULL, NULL);
    }
    whippet_semaphore_release(batons[0]);
    scheduler_turn(&scheduler, 0);
    cr_expect_str_eq(order, "xy", "%s", order);
    scheduler_turn(&scheduler, 0);
    cr_expect_str_eq(order, "xyxy", "%s", order);
    whippet_semaphore_destroy(batons[0]);
    whippet_semaphore_destroy(batons[1]);
}

/* --- Posted work ----------------------------------------------------------------------------------------*/

Test(scheduler, runs_posted_work_once_however_often_it_was_posted)
{
    struct posted posted = {.function = post_notes};
    cr_expect_not(scheduler_busy(&scheduler));
    scheduler_post(&scheduler, &posted);
    scheduler_post(&scheduler, &posted);
    cr_expect(scheduler_busy(&scheduler));
    scheduler_turn(&scheduler, 0);
    cr_expect_str_eq(order, "p", "%s", order);
    scheduler_turn(&scheduler, 0);
    cr_expect_str_eq(order, "p", "%s", order);
}

static void post_again(struct posted *posted)
{
    note('p');
    scheduler_post(&scheduler, posted);
}

Test(scheduler, leaves_what_posted_work_posts_for_the_next_turn)
{
    struct posted posted = {.function = post_again};
    scheduler_post(&scheduler, &posted);
    scheduler_turn(&scheduler, 0);
    cr_expect_str_eq(order, "p", "%s", order);
    scheduler_turn(&scheduler, 0);
    cr_expect_str_eq(order, "pp", "%s", order);
    posted_cancel(&posted);
}

static struct posted other_posted;

static int posts(whippet_task *task, void *arg)
{
    (void)arg;
    whippet_sleep(task, 1.0);
    note('a');
    scheduler_post(&scheduler, &other_posted);
    return 0;
}

Test(scheduler, runs_what_a_task_posts_at_the_end_of_the_same_turn)
{
    other_posted.function = post_notes;
    task_start(&scheduler, posts, NULL, INFINITY, NULL, NULL, NULL);
    scheduler_turn(&scheduler, 1.0);
    cr_expect_str_eq(order, "ap", "%s", order);
}

static void cancel_the_other(struct posted *posted)
{
    (void)posted;
    note('c');
    posted_cancel(&other_posted);
}

Test(scheduler, leaves_out_posted_work_that_was_cancelled_even_in_the_same_turn)
{
    struct posted posted = {.function = cancel_the_other};
    other_posted.function = post_notes;
    posted_cancel(&other_posted);
    scheduler_post(&scheduler, &posted);
    scheduler_post(&scheduler, &other_posted);
    scheduler_turn(&scheduler, 0);
    cr_expect_str_eq(order, "c", "%s", order);
    posted_cancel(&other_posted);
    cr_expect_not(scheduler_busy(&scheduler));
}

/* --- Many tasks -----------------------------------------------------------------------------------------*/

static int sleep_one_second(whippet_task *task, void *arg)
{
    size_t *woken = arg;
    int error = whippet_sleep(task, 1.0);
    ++*woken;
    return error;
}

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
#define WITH_TSAN 1
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define WITH_ASAN 1
#endif

#if defined(WITH_TSAN)
enum {
    CROWD = 2000
}; /* it knows 8,000 threads and fibers at most */
#else
enum {
    CROWD = 60000
};
#endif

static void start_crowd(size_t *woken)
{
    for (size_t i = 0; i < CROWD; i++) {
        bool started;
        cr_assert_not_null(task_start(&scheduler, sleep_one_second, woken, 60, NULL, NULL, &started),
                           "task %zu was %sstarted", i, started ? "" : "not ");
    }
}

Test(scheduler, holds_sixty_thousand_tasks_at_once)
{
    if (stack_pool_limit(scheduler.stacks) < CROWD)
        cr_skip_test("without madvise guards, vm.max_map_count does not let this many stacks be");
    size_t woken = 0;
    start_crowd(&woken);
    cr_expect_eq(scheduler.tasks, CROWD, "%zu", scheduler.tasks);
    scheduler_turn(&scheduler, 0.999);
    cr_expect_eq(woken, 0, "%zu woke too early", woken);
    scheduler_turn(&scheduler, 1.0);
    cr_expect_eq(woken, CROWD, "%zu woke", woken);
    cr_expect_eq(scheduler.tasks, 0, "%zu are left", scheduler.tasks);
}

#if !defined(WITH_ASAN) && !defined(WITH_TSAN)
static size_t resident_bytes(void)
{
    long unsigned pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert_eq(fscanf(file, "%*u %lu", &pages), 1);
    fclose(file);
    return pages * 4096;
}

Test(scheduler, spends_one_page_on_a_sleeping_task)
{
    if (stack_pool_limit(scheduler.stacks) < CROWD)
        cr_skip_test("without madvise guards, vm.max_map_count does not let this many stacks be");
    size_t woken = 0;
    size_t before = resident_bytes();
    start_crowd(&woken);
    double each = (double)(resident_bytes() - before) / CROWD;
    cr_expect_leq(each, 4.5 * 1024, "%g bytes a task", each);
    scheduler_turn(&scheduler, 1.0);
}

Test(scheduler, gives_the_stacks_of_a_burst_back_and_then_rests)
{
    if (stack_pool_limit(scheduler.stacks) < CROWD)
        cr_skip_test("without madvise guards, vm.max_map_count does not let this many stacks be");
    size_t woken = 0;
    size_t before = resident_bytes();
    start_crowd(&woken);
    scheduler_turn(&scheduler, 1.0);
    cr_expect_lt(scheduler_next(&scheduler), INFINITY, "the scheduler looks after the idle stacks");
    int turns = 0;
    while (scheduler_next(&scheduler) < INFINITY) {
        scheduler_turn(&scheduler, scheduler_next(&scheduler));
        cr_assert_lt(++turns, 1000);
    }
    cr_expect_eq(stack_pool_idle(scheduler.stacks), SCHEDULER_KEPT_STACKS, "%zu",
                 stack_pool_idle(scheduler.stacks));
    cr_expect_lt(scheduler.now, 20.0, "it took until %g", scheduler.now);
    cr_expect_lt(resident_bytes(), before + (4 << 20), "%zu bytes are still resident",
                 resident_bytes() - before);
}
#endif

Test(scheduler, looks_after_idle_stacks_only_when_there_are_many)
{
    size_t woken = 0;
    for (int i = 0; i < SCHEDULER_KEPT_STACKS; i++)
        task_start(&scheduler, sleep_one_second, &woken, INFINITY, NULL, NULL, NULL);
    scheduler_turn(&scheduler, 1.0);
    cr_expect_eq(woken, SCHEDULER_KEPT_STACKS);
    cr_expect_eq(scheduler_next(&scheduler), INFINITY, "%g", scheduler_next(&scheduler));
}
