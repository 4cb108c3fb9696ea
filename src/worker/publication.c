/* What processors publish, from wherever they run: on the main loop in the end, which has the connection. */
#include "worker_internal.h"
#include <math.h>
#include <worker/publication.h>

/* --- On the main loop -----------------------------------------------------------------------------------*/

int publication_send(struct worker *worker, whippet_task *task, const struct publishing *publishing,
                     const struct publish_span *span)
{
    struct whippet_failure failure;
    double begun_at = loop_now(worker->loop);
    if (worker->trial != NULL)
        return trial_publish(worker->trial, task, publishing);
    int error = publisher_publish(task, worker->publications, publishing, INFINITY, &failure);
    sending_stats_count(&worker->stats.sent[SENDING_PUBLICATION], error == 0);
    if (trace_context_is_sampled(&span->context) && worker->tracer != NULL)
        worker_trace_publication(worker, publishing, span, begun_at, error);
    return error;
}

static int publish_here(struct worker *worker, whippet_task *task, const whippet_publication *publication,
                        const struct publish_span *span)
{
    struct buffer properties;
    buffer_init(&properties);
    int error = publication_write_properties(publication, &properties);
    if (error == 0) {
        struct publishing publishing = {
            .exchange = publication->exchange != NULL ? publication->exchange : "",
            .routing_key = publication->routing_key != NULL ? publication->routing_key : "",
            .properties = bytes_of(buffer_begin(&properties), buffer_length(&properties)),
            .body = publication->body,
        };
        error = publication_send(worker, task, &publishing, span);
    }
    buffer_destroy(&properties);
    return error;
}

/* --- From another thread --------------------------------------------------------------------------------*/

/* A publication on its way to the main loop and back. On the stack of the task that awaits it. */
struct errand {
    struct loop_call call;   /* to the main loop: begin */
    struct loop_call recall; /* to the main loop: the await was cut short */
    struct loop_call answer; /* to the task's own: the result */
    struct loop_call gone;   /* to the task's own: the main loop is done with the recall, too */
    struct worker *worker;
    const whippet_publication *publication;
    const struct publish_span *span;
    double deadline;
    struct loop *home;    /* the task's loop */
    whippet_task *runner; /* on the main loop; NULL: it has ended */
    int result;
    struct waiter done;     /* the task waits here for the answer */
    struct waiter recalled; /* and here, where it has recalled it, until that is gone */
};

static int run_errand(whippet_task *task, void *arg)
{
    struct errand *errand = arg;
    return publish_here(errand->worker, task, errand->publication, errand->span);
}

static void answer_errand(struct errand *errand, int result)
{
    errand->runner = NULL;
    errand->result = result;
    loop_call(errand->home, &errand->answer);
}

static void errand_ended(void *arg, int result)
{
    answer_errand(arg, result);
}

static void begin_errand(struct loop_call *call)
{
    struct errand *errand = list_entry(call, struct errand, call);
    bool started;
    whippet_task *runner = task_start(loop_scheduler(errand->worker->loop), run_errand, errand,
                                      errand->deadline, NULL, errand_ended, &started);
    if (!started)
        answer_errand(errand, WHIPPET_E_MEMORY);
    else if (runner != NULL)
        errand->runner = runner;
}

static void cut_errand_short(struct loop_call *call)
{
    struct errand *errand = list_entry(call, struct errand, recall);
    if (errand->runner != NULL)
        task_cancel(errand->runner);
    loop_call(errand->home, &errand->gone);
}

static void on_answer(struct loop_call *call)
{
    struct errand *errand = list_entry(call, struct errand, answer);
    waiter_wake(&errand->done, errand->result);
}

static void on_gone(struct loop_call *call)
{
    struct errand *errand = list_entry(call, struct errand, gone);
    waiter_wake(&errand->recalled, 0);
}

static int publish_from_thread(struct worker *worker, whippet_task *task,
                               const whippet_publication *publication, const struct publish_span *span)
{
    struct errand errand = {
        .call.function = begin_errand,
        .recall.function = cut_errand_short,
        .answer.function = on_answer,
        .gone.function = on_gone,
        .worker = worker,
        .publication = publication,
        .span = span,
        .deadline = task_deadline(task),
        .home = loop_of_task(task),
    };
    int error = task_struck(task);
    if (error != 0)
        return error;
    waiter_init(&errand.done);
    waiter_init(&errand.recalled);
    loop_call(worker->loop, &errand.call);
    error = waiter_wait(task, &errand.done, INFINITY, "publishing");
    if (errand.done.woken)
        return error;
    /* What was lent to the main loop must be back before the task goes on: the answer may have been on its
     * way already, and then the recall still is when it comes. */
    loop_call(worker->loop, &errand.recall);
    int result = waiter_wait_shielded(task, &errand.done, "publishing");
    waiter_wait_shielded(task, &errand.recalled, "publishing");
    return result == 0 ? 0 : error;
}

int publish_for_processor(void *owner, whippet_task *task, const whippet_publication *publication,
                          const struct publish_span *span)
{
    struct worker *worker = owner;
    if (loop_of_task(task) != worker->loop)
        return publish_from_thread(worker, task, publication, span);
    return publish_here(worker, task, publication, span);
}
