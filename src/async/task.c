/* Tasks: how they come, belong together and go. How they wait is waiter.c. */
#include "task_state.h"
#include <assert.h>
#include <base/memory.h>
#include <base/utf8.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    CACHE_LINE = 64,
    REASON_SIZE = 1025, /* bytes, the NUL included */
};

/* --- Running --------------------------------------------------------------------------------------------*/

void task_make_ready(whippet_task *task)
{
    list_append(&task->scheduler->ready, &task->ready);
}

void task_suspend(whippet_task *task, const char *activity)
{
    task->activity = activity;
    context_switch(&task->context, &task->scheduler->home);
    task->activity = "running";
}

static bool quota_take(struct task_quota *quota)
{
    if (quota == NULL)
        return true;
    if (atomic_fetch_add_explicit(&quota->used, 1, memory_order_relaxed) < quota->most)
        return true;
    atomic_fetch_sub_explicit(&quota->used, 1, memory_order_relaxed);
    return false;
}

static void quota_give_back(struct task_quota *quota)
{
    if (quota != NULL)
        atomic_fetch_sub_explicit(&quota->used, 1, memory_order_relaxed);
}

/* Gives the stack back, and with it the task. */
static void task_free(whippet_task *task)
{
    struct scheduler *scheduler = task->scheduler;
    if (task->parent != NULL)
        quota_give_back(scheduler->quota);
    task->parent = NULL;
    scheduler->tasks--;
    stack_release(scheduler->stacks, task->stack);
    if (stack_pool_idle(scheduler->stacks) > SCHEDULER_KEPT_STACKS && !timer_armed(&scheduler->trim))
        scheduler_trim_later(scheduler);
}

/* What an `ended` function starts runs after it, and not inside it: so a chain of tasks that never suspend,
 * each started by the end of the one before, takes no more of the loop's stack than two of them. */
static void call_ended(struct scheduler *scheduler, task_ended *ended, void *arg, int result)
{
    if (scheduler->ending) {
        ended(arg, result);
        return;
    }
    scheduler->ending = true;
    ended(arg, result);
    struct list *link;
    while ((link = list_take_first(&scheduler->starting)) != NULL)
        task_resume(list_entry(link, whippet_task, ready));
    scheduler->ending = false;
}

static void root_end(whippet_task *task)
{
    struct scheduler *scheduler = task->scheduler;
    task_ended *ended = task->ended;
    void *arg = task->arg;
    int result = task->result;
    if (task->arena.blocks != NULL)
        arena_clear(&task->arena);
    task_free(task);
    if (ended != NULL)
        call_ended(scheduler, ended, arg, result);
}

static void child_end(whippet_task *task)
{
    whippet_task *parent = task->parent;
    list_append(&parent->ended_children, &task->ready);
    waiter_wake(&task->end, 0);
    if (parent->any_child != NULL)
        waiter_wake(parent->any_child, 0);
}

static void show_label(const whippet_task *task)
{
    const struct task_label *label = task->root->label;
    if (label != NULL && task->scheduler->board != NULL)
        board_show(task->scheduler->board, label);
}

const struct task_label *task_label(const whippet_task *task)
{
    return task->root->label;
}

void task_set_label(whippet_task *task, const struct task_label *label)
{
    task->root->label = label;
    show_label(task);
}

bool task_resume(whippet_task *task)
{
    struct scheduler *scheduler = task->scheduler;
    scheduler->running = task;
    task->turn = scheduler->turn;
    show_label(task);
    context_switch(&scheduler->home, &task->context);
    if (scheduler->board != NULL)
        board_clear(scheduler->board);
    scheduler->running = NULL;
    if (!task->finished)
        return true;
    context_destroy(&task->context);
    if (task->parent == NULL)
        root_end(task);
    else
        child_end(task);
    return false;
}

/* Its result; the child is gone then. */
static int take_result(whippet_task *child)
{
    int result = child->result;
    list_remove(&child->sibling);
    list_remove(&child->ready);
    task_free(child);
    return result;
}

void task_end_children(whippet_task *task, unsigned shelter)
{
    list_each (link, &task->children) {
        whippet_task *child = list_entry(link, whippet_task, sibling);
        if (child->shelter >= shelter)
            whippet_cancel(child);
    }
    struct list *next;
    for (struct list *link = task->children.next; link != &task->children; link = next) {
        whippet_task *child = list_entry(link, whippet_task, sibling);
        if (child->shelter >= shelter)
            waiter_wait_shielded(task, &child->end, "ending its children");
        next = link->next;
        if (child->shelter >= shelter)
            take_result(child);
    }
}

