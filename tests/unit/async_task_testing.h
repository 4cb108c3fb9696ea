/* Tasks on a scheduler that the test turns. Included by one test file each. */
#ifndef TESTS_ASYNC_TASK_TESTING_H
#define TESTS_ASYNC_TASK_TESTING_H

#include <async/scheduler.h>
#include <async/task.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

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

static int returns_its_argument(whippet_task *task, void *arg)
{
    cr_expect_eq(scheduler.running, task);
    cr_expect_str_eq(task_activity(task), "running");
    return *(int *)arg;
}

static int sleeps_one_second(whippet_task *task, void *arg)
{
    (void)arg;
    return whippet_sleep(task, 1.0);
}

static int does_nothing(whippet_task *task, void *arg)
{
    (void)task, (void)arg;
    return 0;
}

#endif
