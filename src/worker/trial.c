#include "worker_internal.h"
#include <base/memory.h>
#include <math.h>
#include <string.h>
#include <worker/trial.h>

static const double END_SECONDS = 10; /* for background() and for child processes */

struct trial {
    struct loop *loop;
    struct worker *worker;
    struct subscription *subscription;
    const struct trial_handlers *handlers;
    void *owner;
    size_t messages; /* that were added */
    size_t pending;  /* that are not at their end */
    bool cancelled;
    bool closed;
    struct whippet_failure failure; /* why none can run */
};

/* --- Coming ---------------------------------------------------------------------------------------------*/

struct trial *trial_create(struct loop *loop, const struct config *config,
                           const struct trial_handlers *handlers, void *owner, struct config_errors *errors)
{
    struct trial *trial = memory_allocate_zeroed(sizeof *trial);
    if (trial == NULL) {
        config_errors_add(errors, config, "", "out of memory");
        return NULL;
    }
    *trial = (struct trial){.loop = loop, .handlers = handlers, .owner = owner};
    trial->worker = worker_create_for_trial(loop, config, trial, errors);
    if (trial->worker == NULL) {
        memory_free(trial);
        return NULL;
    }
    trial->subscription = list_entry(trial->worker->subscriptions.next, struct subscription, link);
    loop_refresh_now(loop);
    if (trial->subscription->executor->open(trial->subscription))
        return trial;
    config_errors_add(errors, config, "", "out of memory");
    worker_destroy(trial->worker);
    memory_free(trial);
    return NULL;
}

bool trial_add(struct trial *trial, struct message *message, unsigned attempt)
{
    struct subscription *subscription = trial->subscription;
    struct delivery *delivery = delivery_create(subscription, message);
    if (delivery == NULL)
        return false;
    message->delivery_tag = trial->messages++;
    trial->pending++;
    delivery->message.attempt = attempt - 1;
    delivery->state = DELIVERY_WAITING;
    queue_counters_arrived(&subscription->stats.counters, PHASE_WAITING, loop_now(trial->loop));
    list_append(&subscription->waiting, &delivery->link);
    return true;
}

enum run_mode trial_mode(const struct trial *trial)
{
    return queue_run_mode(trial->subscription->config, &trial->subscription->processor.plugin->descriptor);
}

/* --- At work --------------------------------------------------------------------------------------------*/

bool trial_attempt_ended(struct trial *trial, const struct delivery *delivery)
{
    struct trial_attempt attempt = {
        .message = delivery->message.content->delivery_tag,
        .attempt = delivery->message.attempt,
        .verdict = delivery->verdict,
        .struck = delivery->struck,
        .crashed = delivery->crashed,
        .reason = delivery->reason != NULL ? delivery->reason : "",
        .retry_after = delivery->retry_after,
        .duration = delivery->duration,
    };
    if (trial->handlers->ended(trial->owner, &attempt) && !trial->cancelled)
        return true;
    if (--trial->pending == 0)
        loop_stop(trial->loop);
    return false;
}

int trial_publish(struct trial *trial, whippet_task *task, const struct publishing *publishing)
{
    struct message *copy =
        message_create(bytes_of_text(publishing->exchange), bytes_of_text(publishing->routing_key),
                       publishing->properties, publishing->body.len);
    if (copy == NULL)
        return WHIPPET_E_MEMORY;
    if (publishing->body.len > 0)
        memcpy(message_body_storage(copy), publishing->body.data, publishing->body.len);
    trial->handlers->published(trial->owner, copy);
    return whippet_sleep(task, 0);
}

void trial_fail(struct trial *trial, const struct whippet_failure *failure)
{
    trial->failure = *failure;
    loop_stop(trial->loop);
}

const char *trial_run(struct trial *trial)
{
    subscription_dispatch(trial->subscription);
    while (trial->pending > 0 && trial->failure.error == 0)
        loop_run(trial->loop);
    return trial->failure.error != 0 ? trial->failure.text : NULL;
}

/* What waits is told as well: it has not run. */
void trial_cancel(struct trial *trial)
{
    struct subscription *subscription = trial->subscription;
    size_t waiting = 0;
    trial->cancelled = true;
    list_each (link, &subscription->waiting)
        waiting++;
    subscription_return_resting(subscription);
    trial->pending -= waiting;
    list_each (link, &subscription->at_work)
        delivery_cancel(list_entry(link, struct delivery, link));
    if (trial->pending == 0)
        loop_stop(trial->loop);
}

/* --- Going ----------------------------------------------------------------------------------------------*/

static int close_executor(whippet_task *task, void *arg)
{
    struct trial *trial = arg;
    struct subscription *subscription = trial->subscription;
    subscription->executor->close(task, subscription, loop_refresh_now(trial->loop) + END_SECONDS);
    return 0;
}

static void closed(void *arg, int ignored)
{
    struct trial *trial = arg;
    (void)ignored;
    trial->closed = true;
    loop_stop(trial->loop);
}

bool trial_destroy(struct trial *trial)
{
    subscription_return_resting(trial->subscription);
    task_start(loop_scheduler(trial->loop), close_executor, trial, INFINITY, NULL, closed, &(bool){false});
    while (!trial->closed && loop_scheduler(trial->loop)->tasks > 0)
        loop_run(trial->loop);
    if (!trial->closed || background_runs(&trial->subscription->background))
        return false;
    worker_destroy(trial->worker);
    memory_free(trial);
    return true;
}
