/* Work that blocks, in threads beside the loop. */
#include "loop_state.h"
#include "task_state.h"
#include <base/memory.h>
#include <base/thread.h>
#include <math.h>

/* One piece of work: made by the loop, which also frees it once it is done. */
struct job {
    struct list link; /* among those queued or done */
    void (*function)(void *arg);
    void *arg;
    void (*release)(void *arg); /* may be NULL */
    bool abandoned;             /* nobody waits any more */
    bool taken;                 /* by a thread */
    const whippet_task *task;   /* the processor's, which waits for its end; NULL: work of the loop's own */
    struct waiter waiter;       /* the loop's only */
};

/* --- In the threads -------------------------------------------------------------------------------------*/

/* The next job, or NULL when the thread is to end. With the mutex held. */
static struct job *take_job(struct offload *offload)
{
    while (list_empty(&offload->queued) && !offload->stopping)
        pthread_cond_wait(&offload->wanted, &offload->mutex);
    struct list *link = list_take_first(&offload->queued);
    if (link == NULL)
        return NULL;
    struct job *job = list_entry(link, struct job, link);
    job->taken = true;
    return job;
}

static void run_job(const struct job *job, const struct offload_observer *observer, void *seat)
{
    bool is_observed = observer != NULL && job->task != NULL;
    if (is_observed)
        observer->begin(seat, job->task);
    job->function(job->arg);
    if (is_observed)
        observer->end(seat);
}

static void *run_jobs(void *argument)
{
    struct offload *offload = argument;
    const struct offload_observer *observer = offload->observer;
    void *seat = observer != NULL ? observer->enter(offload->observer_owner) : NULL;
    pthread_mutex_lock(&offload->mutex);
    struct job *job;
    while ((job = take_job(offload)) != NULL) {
        bool wanted = !job->abandoned && !offload->stopping;
        pthread_mutex_unlock(&offload->mutex);
        if (wanted)
            run_job(job, observer, seat);
        pthread_mutex_lock(&offload->mutex);
        list_append(&offload->done, &job->link);
        offload->unfinished--;
        ev_async_send(offload->ev, &offload->wake);
    }
    pthread_mutex_unlock(&offload->mutex);
    if (observer != NULL)
        observer->leave(seat);
    return NULL;
}

/* --- On the loop ----------------------------------------------------------------------------------------*/

static void finish_done(struct offload *offload)
{
    struct list done;
    list_init(&done);
    pthread_mutex_lock(&offload->mutex);
    list_append_all(&done, &offload->done);
    pthread_mutex_unlock(&offload->mutex);

    struct list *link;
    while ((link = list_take_first(&done)) != NULL) {
        struct job *job = list_entry(link, struct job, link);
        if (!job->abandoned) {
            waiter_wake(&job->waiter, 0);
            continue;
        }
        if (job->release != NULL)
            job->release(job->arg);
        memory_free(job);
    }
}

static void on_wake(struct ev_loop *ev, ev_async *wake, int events)
{
    (void)ev, (void)events;
    finish_done(list_entry(wake, struct offload, wake));
}

void offload_init(struct offload *offload, struct ev_loop *ev)
{
    offload->ev = ev;
    offload->thread_limit = LOOP_OFFLOAD_THREADS;
    list_init(&offload->queued);
    list_init(&offload->done);
    pthread_mutex_init(&offload->mutex, NULL);
    pthread_cond_init(&offload->wanted, NULL);
    ev_async_init(&offload->wake, on_wake);
    ev_async_start(ev, &offload->wake);
}

void offload_destroy(struct offload *offload)
{
    pthread_mutex_lock(&offload->mutex);
    offload->stopping = true;
    pthread_cond_broadcast(&offload->wanted);
    pthread_mutex_unlock(&offload->mutex);
    for (size_t i = 0; i < offload->thread_count; i++)
        pthread_join(offload->threads[i], NULL);
    memory_free(offload->threads);
    finish_done(offload);
    ev_async_stop(offload->ev, &offload->wake);
    pthread_cond_destroy(&offload->wanted);
    pthread_mutex_destroy(&offload->mutex);
}

static void add_thread(struct offload *offload)
{
    if (offload->threads == NULL)
        offload->threads = memory_allocate(offload->thread_limit * sizeof *offload->threads);
    if (offload->threads != NULL &&
        thread_start(&offload->threads[offload->thread_count], "whippet-offload", run_jobs, offload) == 0)
        offload->thread_count++;
}

