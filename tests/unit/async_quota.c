/* A limit for the tasks that others spawn. */
#include <async/scheduler.h>
#include <async/task.h>
#include <criterion/criterion.h>
#include <math.h>

enum {
    MOST = 5
};

static struct scheduler scheduler;
static struct task_quota quota;
static unsigned spawned, refused;

static void open_all(void)
{
    struct whippet_failure failure;
    cr_assert_eq(scheduler_init(&scheduler, 64 * 1024, &failure), 0, "%s", failure.text);
    quota = (struct task_quota){.most = MOST};
    scheduler.quota = &quota;
}

static void close_all(void)
{
    cr_assert_eq(scheduler.tasks, 0);
    cr_assert_eq(quota.used, 0);
    scheduler_destroy(&scheduler);
}

TestSuite(quota, .init = open_all, .fini = close_all);

static int sleep_for_ever(whippet_task *task, void *arg)
{
    (void)arg;
    return whippet_sleep(task, 1e9);
}

static int spawn_ten(whippet_task *task, void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        if (whippet_spawn(task, sleep_for_ever, NULL) != NULL)
            spawned++;
        else
            refused++;
    }
    return 0;
}

static void start(whippet_task_function *function)
{
    bool started;
    task_start(&scheduler, function, NULL, INFINITY, NULL, NULL, &started);
    cr_assert(started, "a task of our own was refused");
}

static void turn_to_the_end(void)
{
    while (scheduler.tasks > 0)
        scheduler_turn(&scheduler, scheduler.now);
}

Test(quota, is_what_can_be_spawned_and_no_more)
{
    start(spawn_ten);
    cr_assert_eq(spawned, MOST);
    cr_assert_eq(refused, 10 - MOST);
    turn_to_the_end();
}

Test(quota, is_given_back_when_the_spawned_end)
{
    for (int i = 0; i < 3; i++) {
        spawned = 0;
        start(spawn_ten);
        turn_to_the_end();
        cr_assert_eq(spawned, MOST);
    }
}

static int spawn_and_wait(whippet_task *task, void *arg)
{
    spawn_ten(task, arg);
    return whippet_sleep(task, 1);
}

/* So a processor that spawns all there is never keeps another queue's attempts from starting. */
Test(quota, does_not_count_the_workers_own_tasks)
{
    start(spawn_and_wait);
    cr_assert_eq(quota.used, MOST);
    for (int i = 0; i < 20; i++)
        start(spawn_and_wait);
    cr_assert_eq(quota.used, MOST);
    scheduler_turn(&scheduler, 2);
    turn_to_the_end();
}
