#include "line.h"
#include "task_state.h"
#include <async/scheduler.h>
#include <math.h>

int line_check(whippet_task *task)
{
    return task->scheduler->running == task ? task_strike(task) : WHIPPET_E_INVALID;
}

static void wake_here(struct loop_call *call)
{
    struct place_in_line *place = list_entry(call, struct place_in_line, call);
    waiter_wake(&place->waiter, place->result);
}

int line_wait(whippet_task *task, struct line_lock *lock, struct list *line, struct place_in_line *place,
              const char *activity)
{
    waiter_init(&place->waiter);
    place->thread = pthread_self();
    place->loop = loop_of_task(task);
    place->call.function = wake_here;
    place->is_called = false;
    list_append(line, &place->link);
    line_unlock(lock);
    int error = waiter_wait(task, &place->waiter, INFINITY, activity);
    if (place->waiter.woken)
        return place->result;
    line_lock(lock);
    bool is_called = place->is_called;
    if (!is_called)
        list_remove(&place->link);
    line_unlock(lock);
    /* It has what it waited for, and the call that says so is on its way to this stack. */
    return is_called ? waiter_wait_shielded(task, &place->waiter, activity) : error;
}

struct place_in_line *line_call(struct list *line, int result)
{
    struct list *link = list_take_first(line);
    if (link == NULL)
        return NULL;
    struct place_in_line *place = list_entry(link, struct place_in_line, link);
    place->is_called = true;
    place->result = result;
    return place;
}

/* Nothing is touched after it: the place is gone as soon as its task has run. */
void line_wake(struct place_in_line *place)
{
    if (place == NULL)
        return;
    if (pthread_equal(place->thread, pthread_self()))
        wake_here(&place->call);
    else
        loop_call(place->loop, &place->call);
}

void line_call_all(struct line_lock *lock, struct list *line, int result)
{
    struct list called, *link;
    struct place_in_line *place;
    list_init(&called);
    while ((place = line_call(line, result)) != NULL)
        list_append(&called, &place->link);
    line_unlock(lock);
    /* Who is called waits until it is woken, and leaves its link alone. */
    while ((link = list_take_first(&called)) != NULL)
        line_wake(list_entry(link, struct place_in_line, link));
}
