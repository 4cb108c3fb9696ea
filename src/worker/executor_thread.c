/* `run: thread`: attempts run in the threads of one pool, which all queues share.
 *
 * A thread has a loop of its own, on which every await works, and one attempt at a time: whatever a library
 * does that blocks holds up this attempt and no other. Queues that wait for a thread are served in turn, one
 * attempt each. */
#include "worker_internal.h"
#include <base/clock.h>
#include <base/log.h>
#include <base/memory.h>
#include <base/thread.h>
#include <math.h>
#include <stdatomic.h>
#include <worker/crash.h>

static const double OVERDUE_SECONDS = 5; /* beyond its timeout, until an attempt that blocks is reported */
static const double REPORT_SECONDS = 60; /* between two reports of the same one */

struct thread_pool {
    struct worker *worker;
    unsigned limit; /* of threads */
    unsigned count;
    struct list threads; /* all of them */
    struct list idle;
    struct list hungry;          /* subscriptions that wait for a thread, in the order they came */
    struct subscription *served; /* whose turn it is: it may start one attempt */
};

struct pool_thread {
    struct list link; /* in the pool's threads */
    struct list rest; /* in the pool's idle ones, when it is */
    struct thread_pool *pool;
    pthread_t thread;
    struct loop *loop;
    struct crash_site site;
    struct delivery *delivery; /* the thread's alone from `begin` to `ended`; NULL: it is idle */
    struct timer overdue;      /* of the main loop */
    struct loop_call begin, interrupt, leave; /* to the thread */
    struct loop_call ended;                   /* to the main loop */
    atomic_bool interrupting;                 /* `interrupt` is on its way */
    whippet_task *task;                       /* the thread's; NULL: none runs */
};

/* --- In a thread ----------------------------------------------------------------------------------------*/

static int attempt(whippet_task *task, void *arg)
{
    struct delivery *delivery = arg;
    const struct processor *processor = &delivery->subscription->processor;
    task_set_message(task, &delivery->message);
    task_set_label(task, &delivery->label);
    delivery->verdict = processor->plugin->descriptor.process(task, &delivery->message, processor->state);
    if (delivery->verdict != WHIPPET_ACK) {
        const char *reason = task_reason(task);
        memory_free(delivery->reason);
        delivery->reason = *reason != '\0' ? memory_copy_text(reason) : NULL;
        delivery->struck = task_struck(task);
        delivery->retry_after = task_retry_after(task);
    }
    return 0;
}

static void report_end(struct pool_thread *thread)
{
    struct delivery *delivery = thread->delivery;
    delivery->duration = clock_monotonic() - delivery->started_at;
    thread->task = NULL;
    loop_call(thread->pool->worker->loop, &thread->ended);
}

static void task_has_ended(void *arg, int ignored)
{
    struct delivery *delivery = arg;
    (void)ignored;
    report_end(delivery->seat);
}

static void begin(struct loop_call *call)
{
    struct pool_thread *thread = list_entry(call, struct pool_thread, begin);
    struct delivery *delivery = thread->delivery;
    bool started;
    delivery->started_at = loop_refresh_now(thread->loop);
    double deadline = delivery->started_at + delivery->subscription->config->timeout;
    whippet_task *task = task_start(loop_scheduler(thread->loop), attempt, delivery, deadline,
                                    &delivery->fields, task_has_ended, &started);
    if (task != NULL)
        thread->task = task;
    if (!started) {
        memory_free(delivery->reason);
        delivery->reason = memory_copy_text("out of memory for a task");
        report_end(thread);
    }
}

static void interrupt(struct loop_call *call)
{
    struct pool_thread *thread = list_entry(call, struct pool_thread, interrupt);
    atomic_store(&thread->interrupting, false);
    if (thread->task != NULL)
        task_cancel(thread->task);
}

static void leave(struct loop_call *call)
{
    loop_stop(list_entry(call, struct pool_thread, leave)->loop);
}

static void *run_thread(void *arg)
{
    struct pool_thread *thread = arg;
    crash_enter(&thread->site);
    loop_run(thread->loop);
    crash_leave(&thread->site);
    return NULL;
}

