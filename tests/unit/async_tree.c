/* Trees of tasks that do anything at random: whatever happens, each task ends once, errors are sticky, and
 * nothing is left. */
#include <async/scheduler.h>
#include <async/task.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

enum {
    ROOTS = 40,
    WAITERS = 16,
    MOST_TASKS = 400,
    DEEPEST = 5,
};

static struct scheduler scheduler;
static struct waiter waiters[WAITERS];
static unsigned seed;
static size_t made; /* tasks that were spawned, run already or not */
static size_t begun;
static size_t finished;
static size_t roots_ended;

static unsigned chance(unsigned of)
{
    return (unsigned)rand_r(&seed) % of;
}

static bool permit_most(size_t size)
{
    (void)size;
    return chance(10) != 0;
}

/* What a task remembers to check that errors are sticky. */
struct life {
    int depth;
    int before; /* task_struck before the last await */
    int struck; /* what an await in this scope returned for the deadline or the cancellation */
};

static void expect_struck(whippet_task *task, struct life *life)
{
    life->before = task_struck(task);
    if (life->struck != 0)
        cr_assert_eq(life->before, life->struck, "%d after %d", life->before, life->struck);
}

static void check_await(whippet_task *task, struct life *life, int error)
{
    if (life->before != 0)
        cr_assert_eq(error, life->before, "an await returned %d, though %d had struck", error, life->before);
    life->struck = life->before != 0 || error == task_struck(task) ? error : life->struck;
}

static int live(whippet_task *task, void *arg);

static void spawn(whippet_task *task, struct life *life, whippet_task **child)
{
    if (life->depth == DEEPEST || made == MOST_TASKS)
        return;
    int *depth = whippet_alloc(task, sizeof *depth);
    if (depth == NULL)
        return;
    *depth = life->depth + 1;
    whippet_task *spawned = whippet_spawn(task, live, depth);
    if (spawned == NULL)
        return;
    *child = spawned;
    made++;
}

static bool step(whippet_task *task, struct life *life, whippet_task **child);

static int live_in_a_scope(whippet_task *task, void *arg)
{
    struct life *outer = arg;
    struct life life = {.depth = outer->depth, .struck = outer->struck};
    whippet_task *child = NULL;
    for (unsigned steps = chance(5); steps > 0; steps--)
        step(task, &life, &child);
    return 0;
}

static void join(whippet_task *task, struct life *life, whippet_task **child)
{
    if (*child == NULL)
        return;
    expect_struck(task, life);
    int error = whippet_join(task, *child, NULL);
    check_await(task, life, error);
    if (error == 0)
        *child = NULL;
}

static void wait_somewhere(whippet_task *task, struct life *life)
{
    double until = chance(3) == 0 ? INFINITY : scheduler.now + chance(10);
    struct waiter *waiter = &waiters[chance(WAITERS)];
    expect_struck(task, life);
    int error = waiter_wait(task, waiter, until, "anywhere");
    if (error != WHIPPET_E_INVALID)
        check_await(task, life, error);
}

static void join_all(whippet_task *task, struct life *life, whippet_task **child)
{
    expect_struck(task, life);
    int error = whippet_join_all(task);
    check_await(task, life, error);
    if (error != WHIPPET_E_CANCELLED && error != WHIPPET_E_TIMEOUT)
        *child = NULL;
}

/* `child` is forgotten, since it may be joined inside. */
static void enter_scope(whippet_task *task, struct life *life, whippet_task **child)
{
    whippet_with_timeout(task, (double)chance(6), live_in_a_scope, life);
    if (life->struck != 0)
        cr_assert_eq(task_struck(task), life->struck, "%d after %d", task_struck(task), life->struck);
    *child = NULL;
}

