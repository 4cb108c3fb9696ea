#include "tasks.h"
#include <math.h>
#include <string.h>

enum {
    STACK_SIZE = 65536,
    MOST_TASKS = 64
};

struct scheduler scheduler;
char noted[128];

/* A root, and where its result goes. */
struct root {
    whippet_task_function *function;
    void *arg;
    int *result;
};

static struct root roots[MOST_TASKS];
static size_t root_count;

void tasks_set_up(void)
{
    cr_assert_eq(scheduler_init(&scheduler, STACK_SIZE, NULL), 0);
}

void tasks_tear_down(void)
{
    cr_expect_eq(scheduler.tasks, 0, "%zu tasks are left", scheduler.tasks);
    scheduler_destroy(&scheduler);
}

static int run_root(whippet_task *task, void *arg)
{
    struct root *root = arg;
    return root->function(task, root->arg);
}

static void root_ended(void *arg, int result)
{
    struct root *root = arg;
    *root->result = result;
}

whippet_task *start(whippet_task_function *function, const void *arg, int *result)
{
    bool started;
    cr_assert_lt(root_count, MOST_TASKS);
    struct root *root = &roots[root_count++];
    *root = (struct root){.function = function, .arg = (void *)arg, .result = result};
    *result = TASKS_UNSET;
    whippet_task *task = task_start(&scheduler, run_root, root, INFINITY, NULL, root_ended, &started);
    cr_assert(started);
    return task;
}

void turn(double now)
{
    scheduler_turn(&scheduler, now);
}

void note(char letter)
{
    size_t length = strlen(noted);
    cr_assert_lt(length, sizeof noted - 1);
    noted[length] = letter;
}

bool tasks_deny(size_t size)
{
    (void)size;
    return false;
}