static void task_main(void *argument)
{
    whippet_task *task = argument;
    task->activity = "running";
    task->result = task->function(task, task->arg);
    if (!list_empty(&task->children))
        task_end_children(task, 0); /* none outlives its parent's function */
    task->activity = "ended";
    task->finished = true;
    context_finish(&task->context, &task->scheduler->home);
}

/* --- Coming ---------------------------------------------------------------------------------------------*/

/* Field by field: zeroing all of it first would be a fifth of what a short task costs. */
static void task_init(whippet_task *task, struct scheduler *scheduler, struct stack stack)
{
    task->scheduler = scheduler;
    list_init(&task->ready);
    task->activity = "starting";
    task->finished = false;
    task->cancelled = false;
    task->waiter = NULL;
    task->shielded = false;
    task->timer.place = 0;
    task->timer.function = task_time_out;
    task->scope = (struct scope){.deadline = INFINITY};
    task->parent = NULL;
    task->root = task;
    list_init(&task->sibling);
    list_init(&task->children);
    list_init(&task->ended_children);
    task->any_child = NULL;
    waiter_init(&task->end);
    task->shelter = 0;
    task->stack = stack;
    task->fields = NULL;
    task->label = NULL;
    task->ended = NULL;
    task->arena.blocks = NULL;
    task->reason = NULL;
    task->retry_after = 0;
    task->message = NULL;
}

/* A root without deadline, that nothing resumes yet. */
static whippet_task *task_create(struct scheduler *scheduler, whippet_task_function *function, void *arg)
{
    struct stack stack;
    /* Each task keeps room for its timer, so that no await can fail for want of memory. */
    if (!timers_reserve(&scheduler->timers, scheduler->tasks + 1) ||
        !stack_acquire(scheduler->stacks, &stack))
        return NULL;
    char *place = stack.high - sizeof(whippet_task);
    place -= (uintptr_t)place % CACHE_LINE;
    whippet_task *task = (void *)place;
    task_init(task, scheduler, stack);
    task->function = function;
    task->arg = arg;
    context_init(&task->context, stack.low, task, task_main, task);
    scheduler->tasks++;
    return task;
}

whippet_task *task_start(struct scheduler *scheduler, whippet_task_function *function, void *arg,
                         double deadline, const struct log_fields *fields, task_ended *ended, bool *started)
{
    assert(scheduler->running == NULL);
    whippet_task *task = task_create(scheduler, function, arg);
    if (started != NULL)
        *started = task != NULL;
    if (task == NULL)
        return NULL;
    task->scope.deadline = deadline;
    task->fields = fields;
    task->ended = ended;
    if (scheduler->ending) {
        list_append(&scheduler->starting, &task->ready);
        return task;
    }
    return task_resume(task) ? task : NULL;
}

whippet_task *whippet_spawn(whippet_task *task, whippet_task_function *function, void *arg)
{
    struct task_quota *quota = task->scheduler->quota;
    if (!quota_take(quota))
        return NULL;
    whippet_task *child = task_create(task->scheduler, function, arg);
    if (child == NULL) {
        quota_give_back(quota);
        return NULL;
    }
    child->parent = task;
    child->root = task->root;
    child->scope.deadline = task->scope.deadline;
    child->shelter = task->scope.shields;
    child->cancelled = task->cancelled && child->shelter == 0;
    list_append(&task->children, &child->sibling);
    task_make_ready(child);
    return child;
}

/* --- Joining --------------------------------------------------------------------------------------------*/

int whippet_join(whippet_task *task, whippet_task *child, int *result)
{
    if (child == NULL || child->parent != task)
        return WHIPPET_E_INVALID;
    int error = waiter_wait(task, &child->end, INFINITY, "waiting for a child");
    if (error != 0)
        return error;
    int value = take_result(child);
    if (result != NULL)
        *result = value;
    return 0;
}

