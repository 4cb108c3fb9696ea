#include <async/loop.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <under_valgrind.h>
#include <unistd.h>

static struct loop *loop;

static void set_up(void)
{
    loop = loop_create(65536, NULL);
    cr_assert_not_null(loop);
}

static void tear_down(void)
{
    if (loop == NULL)
        return;
    cr_expect_eq(loop_scheduler(loop)->tasks, 0);
    loop_destroy(loop);
}

TestSuite(offloading, .init = set_up, .fini = tear_down, .timeout = 30);

enum {
    UNSET = 12345
};

/* Work off the loop that ends when it is told to. */
struct work {
    sem_t begun;
    sem_t may_end;
    atomic_int ran;
    pthread_t thread;
    int released; /* only on the loop */
    int result;   /* of the await */
};

static size_t awaited; /* tasks that have to end before the loop is stopped */

static void init(struct work *work)
{
    sem_init(&work->begun, 0, 0);
    sem_init(&work->may_end, 0, 0);
    atomic_store(&work->ran, 0);
    work->released = 0;
    work->result = UNSET;
}

static void run_quickly(void *arg)
{
    struct work *work = arg;
    work->thread = pthread_self();
    atomic_fetch_add(&work->ran, 1);
}

static void run_until_told(void *arg)
{
    struct work *work = arg;
    sem_post(&work->begun);
    while (sem_wait(&work->may_end) != 0)
        ;
    atomic_fetch_add(&work->ran, 1);
}

static void release(void *arg)
{
    struct work *work = arg;
    work->released++;
    cr_expect_null(loop_scheduler(loop)->running, "it is called on the loop's own stack");
    loop_stop(loop);
}

static int offloads_quickly(whippet_task *task, void *arg)
{
    struct work *work = arg;
    work->result = loop_offload(task, run_quickly, work, release);
    return 0;
}

static int offloads_slowly(whippet_task *task, void *arg)
{
    struct work *work = arg;
    work->result = loop_offload(task, run_until_told, work, release);
    return 0;
}

static void count_down(void *arg, int result)
{
    (void)arg, (void)result;
    if (--awaited == 0)
        loop_stop(loop);
}

static whippet_task *start(whippet_task_function *function, struct work *work, double deadline)
{
    awaited++;
    return task_start(loop_scheduler(loop), function, work, deadline, NULL, count_down, NULL);
}

Test(offloading, runs_in_another_thread_while_the_task_waits)
{
    struct work work;
    init(&work);
    whippet_task *task = start(offloads_quickly, &work, INFINITY);
    cr_assert_not_null(task);
    cr_expect_str_eq(task_activity(task), "waiting for a thread");
    loop_run(loop);
    cr_expect_eq(work.result, 0, "%d", work.result);
    cr_expect_eq(atomic_load(&work.ran), 1);
    cr_expect_not(pthread_equal(work.thread, pthread_self()));
    cr_expect_eq(work.released, 0, "what was awaited stays the caller's");
}

Test(offloading, is_waited_for_by_a_loop_that_leaps)
{
    enum {
        ROUNDS = 5000
    };
    struct work work;
    loop_set_leaping(loop, true);
    for (int i = 0; i < ROUNDS; i++) {
        init(&work);
        start(offloads_quickly, &work, loop_refresh_now(loop) + 10);
        loop_run(loop);
        cr_assert_eq(work.result, 0, "round %d: %s", i, whippet_error_text(work.result));
    }
}

Test(offloading, does_more_than_there_are_threads)
{
    enum {
        COUNT = 200
    };
    static struct work works[COUNT];
    for (int i = 0; i < COUNT; i++) {
        init(&works[i]);
        start(offloads_quickly, &works[i], INFINITY);
    }
    loop_run(loop);
    for (int i = 0; i < COUNT; i++) {
        cr_expect_eq(works[i].result, 0, "%d: %d", i, works[i].result);
        cr_expect_eq(atomic_load(&works[i].ran), 1);
    }
}

Test(offloading, runs_as_many_at_once_as_there_are_threads)
{
    static struct work works[LOOP_OFFLOAD_THREADS];
    for (int i = 0; i < LOOP_OFFLOAD_THREADS; i++) {
        init(&works[i]);
        start(offloads_slowly, &works[i], INFINITY);
    }
    for (int i = 0; i < LOOP_OFFLOAD_THREADS; i++)
        sem_wait(&works[i].begun);
    for (int i = 0; i < LOOP_OFFLOAD_THREADS; i++)
        sem_post(&works[i].may_end);
    loop_run(loop);
    for (int i = 0; i < LOOP_OFFLOAD_THREADS; i++)
        cr_expect_eq(works[i].result, 0);
}

