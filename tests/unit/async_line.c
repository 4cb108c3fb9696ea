/* Semaphores, events and channels at which the tasks of several loops meet, each loop in a thread of its own.
 */
#include <async/loop.h>
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <whippet/sync.h>

TestSuite(meeting_points, .timeout = 60);

enum {
    THREADS = 3,
    ROUNDS = 2000
};

/* A loop whose thread runs one task to its end. */
struct runner {
    pthread_t thread;
    struct loop *loop;
    whippet_task_function *function;
    void *arg;
    int result;
};

static void task_has_ended(void *arg, int result)
{
    struct runner *runner = arg;
    runner->result = result;
    loop_stop(runner->loop);
}

static int run_task(whippet_task *task, void *arg)
{
    struct runner *runner = arg;
    return runner->function(task, runner->arg);
}

static void *run_loop(void *arg)
{
    struct runner *runner = arg;
    loop_refresh_now(runner->loop);
    task_start(loop_scheduler(runner->loop), run_task, runner, INFINITY, NULL, task_has_ended, NULL);
    loop_run(runner->loop);
    return NULL;
}

static void runner_start(struct runner *runner, whippet_task_function *function, void *arg)
{
    runner->function = function;
    runner->arg = arg;
    runner->loop = loop_create(65536, NULL);
    cr_assert_not_null(runner->loop);
    cr_assert_eq(pthread_create(&runner->thread, NULL, run_loop, runner), 0);
}

static int runner_join(struct runner *runner)
{
    pthread_join(runner->thread, NULL);
    loop_destroy(runner->loop);
    return runner->result;
}

static void run_in_threads(whippet_task_function *function, void *arg)
{
    struct runner runners[THREADS];
    for (int i = 0; i < THREADS; i++)
        runner_start(&runners[i], function, arg);
    for (int i = 0; i < THREADS; i++)
        cr_expect_eq(runner_join(&runners[i]), 0);
}

static unsigned counted; /* guarded by the semaphore alone */

static int count_with_permit(whippet_task *task, void *semaphore)
{
    for (int i = 0; i < ROUNDS; i++) {
        int error = whippet_semaphore_acquire(task, semaphore);
        if (error != 0)
            return error;
        unsigned before = counted;
        if (i % 16 == 0)
            whippet_sleep(task, 0);
        counted = before + 1;
        whippet_semaphore_release(semaphore);
    }
    return 0;
}

Test(meeting_points, let_a_semaphore_be_a_lock_between_threads)
{
    whippet_semaphore *semaphore = whippet_semaphore_create(1);
    run_in_threads(count_with_permit, semaphore);
    cr_expect_eq(counted, THREADS * ROUNDS, "%u", counted);
    cr_expect_eq(whippet_semaphore_release(semaphore), WHIPPET_E_INVALID, "a permit was lost");
    whippet_semaphore_destroy(semaphore);
}

static int acquire(whippet_task *task, void *semaphore)
{
    return whippet_semaphore_acquire(task, semaphore);
}

/* Short waits, so that many are called at the very moment that they give up. */
static int acquire_in_a_hurry(whippet_task *task, void *semaphore)
{
    for (int i = 0; i < ROUNDS / 4; i++) {
        int error = whippet_with_timeout(task, 0.00002 * (i % 8), acquire, semaphore);
        if (error != 0 && error != WHIPPET_E_TIMEOUT)
            return error;
        if (error == 0) {
            counted++;
            whippet_sleep(task, 0.00001);
            whippet_semaphore_release(semaphore);
        }
    }
    return 0;
}

Test(meeting_points, lose_no_permit_to_those_who_give_up_as_they_are_called)
{
    whippet_semaphore *semaphore = whippet_semaphore_create(1);
    run_in_threads(acquire_in_a_hurry, semaphore);
    cr_expect_gt(counted, 0);
    cr_expect(whippet_semaphore_try(semaphore), "a permit was lost");
    cr_expect(!whippet_semaphore_try(semaphore), "a permit was made");
    whippet_semaphore_destroy(semaphore);
}

static atomic_int waiting;

static int await_event(whippet_task *task, void *event)
{
    atomic_fetch_add(&waiting, 1);
    return whippet_event_wait(task, event);
}

Test(meeting_points, wake_all_who_wait_for_an_event_from_a_thread_without_a_loop)
{
    whippet_event *event = whippet_event_create();
    struct runner runners[THREADS];
    for (int i = 0; i < THREADS; i++)
        runner_start(&runners[i], await_event, event);
    while (atomic_load(&waiting) < THREADS)
        sched_yield();
    whippet_event_set(event);
    for (int i = 0; i < THREADS; i++)
        cr_expect_eq(runner_join(&runners[i]), 0);
    whippet_event_destroy(event);
}

static atomic_ulong received;

static int receive_all(whippet_task *task, void *channel)
{
    void *item;
    int error;
    while ((error = whippet_channel_get(task, channel, &item)) == 0)
        atomic_fetch_add(&received, (unsigned long)(uintptr_t)item);
    return error == WHIPPET_E_CLOSED ? 0 : error;
}

static int send_all(whippet_task *task, void *channel)
{
    int error = 0;
    for (uintptr_t i = 1; i <= ROUNDS && error == 0; i++)
        error = whippet_channel_put(task, channel, (void *)i);
    return error;
}

Test(meeting_points, pass_each_item_of_a_channel_on_once)
{
    whippet_channel *channel = whippet_channel_create(3);
    struct runner receivers[2], senders[2];
    for (int i = 0; i < 2; i++)
        runner_start(&receivers[i], receive_all, channel);
    for (int i = 0; i < 2; i++)
        runner_start(&senders[i], send_all, channel);
    for (int i = 0; i < 2; i++)
        cr_expect_eq(runner_join(&senders[i]), 0);
    whippet_channel_close(channel);
    for (int i = 0; i < 2; i++)
        cr_expect_eq(runner_join(&receivers[i]), 0);
    cr_expect_eq(received, 2UL * ROUNDS * (ROUNDS + 1) / 2, "%lu", received);
    whippet_channel_destroy(channel);
}
