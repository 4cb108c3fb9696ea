/* Holding back what ends an await. */
#include "task_state.h"
#include <math.h>

int whippet_shield(whippet_task *task, whippet_task_function *function, void *arg)
{
    if (task->scheduler->running != task)
        return WHIPPET_E_INVALID;
    struct scope outer = task->scope;
    task->scope = (struct scope){.deadline = INFINITY, .shields = outer.shields + 1};
    int result = function(task, arg);
    /* What it left running has no deadline that would end it. */
    if (!list_empty(&task->children))
        task_end_children(task, task->scope.shields);
    task->scope = outer;
    return result;
}
