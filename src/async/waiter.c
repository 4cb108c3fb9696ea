/* Awaits: how a running task comes to wait, and what ends the wait. */
#include "task_state.h"
#include <math.h>

static bool may_wait(const whippet_task *task, const struct waiter *waiter)
{
    return task->scheduler->running == task && waiter->task == NULL;
}

static int park(whippet_task *task, struct waiter *waiter, const char *activity)
{
    waiter->task = task;
    task->waiter = waiter;
    task_suspend(task, activity);
    return task->outcome;
}

void task_unpark(whippet_task *task, int outcome)
{
    timer_stop(&task->scheduler->timers, &task->timer);
    task->waiter->task = NULL;
    task->waiter = NULL;
    task->outcome = outcome;
    task_make_ready(task);
}

void task_time_out(struct timer *timer)
{
    whippet_task *task = list_entry(timer, whippet_task, timer);
    if (task->scheduler->now >= task->scope.deadline)
        task->scope.struck = WHIPPET_E_TIMEOUT;
    task_unpark(task, WHIPPET_E_TIMEOUT);
}

int task_struck(const whippet_task *task)
{
    if (task->scope.struck != 0)
        return task->scope.struck;
    if (task->cancelled && task->scope.shields == 0)
        return WHIPPET_E_CANCELLED;
    return scheduler_moment(task->scheduler) >= task->scope.deadline ? WHIPPET_E_TIMEOUT : 0;
}

int task_strike(whippet_task *task)
{
    task->scope.struck = task_struck(task);
    return task->scope.struck;
}

void waiter_init(struct waiter *waiter)
{
    *waiter = (struct waiter){0};
}

int waiter_wait(whippet_task *task, struct waiter *waiter, double until, const char *activity)
{
    struct scheduler *scheduler = task->scheduler;
    if (!may_wait(task, waiter))
        return WHIPPET_E_INVALID;
    if (task_strike(task) != 0)
        return task->scope.struck;
    if (waiter->woken)
        return waiter->result;
    if (scheduler->now >= until)
        return WHIPPET_E_TIMEOUT;
    double limit = until < task->scope.deadline ? until : task->scope.deadline;
    if (limit < INFINITY)
        timer_start_reserved(&scheduler->timers, &task->timer, limit);
    return park(task, waiter, activity);
}

int waiter_wait_shielded(whippet_task *task, struct waiter *waiter, const char *activity)
{
    if (!may_wait(task, waiter))
        return WHIPPET_E_INVALID;
    if (waiter->woken)
        return waiter->result;
    task->shielded = true;
    int result = park(task, waiter, activity);
    task->shielded = false;
    return result;
}

void waiter_wake(struct waiter *waiter, int result)
{
    if (waiter->woken)
        return;
    waiter->woken = true;
    waiter->result = result;
    if (waiter->task != NULL)
        task_unpark(waiter->task, result);
}

/* Lets the tasks that are ready now run first. */
static int yield(whippet_task *task)
{
    if (task->scheduler->running != task)
        return WHIPPET_E_INVALID;
    if (task_strike(task) != 0)
        return task->scope.struck;
    task_make_ready(task);
    task_suspend(task, "ready");
    return task_strike(task);
}

int whippet_sleep(whippet_task *task, double seconds)
{
    double now = scheduler_moment(task->scheduler);
    double until = now + seconds;
    if (!(until > now))
        return yield(task);
    struct waiter waiter;
    waiter_init(&waiter);
    int error = waiter_wait(task, &waiter, until, "sleeping");
    return error == WHIPPET_E_TIMEOUT ? task->scope.struck : error;
}

int whippet_with_timeout(whippet_task *task, double seconds, whippet_task_function *function, void *arg)
{
    struct scheduler *scheduler = task->scheduler;
    struct scope outer = task->scope;
    double until = scheduler_moment(scheduler) + (seconds > 0 ? seconds : 0);
    if (until < outer.deadline)
        task->scope.deadline = until;
    int result = function(task, arg);

    /* What struck inside goes on outside only where its cause does. */
    int struck = task->scope.struck;
    task->scope = outer;
    bool outside = struck == WHIPPET_E_CANCELLED || scheduler->now >= outer.deadline;
    if (outer.struck == 0 && outside)
        task->scope.struck = struck;
    return result;
}

double whippet_time_left(const whippet_task *task)
{
    return task->scope.deadline - task->scheduler->now;
}
