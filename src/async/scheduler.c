#include "task_state.h"
#include <async/retry.h>

static const double TRIM_AFTER = 1.0; /* seconds that a stack must lie unused */
static const double TRIM_PAUSE =
    0.020; /* seconds between two steps, so that a large burst's end never holds the loop up */
enum {
    TRIM_STEP = 256
}; /* stacks given back in one step: well below a millisecond */

/* Where memory is too short for the timer, the next task that ends asks again. */
static void trim_in(struct scheduler *scheduler, double seconds)
{
    timer_start(&scheduler->timers, &scheduler->trim, scheduler->now + seconds);
}

void scheduler_trim_later(struct scheduler *scheduler)
{
    trim_in(scheduler, TRIM_AFTER);
}

static void trim_stacks(struct timer *timer)
{
    struct scheduler *scheduler = list_entry(timer, struct scheduler, trim);
    if (stack_pool_trim_idle(scheduler->stacks, SCHEDULER_KEPT_STACKS, TRIM_STEP))
        trim_in(scheduler, TRIM_PAUSE);
    else if (stack_pool_idle(scheduler->stacks) > SCHEDULER_KEPT_STACKS)
        trim_in(scheduler, TRIM_AFTER);
}

int scheduler_init(struct scheduler *scheduler, size_t stack_size, struct whippet_failure *failure)
{
    *scheduler = (struct scheduler){.trim.function = trim_stacks};
    timers_init(&scheduler->timers);
    list_init(&scheduler->ready);
    list_init(&scheduler->posted);
    list_init(&scheduler->starting);
    if (!stack_size_valid(stack_size))
        return failure_set(
            failure, WHIPPET_E_INVALID,
            "a task's stack cannot have %zu bytes: it takes a multiple of the page size, at least 16 KiB",
            stack_size);
    scheduler->stacks = stack_pool_create(stack_size);
    if (scheduler->stacks == NULL)
        return failure_set(failure, WHIPPET_E_MEMORY, "no memory for a pool of task stacks");
    if (!context_init_home(&scheduler->home)) {
        stack_pool_destroy(scheduler->stacks);
        return failure_set(failure, WHIPPET_E_MEMORY, "no memory for the scheduler's own context");
    }
    return 0;
}

void scheduler_destroy(struct scheduler *scheduler)
{
    retry_log_report(&scheduler->retry_log);
    context_destroy_home(&scheduler->home);
    stack_pool_destroy(scheduler->stacks);
    timers_destroy(&scheduler->timers);
}

/* Whom a task wakes runs without a poll in between, and so the descriptor that goes from hand to hand stays
 * watched. */
static void resume_ready(struct scheduler *scheduler)
{
    struct list later, *link;
    list_init(&later);
    scheduler->turn++;
    while ((link = list_take_first(&scheduler->ready)) != NULL) {
        whippet_task *task = list_entry(link, whippet_task, ready);
        if (task->turn == scheduler->turn)
            list_append(&later, link);
        else
            task_resume(task);
    }
    list_append_all(&scheduler->ready, &later);
}

static void run_posted(struct scheduler *scheduler)
{
    struct list batch;
    list_init(&batch);
    list_append_all(&batch, &scheduler->posted);
    struct list *link;
    while ((link = list_take_first(&batch)) != NULL) {
        struct posted *posted = list_entry(link, struct posted, link);
        posted->function(posted);
    }
}

void scheduler_turn(struct scheduler *scheduler, double now)
{
    if (now > scheduler->now)
        scheduler->now = now;
    timers_run(&scheduler->timers, scheduler->now);
    resume_ready(scheduler);
    run_posted(scheduler);
}

bool scheduler_busy(const struct scheduler *scheduler)
{
    return !list_empty(&scheduler->ready) || !list_empty(&scheduler->posted);
}

double scheduler_next(const struct scheduler *scheduler)
{
    return timers_next(&scheduler->timers);
}

void scheduler_post(struct scheduler *scheduler, struct posted *posted)
{
    if (posted->link.next == NULL)
        list_init(&posted->link);
    if (list_empty(&posted->link))
        list_append(&scheduler->posted, &posted->link);
}

void posted_cancel(struct posted *posted)
{
    if (posted->link.next != NULL)
        list_remove(&posted->link);
}
