#include "line.h"
#include "task_state.h"
#include <async/scheduler.h>
#include <math.h>

int line_check(whippet_task *task, struct scheduler **home)
{
    struct scheduler *scheduler = task_scheduler(task);
    if (*home == NULL)
        *home = scheduler;
    return *home == scheduler && scheduler->running == task ? task_strike(task) : WHIPPET_E_INVALID;
}

int line_wait(whippet_task *task, struct list *line, struct place_in_line *place, const char *activity)
{
    waiter_init(&place->waiter);
    list_append(line, &place->link);
    int result = waiter_wait(task, &place->waiter, INFINITY, activity);
    list_remove(&place->link);
    return result;
}

struct place_in_line *line_first(struct list *line)
{
    return list_empty(line) ? NULL : list_entry(line->next, struct place_in_line, link);
}

void line_call(struct place_in_line *place, int result)
{
    list_remove(&place->link);
    waiter_wake(&place->waiter, result);
}

void line_call_all(struct list *line, int result)
{
    struct place_in_line *place;
    while ((place = line_first(line)) != NULL)
        line_call(place, result);
}
