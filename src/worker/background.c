#include <async/scheduler.h>
#include <base/failure.h>
#include <base/log.h>
#include <math.h>
#include <worker/background.h>

static int run(whippet_task *task, void *arg)
{
    struct background *background = arg;
    const struct processor *processor = background->processor;
    return processor->plugin->descriptor.background(task, processor->state);
}

/* That it has ended by itself is fine, unless with an error: attempts may count on it in vain then. */
static void report(const struct background *background, int result)
{
    if (background->ending || result >= 0)
        return;
    struct log_fields fields = *background->fields;
    fields.error = whippet_error_text(result);
    log_event(WHIPPET_ERROR, &fields,
              "the processor's background() has ended; its attempts go on without it");
}

static void ended(void *arg, int result)
{
    struct background *background = arg;
    background->task = NULL;
    report(background, result);
    waiter_wake(&background->gone, 0);
    if (background->ending && background->ended != NULL)
        background->ended(background->owner);
}

bool background_start(struct background *background, struct scheduler *scheduler,
                      const struct processor *processor, const struct log_fields *fields)
{
    bool started = true;
    waiter_init(&background->gone);
    background->processor = processor;
    background->fields = fields;
    if (processor->plugin->descriptor.background != NULL)
        background->task = task_start(scheduler, run, background, INFINITY, fields, ended, &started);
    return started;
}

void background_cancel(struct background *background)
{
    if (background->task == NULL || background->ending)
        return;
    background->ending = true;
    task_cancel(background->task);
}

bool background_await(whippet_task *task, struct background *background, double until)
{
    int error = 0;
    while (background_runs(background) && error == 0) {
        waiter_init(&background->gone);
        error = waiter_wait(task, &background->gone, until, "ending a processor's background()");
    }
    return !background_runs(background);
}
