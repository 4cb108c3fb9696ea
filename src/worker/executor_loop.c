/* `run: loop`: each attempt is a task of the main loop. */
#include "worker_internal.h"
#include <base/log.h>
#include <base/memory.h>
#include <math.h>

static void keep_reason(struct delivery *delivery, const whippet_task *task)
{
    const char *reason = task_reason(task);
    memory_free(delivery->reason);
    delivery->reason = *reason != '\0' ? memory_copy_text(reason) : NULL;
    delivery->struck = task_struck(task);
    delivery->retry_after = task_retry_after(task);
}

/* The attempt, on a task's stack. */
static int attempt(whippet_task *task, void *arg)
{
    struct delivery *delivery = arg;
    struct subscription *subscription = delivery->subscription;
    const struct processor *processor = &subscription->processor;
    task_set_label(task, &delivery->label);
    delivery->started_at = fmax(subscription->worker->clock, loop_now(subscription->worker->loop));
    task_set_message(task, &delivery->message);
    delivery->verdict = processor->plugin->descriptor.process(task, &delivery->message, processor->state);
    delivery->duration = worker_read_clock(subscription->worker) - delivery->started_at;
    if (delivery->verdict != WHIPPET_ACK)
        keep_reason(delivery, task);
    return 0;
}

static void attempt_ended(void *arg, int ignored)
{
    struct delivery *delivery = arg;
    (void)ignored;
    delivery->task = NULL;
    delivery_attempt_ended(delivery);
}

static int start(struct delivery *delivery, struct whippet_failure *failure)
{
    struct subscription *subscription = delivery->subscription;
    struct loop *loop = subscription->worker->loop;
    bool started = false;
    whippet_task *task =
        task_start(loop_scheduler(loop), attempt, delivery, loop_now(loop) + subscription->config->timeout,
                   &delivery->fields, attempt_ended, &started);
    if (task != NULL)
        delivery->task = task;
    return started ? 0
                   : failure_set(failure, WHIPPET_E_MEMORY,
                                 "no memory for a task, or too many mappings (sysctl vm.max_map_count)");
}

static void cancel(struct delivery *delivery)
{
    task_cancel(delivery->task);
}

static const char *activity(const struct delivery *delivery)
{
    return task_activity(delivery->task);
}

static int set_up(struct subscription *subscription, struct plugin *plugin, whippet_settings *settings,
                  struct whippet_failure *failure)
{
    return processor_setup(&subscription->processor, plugin, settings, failure);
}

static void tear_down(struct subscription *subscription)
{
    processor_teardown(&subscription->processor);
}

bool executor_open_background(struct subscription *subscription)
{
    subscription->background_fields = (struct log_fields){.queue = subscription->config->name,
                                                          .processor = subscription->config->processor};
    return background_start(&subscription->background, loop_scheduler(subscription->worker->loop),
                            &subscription->processor, &subscription->background_fields);
}

void executor_close_background(whippet_task *task, struct subscription *subscription, double until)
{
    background_cancel(&subscription->background);
    if (!background_await(task, &subscription->background, until))
        log_event(WHIPPET_WARNING, &subscription->background_fields,
                  "the processor's background() did not come to an end when it was cancelled");
}

const struct executor LOOP_EXECUTOR = {
    .set_up = set_up,
    .tear_down = tear_down,
    .open = executor_open_background,
    .close = executor_close_background,
    .start = start,
    .cancel = cancel,
    .activity = activity,
};
