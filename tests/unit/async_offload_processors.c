/* whippet_offload: the processors' threads. */
#include <async/loop.h>
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

static struct loop *loop;

static void set_up(void)
{
    loop = loop_create(65536, NULL);
    cr_assert_not_null(loop);
    loop_set_threads(loop, 2);
}

static void tear_down(void)
{
    cr_expect_eq(loop_scheduler(loop)->tasks, 0);
    loop_destroy(loop);
}

TestSuite(processors_offloading, .init = set_up, .fini = tear_down, .timeout = 30);

enum {
    UNSET = 12345,
    MOST = 20
};

static sem_t begun;
static sem_t may_end;
static atomic_int order_count;
static int order[MOST];
static size_t awaited;

static void init(void)
{
    sem_init(&begun, 0, 0);
    sem_init(&may_end, 0, 0);
}

/* What a task offloads. */
struct work {
    int number;
    int result; /* of the await */
    int after;  /* of the next await */
};

static int notes_number(void *arg)
{
    struct work *work = arg;
    order[atomic_fetch_add(&order_count, 1)] = work->number;
    return work->number;
}

static int blocks(void *arg)
{
    sem_post(&begun);
    while (sem_wait(&may_end) != 0)
        ;
    return notes_number(arg);
}

static int offloads_quickly(whippet_task *task, void *arg)
{
    struct work *work = arg;
    work->result = whippet_offload(task, notes_number, work);
    return 0;
}

static int offloads_quickly_and_stops(whippet_task *task, void *arg)
{
    offloads_quickly(task, arg);
    loop_stop(loop);
    return 0;
}

static int offloads_slowly(whippet_task *task, void *arg)
{
    struct work *work = arg;
    work->result = whippet_offload(task, blocks, work);
    work->after = whippet_sleep(task, 0);
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
    work->result = UNSET;
    return task_start(loop_scheduler(loop), function, work, deadline, NULL, count_down, NULL);
}

Test(processors_offloading, returns_what_the_function_returns)
{
    struct work work = {.number = -7};
    whippet_task *task = start(offloads_quickly, &work, INFINITY);
    cr_expect_str_eq(task_activity(task), "waiting for a thread");
    loop_run(loop);
    cr_expect_eq(work.result, -7);
}

Test(processors_offloading, returns_only_when_the_function_has_ended_though_the_task_was_cancelled)
{
    struct work work = {.number = 3};
    init();
    whippet_task *task = start(offloads_slowly, &work, INFINITY);
    sem_wait(&begun);
    task_cancel(task);
    scheduler_turn(loop_scheduler(loop), 0);
    cr_expect_eq(work.result, UNSET, "the function still uses what lives on the task's stack");
    cr_expect_str_eq(task_activity(task), "waiting for a thread to end");
    sem_post(&may_end);
    loop_run(loop);
    cr_expect_eq(work.result, 3, "%d", work.result);
    cr_expect_eq(work.after, WHIPPET_E_CANCELLED, "the next await says so");
}

Test(processors_offloading, outlasts_the_deadline)
{
    struct work work = {.number = 4};
    init();
    start(offloads_slowly, &work, loop_refresh_now(loop) + 0.005);
    sem_wait(&begun);
    struct work bystander = {.number = 5};
    start(offloads_quickly_and_stops, &bystander, INFINITY);
    while (bystander.result == UNSET)
        loop_run(loop); /* stopped by the bystander */
    sem_post(&may_end);
    while (awaited > 0)
        loop_run(loop);
    cr_expect_eq(work.result, 4);
    cr_expect(work.after == WHIPPET_E_TIMEOUT || work.after == 0);
}

Test(processors_offloading, is_left_out_when_it_is_cancelled_before_it_has_begun)
{
    struct work holders[2] = {{.number = 0}, {.number = 1}}, late = {.number = 9};
    init();
    for (int i = 0; i < 2; i++) {
        start(offloads_slowly, &holders[i], INFINITY);
        sem_wait(&begun);
    }
    task_cancel(start(offloads_quickly, &late, INFINITY));
    scheduler_turn(loop_scheduler(loop), 0);
    cr_expect_eq(late.result, WHIPPET_E_CANCELLED, "it does not wait for a thread");
    sem_post(&may_end);
    sem_post(&may_end);
    loop_run(loop);
    cr_expect_eq(atomic_load(&order_count), 2, "it was never called");
}

Test(processors_offloading, takes_its_turn_in_the_order_it_came)
{
    static struct work works[MOST];
    loop_set_threads(loop, 1);
    init();
    start(offloads_slowly, &works[0], INFINITY);
    sem_wait(&begun);
    for (int i = 1; i < MOST; i++) {
        works[i].number = i;
        start(offloads_quickly, &works[i], INFINITY);
    }
    sem_post(&may_end);
    loop_run(loop);
    for (int i = 0; i < MOST; i++)
        cr_expect_eq(order[i], i, "number %d came in place %d", order[i], i);
}

static void nothing(void *arg)
{
    (void)arg;
}

static int offloads_the_programs_own(whippet_task *task, void *arg)
{
    struct work *work = arg;
    work->result = loop_offload(task, nothing, NULL, NULL);
    loop_stop(loop);
    return 0;
}

Test(processors_offloading, never_keeps_the_programs_own_work_waiting)
{
    struct work holders[3] = {{.number = 0}, {.number = 1}, {.number = 2}}, own = {.number = 9};
    init();
    for (int i = 0; i < 3; i++)
        start(offloads_slowly, &holders[i], INFINITY);
    sem_wait(&begun);
    sem_wait(&begun);
    cr_expect_neq(sem_trywait(&begun), 0, "there are two threads");
    start(offloads_the_programs_own, &own, INFINITY);
    loop_run(loop);
    cr_expect_eq(own.result, 0);
    for (int i = 0; i < 3; i++)
        sem_post(&may_end);
    while (awaited > 0)
        loop_run(loop);
}

static int is_cancelled_and_offloads(whippet_task *task, void *arg)
{
    whippet_cancel(task);
    return offloads_quickly(task, arg);
}

Test(processors_offloading, does_nothing_for_a_task_that_was_cancelled)
{
    struct work work = {.number = 1};
    start(is_cancelled_and_offloads, &work, INFINITY);
    cr_expect_eq(work.result, WHIPPET_E_CANCELLED);
    cr_expect_eq(atomic_load(&order_count), 0);
}

static int offloads_nothing(whippet_task *task, void *arg)
{
    struct work *work = arg;
    work->result = whippet_offload(task, NULL, work);
    return 0;
}

Test(processors_offloading, needs_a_function_and_a_loop)
{
    struct work work = {0};
    start(offloads_nothing, &work, INFINITY);
    cr_expect_eq(work.result, WHIPPET_E_INVALID);
    struct scheduler bare;
    cr_assert_eq(scheduler_init(&bare, 65536, NULL), 0);
    task_start(&bare, offloads_quickly, &work, INFINITY, NULL, NULL, NULL);
    cr_expect_eq(work.result, WHIPPET_E_UNAVAILABLE);
    scheduler_destroy(&bare);
}
