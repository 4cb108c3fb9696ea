/* Awaiting a descriptor. */
#include <async/loop.h>
#include <fcntl.h>
#include <math.h>

static void on_ready(void *owner, int events)
{
    waiter_wake(owner, events);
}

/* libev would take a wild number for granted, and a table of its own as long as that. */
int whippet_wait_fd(whippet_task *task, int descriptor, int events)
{
    if (loop_of_task(task) == NULL)
        return WHIPPET_E_UNAVAILABLE;
    if (events == 0 || (events & ~(WHIPPET_READABLE | WHIPPET_WRITABLE)) != 0 ||
        fcntl(descriptor, F_GETFD) == -1)
        return WHIPPET_E_INVALID;
    struct loop *last = NULL;
    return loop_wait_fd(task, descriptor, events, &last);
}

int loop_wait_fd(whippet_task *task, int descriptor, int events, struct loop **last)
{
    struct loop *loop = loop_of_task(task);
    if (loop == NULL)
        return WHIPPET_E_UNAVAILABLE;
    struct waiter waiter;
    waiter_init(&waiter);
    struct watch *watch = watch_create(loop, descriptor, on_ready, &waiter);
    if (watch == NULL)
        return WHIPPET_E_MEMORY;
    if (*last == loop)
        watch_same(watch);
    *last = loop;
    watch_set(watch, events);
    int result = waiter_wait(task, &waiter, INFINITY, "waiting for a descriptor");
    watch_destroy(watch);
    return result;
}