int whippet_join_any(whippet_task *task, whippet_task **child, int *result)
{
    if (list_empty(&task->children))
        return WHIPPET_E_INVALID;
    struct waiter any;
    waiter_init(&any);
    if (!list_empty(&task->ended_children))
        waiter_wake(&any, 0);
    task->any_child = &any;
    int error = waiter_wait(task, &any, INFINITY, "waiting for any child");
    task->any_child = NULL;
    if (error != 0)
        return error;
    whippet_task *first = list_entry(task->ended_children.next, whippet_task, ready);
    int value = take_result(first);
    if (child != NULL)
        *child = first;
    if (result != NULL)
        *result = value;
    return 0;
}

int whippet_join_all(whippet_task *task)
{
    int struck = task_strike(task);
    if (struck != 0)
        return struck;
    list_each (link, &task->children) {
        whippet_task *child = list_entry(link, whippet_task, sibling);
        int error = waiter_wait(task, &child->end, INFINITY, "waiting for its children");
        if (error != 0)
            return error;
    }
    int first = 0;
    while (!list_empty(&task->children)) {
        int result = take_result(list_entry(task->children.next, whippet_task, sibling));
        if (first == 0 && result < 0)
            first = result;
    }
    return first;
}

/* --- Cancelling -----------------------------------------------------------------------------------------*/

/* The task after `task` in the tree below `top`, parents before children, with or without what is below
 * `task`; NULL after the last. Not recursive: a tree may be deeper than a stack. */
static whippet_task *next_in_tree(whippet_task *task, const whippet_task *top, bool below)
{
    if (below && !list_empty(&task->children))
        return list_entry(task->children.next, whippet_task, sibling);
    while (task != top) {
        if (task->sibling.next != &task->parent->children)
            return list_entry(task->sibling.next, whippet_task, sibling);
        task = task->parent;
    }
    return NULL;
}

void whippet_cancel(whippet_task *child)
{
    bool below;
    for (whippet_task *task = child; task != NULL; task = next_in_tree(task, child, below)) {
        below = false;
        if (task != child && task->shelter > 0)
            continue;
        /* The children of a cancelled task are cancelled: then, or when they were spawned. */
        below = !task->cancelled;
        task->cancelled = true;
        if (below && task->waiter != NULL && !task->shielded && task->scope.shields == 0) {
            task->scope.struck = WHIPPET_E_CANCELLED;
            task_unpark(task, WHIPPET_E_CANCELLED);
        }
    }
}

void task_cancel(whippet_task *task)
{
    whippet_cancel(task);
}

/* --- What a task knows ----------------------------------------------------------------------------------*/

struct scheduler *task_scheduler(const whippet_task *task)
{
    return task->scheduler;
}

const struct log_fields *task_log_fields(const whippet_task *task)
{
    return task != NULL ? task->root->fields : NULL;
}

double task_deadline(const whippet_task *task)
{
    return task->scope.deadline;
}

const char *task_activity(const whippet_task *task)
{
    return task->activity;
}

bool task_stack_overflowed(const whippet_task *task, const void *address)
{
    return stack_guards(task->scheduler->stacks, task->stack, address);
}

size_t task_stack_used(const whippet_task *task)
{
    return stack_used(task->stack);
}

void task_set_message(whippet_task *task, const whippet_message *message)
{
    task->root->message = message;
}

const whippet_message *task_message(const whippet_task *task)
{
    return task->root->message;
}

void *whippet_alloc(whippet_task *task, size_t size)
{
    return arena_allocate(&task->root->arena, size);
}

void task_set_reason(whippet_task *task, const char *format, va_list arguments)
{
    /* Formatted apart: the reason so far may be among the arguments. */
    char text[REASON_SIZE + 1];
    whippet_task *root = task->root;
    if (root->reason == NULL)
        root->reason = arena_allocate(&root->arena, REASON_SIZE);
    if (root->reason == NULL || vsnprintf(text, sizeof text, format, arguments) < 0)
        return;
    size_t kept = utf8_cut(text, strlen(text), REASON_SIZE - 1);
    memcpy(root->reason, text, kept);
    root->reason[kept] = '\0';
}

static const double LONGEST_PAUSE = 1e9; /* seconds: for ever, and yet a number to reckon with */

void task_set_retry_after(whippet_task *task, double seconds)
{
    task->root->retry_after = seconds > 0 ? fmin(seconds, LONGEST_PAUSE) : 0;
}

double task_retry_after(const whippet_task *task)
{
    return task->root->retry_after;
}

const char *task_reason(const whippet_task *task)
{
    const char *reason = task->root->reason;
    return reason != NULL ? reason : "";
}