/* False when there is no thread, and none can be had. */
static bool queue_job(struct offload *offload, struct job *job)
{
    pthread_mutex_lock(&offload->mutex);
    bool all_busy = offload->unfinished >= offload->thread_count;
    if (all_busy && offload->thread_count < offload->thread_limit)
        add_thread(offload);
    bool possible = offload->thread_count > 0;
    if (possible) {
        offload->unfinished++;
        list_append(&offload->queued, &job->link);
        pthread_cond_signal(&offload->wanted);
    }
    pthread_mutex_unlock(&offload->mutex);
    return possible;
}

/* From here on the thread leaves it out, or the loop frees it when it is done: once more where it was done
 * between what cut the await short and this. */
static void abandon(struct offload *offload, struct job *job)
{
    pthread_mutex_lock(&offload->mutex);
    job->abandoned = true;
    if (job->waiter.woken) {
        list_append(&offload->done, &job->link);
        ev_async_send(offload->ev, &offload->wake);
    }
    pthread_mutex_unlock(&offload->mutex);
}

int loop_offload(whippet_task *task, void (*function)(void *arg), void *arg, void (*release)(void *arg))
{
    struct loop *loop = loop_of_task(task);
    if (loop == NULL)
        return WHIPPET_E_UNAVAILABLE;
    if (loop->scheduler.running != task)
        return WHIPPET_E_INVALID;
    struct job *job = memory_allocate(sizeof *job);
    if (job == NULL)
        return WHIPPET_E_MEMORY;
    *job = (struct job){
        .function = function, .arg = arg, .release = release, .abandoned = task_struck(task) != 0};
    if (!queue_job(&loop->own, job)) {
        memory_free(job);
        return WHIPPET_E_SYSTEM;
    }
    int error = waiter_wait(task, &job->waiter, INFINITY, "waiting for a thread");
    if (error != 0)
        abandon(&loop->own, job);
    else
        memory_free(job);
    return error;
}

static size_t unfinished(struct offload *offload)
{
    pthread_mutex_lock(&offload->mutex);
    size_t count = offload->unfinished;
    pthread_mutex_unlock(&offload->mutex);
    return count;
}

bool offload_is_under_way(struct offload *offload)
{
    pthread_mutex_lock(&offload->mutex);
    bool is_under_way = offload->unfinished > 0 || !list_empty(&offload->done);
    pthread_mutex_unlock(&offload->mutex);
    return is_under_way;
}

size_t loop_offloaded(struct loop *loop)
{
    return unfinished(&loop->own) + unfinished(&loop->processors);
}

/* --- For processors -------------------------------------------------------------------------------------*/

void loop_set_threads(struct loop *loop, size_t threads)
{
    if (loop->processors.threads == NULL)
        loop->processors.thread_limit = threads > 0 ? threads : 1;
}

void loop_observe_offload(struct loop *loop, const struct offload_observer *observer, void *owner)
{
    loop->processors.observer = observer;
    loop->processors.observer_owner = owner;
}

struct call {
    whippet_offload_function *function;
    void *arg;
    int result;
};

static void run_call(void *arg)
{
    struct call *call = arg;
    call->result = call->function(call->arg);
}

/* True when no thread has it, and none will. */
static bool withdraw(struct offload *offload, struct job *job)
{
    pthread_mutex_lock(&offload->mutex);
    bool withdrawn = !job->taken;
    if (withdrawn) {
        list_remove(&job->link);
        offload->unfinished--;
    }
    pthread_mutex_unlock(&offload->mutex);
    return withdrawn;
}

int whippet_offload(whippet_task *task, whippet_offload_function *function, void *arg)
{
    struct loop *loop = loop_of_task(task);
    if (loop == NULL)
        return WHIPPET_E_UNAVAILABLE;
    if (loop->scheduler.running != task || function == NULL)
        return WHIPPET_E_INVALID;
    int struck = task_strike(task);
    if (struck != 0)
        return struck;
    /* On the task's own stack, which stays until no thread knows of them. */
    struct call call = {.function = function, .arg = arg};
    struct job job = {.function = run_call, .arg = &call, .task = task};
    if (!queue_job(&loop->processors, &job))
        return WHIPPET_E_SYSTEM;
    int error = waiter_wait(task, &job.waiter, INFINITY, "waiting for a thread");
    if (error == 0)
        return call.result;
    if (withdraw(&loop->processors, &job))
        return error;
    waiter_wait_shielded(task, &job.waiter, "waiting for a thread to end");
    return call.result;
}