/* --- The pool, on the main loop -------------------------------------------------------------------------*/

static void on_overdue(struct timer *timer);
static void on_ended(struct loop_call *call);

/* Where the ledger sees what it is at. */
static void show_work(struct pool_thread *thread)
{
    struct scheduler *scheduler = loop_scheduler(thread->loop);
    struct ledger_slot *slot = ledger_slot_acquire(thread->pool->worker->ledger);
    scheduler->board = ledger_slot_board(slot);
    thread->site = (struct crash_site){.slot = slot, .scheduler = scheduler};
}

static void thread_free(struct pool_thread *thread)
{
    ledger_slot_release(thread->site.slot);
    if (loop_offloaded(thread->loop) == 0)
        loop_destroy(thread->loop);
    memory_free(thread);
}

/* False with the thread's loop missing. */
static bool make_loop(struct pool_thread *thread, struct whippet_failure *failure)
{
    struct worker *worker = thread->pool->worker;
    thread->loop = loop_create(worker->config->stack_size, failure);
    if (thread->loop == NULL)
        return false;
    loop_scheduler(thread->loop)->clock = clock_monotonic;
    loop_scheduler(thread->loop)->quota = &worker->spawned;
    loop_set_threads(thread->loop, 1); /* it is a thread for one attempt already */
    show_work(thread);
    worker_watch_offload(worker, thread->loop);
    return true;
}

/* NULL with the failure. */
static struct pool_thread *thread_create(struct thread_pool *pool, struct whippet_failure *failure)
{
    struct pool_thread *thread = memory_allocate_zeroed(sizeof *thread);
    if (thread == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory for a thread");
        return NULL;
    }
    thread->pool = pool;
    thread->overdue.function = on_overdue;
    thread->begin.function = begin;
    thread->interrupt.function = interrupt;
    thread->leave.function = leave;
    thread->ended.function = on_ended;
    if (!make_loop(thread, failure)) {
        memory_free(thread);
        return NULL;
    }
    int error = thread_start(&thread->thread, "whippet-attempt", run_thread, thread);
    if (error != 0) {
        failure_set(
            failure, WHIPPET_E_SYSTEM,
            "cannot start a thread: %s; is there a limit on processes (ulimit -u, the container's pids)?",
            strerrordesc_np(error));
        thread_free(thread);
        return NULL;
    }
    pool->count++;
    list_append(&pool->threads, &thread->link);
    list_append(&pool->idle, &thread->rest);
    return thread;
}

static struct thread_pool *pool_create(struct worker *worker)
{
    struct thread_pool *pool = memory_allocate_zeroed(sizeof *pool);
    if (pool == NULL)
        return NULL;
    pool->worker = worker;
    pool->limit = worker->config->threads;
    list_init(&pool->threads);
    list_init(&pool->idle);
    list_init(&pool->hungry);
    return pool;
}

void thread_pool_destroy(struct thread_pool *pool)
{
    struct list *link;
    if (pool == NULL)
        return;
    list_each (each, &pool->threads) {
        struct pool_thread *thread = list_entry(each, struct pool_thread, link);
        loop_call(thread->loop, &thread->leave);
    }
    while ((link = list_take_first(&pool->threads)) != NULL) {
        struct pool_thread *thread = list_entry(link, struct pool_thread, link);
        pthread_join(thread->thread, NULL);
        thread_free(thread);
    }
    memory_free(pool);
}

size_t thread_pool_offloaded(const struct thread_pool *pool)
{
    size_t count = 0;
    if (pool == NULL)
        return 0;
    list_each (each, &pool->threads)
        count += loop_offloaded(list_entry(each, struct pool_thread, link)->loop);
    return count;
}

/* Offers what is free to those who wait, one attempt each in turn. */
static void serve_hungry(struct thread_pool *pool)
{
    struct list *link;
    while (!list_empty(&pool->idle) && (link = list_take_first(&pool->hungry)) != NULL) {
        pool->served = list_entry(link, struct subscription, hungry);
        subscription_dispatch(pool->served);
        pool->served = NULL;
    }
}