Test(offloading, that_is_cancelled_goes_on_alone_and_is_released_on_the_loop)
{
    struct work work;
    init(&work);
    whippet_task *task = start(offloads_slowly, &work, INFINITY);
    sem_wait(&work.begun);
    task_cancel(task);
    loop_run(loop);
    cr_expect_eq(work.result, WHIPPET_E_CANCELLED, "%d", work.result);
    cr_expect_eq(work.released, 0, "it still runs");
    sem_post(&work.may_end);
    loop_run(loop);
    cr_expect_eq(work.released, 1);
    cr_expect_eq(atomic_load(&work.ran), 1);
}

Test(offloading, that_times_out_goes_on_alone)
{
    struct work work;
    init(&work);
    start(offloads_slowly, &work, loop_refresh_now(loop) + 0.010);
    sem_wait(&work.begun); /* what has not begun by then is left out */
    loop_run(loop);
    cr_expect_eq(work.result, WHIPPET_E_TIMEOUT, "%d", work.result);
    sem_post(&work.may_end);
    loop_run(loop);
    cr_expect_eq(work.released, 1);
}

Test(offloading, that_is_cancelled_before_it_began_is_left_out_and_released)
{
    static struct work works[LOOP_OFFLOAD_THREADS];
    for (int i = 0; i < LOOP_OFFLOAD_THREADS; i++) {
        init(&works[i]);
        start(offloads_slowly, &works[i], INFINITY);
        sem_wait(&works[i].begun);
    }
    struct work late;
    init(&late);
    whippet_task *task =
        task_start(loop_scheduler(loop), offloads_quickly, &late, INFINITY, NULL, NULL, NULL);
    task_cancel(task);
    scheduler_turn(loop_scheduler(loop), 0);
    sem_post(&works[0].may_end);
    while (late.released == 0)
        loop_run(loop); /* stopped by release, and by the last task's end */
    cr_expect_eq(late.result, WHIPPET_E_CANCELLED, "%d", late.result);
    cr_expect_eq(late.released, 1);
    cr_expect_eq(atomic_load(&late.ran), 0, "nobody wants it any more");
    for (int i = 1; i < LOOP_OFFLOAD_THREADS; i++)
        sem_post(&works[i].may_end);
    while (awaited > 0)
        loop_run(loop);
}

static int offloads_when_cancelled(whippet_task *task, void *arg)
{
    whippet_cancel(task);
    return offloads_quickly(task, arg);
}

Test(offloading, by_a_cancelled_task_is_left_out_and_released)
{
    struct work work;
    init(&work);
    task_start(loop_scheduler(loop), offloads_when_cancelled, &work, INFINITY, NULL, NULL, NULL);
    cr_expect_eq(work.result, WHIPPET_E_CANCELLED, "%d", work.result);
    loop_run(loop);
    cr_expect_eq(work.released, 1);
    cr_expect_eq(atomic_load(&work.ran), 0);
}

static int offloads_without_release(whippet_task *task, void *arg)
{
    struct work *work = arg;
    work->result = loop_offload(task, run_until_told, work, NULL);
    return 0;
}

Test(offloading, needs_nobody_to_release_it)
{
    struct work work;
    init(&work);
    task_cancel(start(offloads_without_release, &work, INFINITY));
    loop_run(loop);
    cr_expect_eq(work.result, WHIPPET_E_CANCELLED);
    sem_post(&work.may_end);
    loop_destroy(loop);
    loop = NULL;
}

Test(offloading, is_awaited_and_released_when_the_loop_is_destroyed)
{
    static struct work works[LOOP_OFFLOAD_THREADS + 3];
    for (int i = 0; i < LOOP_OFFLOAD_THREADS + 3; i++) {
        init(&works[i]);
        task_cancel(start(offloads_slowly, &works[i], INFINITY));
        sem_post(&works[i].may_end);
    }
    scheduler_turn(loop_scheduler(loop), 0);
    loop_destroy(loop);
    for (int i = 0; i < LOOP_OFFLOAD_THREADS + 3; i++)
        cr_expect_eq(works[i].released, 1, "number %d was released %d times", i, works[i].released);
    loop = NULL;
}