/* One thing at random; true when the task should end. */
static bool step(whippet_task *task, struct life *life, whippet_task **child)
{
    switch (chance(16)) {
    case 0:
    case 1:
    case 2:
        expect_struck(task, life);
        check_await(task, life, whippet_sleep(task, (double)chance(8)));
        break;
    case 3:
    case 4:
    case 5:
    case 6: spawn(task, life, child); break;
    case 7:
    case 8: join(task, life, child); break;
    case 9: join_all(task, life, child); break;
    case 10:
        if (*child != NULL)
            whippet_cancel(*child);
        break;
    case 11: enter_scope(task, life, child); break;
    case 12:
    case 13: wait_somewhere(task, life); break;
    case 14: waiter_wake(&waiters[chance(WAITERS)], 0); break;
    default: return chance(3) == 0;
    }
    return false;
}

static int live(whippet_task *task, void *arg)
{
    begun++;
    struct life life = {.depth = *(int *)arg};
    whippet_task *child = NULL;
    for (int steps = 0; steps < 100; steps++) {
        if (step(task, &life, &child))
            break;
    }
    finished++;
    return (int)chance(3) - 1;
}

static void on_end(void *arg, int result)
{
    (void)result;
    whippet_task **root = arg;
    *root = NULL;
    roots_ended++;
}

static void renew_waiters(void)
{
    for (int i = 0; i < WAITERS; i++) {
        if (waiters[i].woken)
            waiter_init(&waiters[i]);
    }
}

struct root {
    whippet_task *task;
    int depth;
};

static int live_as_root(whippet_task *task, void *arg)
{
    return live(task, &((struct root *)arg)->depth);
}

static size_t start_some(struct root *roots)
{
    size_t started_count = 0;
    for (int i = 0; i < ROOTS; i++) {
        bool started;
        double deadline = chance(3) == 0 ? INFINITY : scheduler.now + chance(60);
        whippet_task *task =
            task_start(&scheduler, live_as_root, &roots[i], deadline, NULL, on_end, &started);
        started_count += started;
        roots[i].task = task;
    }
    return started_count;
}

static void drive_to_the_end(struct root *roots)
{
    double now = scheduler.now;
    for (int turn = 0; scheduler.tasks > 0; turn++) {
        cr_assert_lt(turn, 100000, "%zu tasks do not end", scheduler.tasks);
        renew_waiters();
        now += chance(3) == 0 ? 1.0 : 0.0;
        if (chance(turn > 500 ? 1 : 40) == 0) {
            struct root *root = &roots[chance(ROOTS)];
            if (root->task != NULL)
                task_cancel(root->task);
        }
        scheduler_turn(&scheduler, now);
    }
}

static void live_once(unsigned with_seed, bool short_of_memory)
{
    static struct root roots[ROOTS];
    seed = with_seed;
    made = begun = finished = roots_ended = 0;
    cr_assert_eq(scheduler_init(&scheduler, 32768, NULL), 0);
    for (int i = 0; i < WAITERS; i++)
        waiter_init(&waiters[i]);
    memory_permit = short_of_memory ? permit_most : NULL;
    size_t started = start_some(roots);
    drive_to_the_end(roots);
    memory_permit = NULL;

    cr_expect_eq(roots_ended, started, "seed %u: %zu of %zu roots ended", with_seed, roots_ended, started);
    cr_expect_eq(begun, finished, "seed %u: %zu tasks began, %zu finished", with_seed, begun, finished);
    cr_expect_eq(stack_pool_in_use(scheduler.stacks), 0, "seed %u", with_seed);
    while (scheduler_next(&scheduler) < INFINITY)
        scheduler_turn(&scheduler, scheduler_next(&scheduler));
    cr_expect_eq(scheduler.timers.count, 0, "seed %u: %zu timers are left", with_seed,
                 scheduler.timers.count);
    cr_expect_not(scheduler_busy(&scheduler));
    scheduler_destroy(&scheduler);
}

Test(trees, of_tasks_come_to_their_end_whatever_they_do)
{
    size_t tasks = 0;
    for (unsigned i = 1; i <= 100; i++) {
        live_once(i, false);
        tasks += finished;
    }
    cr_expect_gt(tasks, 5000, "only %zu tasks lived", tasks);
}

Test(trees, of_tasks_come_to_their_end_when_memory_is_short)
{
    for (unsigned i = 1001; i <= 1050; i++)
        live_once(i, true);
}