/* --- Attempts, on the main loop -------------------------------------------------------------------------*/

static void on_ended(struct loop_call *call)
{
    struct pool_thread *thread = list_entry(call, struct pool_thread, ended);
    struct thread_pool *pool = thread->pool;
    struct delivery *delivery = thread->delivery;
    timer_stop(&loop_scheduler(pool->worker->loop)->timers, &thread->overdue);
    thread->delivery = NULL;
    delivery->seat = NULL;
    list_append(&pool->idle, &thread->rest);
    delivery_attempt_ended(delivery);
    serve_hungry(pool);
}

static void watch_overdue(struct pool_thread *thread, double seconds)
{
    struct loop *loop = thread->pool->worker->loop;
    timer_start(&loop_scheduler(loop)->timers, &thread->overdue, loop_now(loop) + seconds);
}

static void on_overdue(struct timer *timer)
{
    struct pool_thread *thread = list_entry(timer, struct pool_thread, overdue);
    log_event(WHIPPET_WARNING, &thread->delivery->fields,
              "the attempt is past its timeout and does not end: its code blocks one of %u threads, which "
              "can't be taken from it; \"run\": \"process\" could end it",
              thread->pool->limit);
    watch_overdue(thread, REPORT_SECONDS);
}

/* A pool that can't have all of its threads goes on with those it has. */
static bool has_thread(struct subscription *subscription)
{
    struct thread_pool *pool = subscription->worker->threads;
    struct whippet_failure failure;
    if (!list_empty(&pool->idle) || pool->count == 0)
        return true;
    if (pool->count == pool->limit)
        return false;
    if (thread_create(pool, &failure) != NULL)
        return true;
    struct log_fields fields = {.queue = subscription->config->name, .error = failure.text};
    log_limited(subscription, LOG_NOT_STARTED, &fields, "runs in %u threads for now, and not in %u",
                pool->count, pool->limit);
    return false;
}

static bool has_room(struct subscription *subscription)
{
    struct thread_pool *pool = subscription->worker->threads;
    bool is_turn = list_empty(&pool->hungry) || pool->served == subscription;
    if (is_turn && has_thread(subscription)) {
        pool->served = NULL;
        return true;
    }
    if (list_empty(&subscription->hungry))
        list_append(&pool->hungry, &subscription->hungry);
    return false;
}

static int start(struct delivery *delivery, struct whippet_failure *failure)
{
    struct thread_pool *pool = delivery->subscription->worker->threads;
    struct list *link = pool->idle.next;
    struct pool_thread *thread =
        link != &pool->idle ? list_entry(link, struct pool_thread, rest) : thread_create(pool, failure);
    if (thread == NULL)
        return failure->error;
    list_remove(&thread->rest);
    thread->delivery = delivery;
    delivery->seat = thread;
    watch_overdue(thread, delivery->subscription->config->timeout + OVERDUE_SECONDS);
    loop_call(thread->loop, &thread->begin);
    return 0;
}

static void cancel(struct delivery *delivery)
{
    struct pool_thread *thread = delivery->seat;
    if (!atomic_exchange(&thread->interrupting, true))
        loop_call(thread->loop, &thread->interrupt);
}

static const char *activity(const struct delivery *delivery)
{
    (void)delivery;
    return "running in a thread";
}

/* --- The processor --------------------------------------------------------------------------------------*/

static int set_up(struct subscription *subscription, struct plugin *plugin, whippet_settings *settings,
                  struct whippet_failure *failure)
{
    struct worker *worker = subscription->worker;
    if (worker->threads == NULL)
        worker->threads = pool_create(worker);
    if (worker->threads == NULL)
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    return processor_setup(&subscription->processor, plugin, settings, failure);
}

static void tear_down(struct subscription *subscription)
{
    list_remove(&subscription->hungry);
    processor_teardown(&subscription->processor);
}

const struct executor THREAD_EXECUTOR = {
    .set_up = set_up,
    .tear_down = tear_down,
    .open = executor_open_background,
    .close = executor_close_background,
    .has_room = has_room,
    .start = start,
    .cancel = cancel,
    .activity = activity,
};