/* Races what ends the await against what cuts it short, many times over: each is released or returned, never
 * both. */
Test(offloading, is_released_or_returned_and_never_both)
{
    enum {
        COUNT = 300
    };
    static struct work works[COUNT];
    static whippet_task *tasks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        init(&works[i]);
        tasks[i] = start(offloads_quickly, &works[i], INFINITY);
        if (i % 7 == 0)
            usleep(50);
        if (i % 3 != 0)
            task_cancel(tasks[i]);
    }
    loop_run(loop);
    while (awaited > 0)
        loop_run(loop);
    loop_destroy(loop);
    loop = NULL;
    for (int i = 0; i < COUNT; i++)
        cr_expect_eq(works[i].released, works[i].result == WHIPPET_E_CANCELLED,
                     "number %d: %d, released %d times", i, works[i].result, works[i].released);
}

static void read_mask(void *arg)
{
    pthread_sigmask(SIG_SETMASK, NULL, arg);
}

static int offloads_mask(whippet_task *task, void *arg)
{
    return loop_offload(task, read_mask, arg, NULL);
}

Test(offloading, happens_in_threads_that_block_every_signal)
{
    sigset_t before;
    sigset_t there;
    sigset_t after;
    sigemptyset(&there);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    awaited = 1;
    task_start(loop_scheduler(loop), offloads_mask, &there, INFINITY, NULL, count_down, NULL);
    loop_run(loop);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    static const int some[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD, SIGALRM};
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        cr_expect_eq(sigismember(&there, some[i]), 1, "%d", some[i]);
        cr_expect_eq(sigismember(&after, some[i]), sigismember(&before, some[i]), "%d", some[i]);
    }
}

static bool deny(size_t size)
{
    (void)size;
    return false;
}

static int offloads_without_memory(whippet_task *task, void *arg)
{
    memory_permit = deny;
    offloads_quickly(task, arg);
    memory_permit = NULL;
    return 0;
}

Test(offloading, says_when_memory_is_short)
{
    struct work work;
    init(&work);
    task_start(loop_scheduler(loop), offloads_without_memory, &work, INFINITY, NULL, NULL, NULL);
    cr_expect_eq(work.result, WHIPPET_E_MEMORY, "%d", work.result);
    cr_expect_eq(work.released, 0);
}

static whippet_task *sleeper;

static int sleeps(whippet_task *task, void *arg)
{
    (void)arg;
    return whippet_sleep(task, 0.001);
}

/* Sanitizers need address space of their own. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
Test(offloading, says_when_no_thread_can_be_had)
{
    skip_under_valgrind("it needs memory of its own");
    struct work work;
    init(&work);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = RLIM_INFINITY};
    struct rlimit all = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    task_start(loop_scheduler(loop), sleeps, NULL, INFINITY, NULL, count_down, NULL);
    awaited++;
    cr_assert_eq(setrlimit(RLIMIT_AS, &none), 0);
    task_start(loop_scheduler(loop), offloads_quickly, &work, INFINITY, NULL, NULL, NULL);
    setrlimit(RLIMIT_AS, &all);
    cr_expect_eq(work.result, WHIPPET_E_SYSTEM, "%d", work.result);
    cr_expect_eq(work.released, 0);
    loop_run(loop);
}
#endif

Test(offloading, is_not_available_without_a_loop)
{
    struct scheduler bare;
    struct work work;
    init(&work);
    cr_assert_eq(scheduler_init(&bare, 65536, NULL), 0);
    task_start(&bare, offloads_quickly, &work, INFINITY, NULL, NULL, NULL);
    cr_expect_eq(work.result, WHIPPET_E_UNAVAILABLE, "%d", work.result);
    scheduler_destroy(&bare);
}

static int offloads_as_another(whippet_task *task, void *arg)
{
    (void)task;
    return offloads_quickly(sleeper, arg);
}

Test(offloading, is_only_for_the_task_that_runs)
{
    struct work work;
    init(&work);
    sleeper = start(sleeps, NULL, INFINITY);
    task_start(loop_scheduler(loop), offloads_as_another, &work, INFINITY, NULL, NULL, NULL);
    cr_expect_eq(work.result, WHIPPET_E_INVALID, "%d", work.result);
    loop_run(loop);
}
