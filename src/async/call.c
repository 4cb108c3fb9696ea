/* Calls that one thread makes on another's loop. */
#include "loop_state.h"

static void run_calls(struct ev_loop *ev, ev_async *wake, int events)
{
    (void)ev, (void)events;
    struct calls *calls = list_entry(wake, struct calls, wake);
    struct list due;
    list_init(&due);
    pthread_mutex_lock(&calls->mutex);
    list_append_all(&due, &calls->queued);
    pthread_mutex_unlock(&calls->mutex);
    struct list *link;
    while ((link = list_take_first(&due)) != NULL) {
        struct loop_call *call = list_entry(link, struct loop_call, link);
        call->function(call);
    }
}

void calls_init(struct calls *calls, struct ev_loop *ev)
{
    list_init(&calls->queued);
    pthread_mutex_init(&calls->mutex, NULL);
    ev_async_init(&calls->wake, run_calls);
    ev_async_start(ev, &calls->wake);
}

void calls_destroy(struct calls *calls, struct ev_loop *ev)
{
    ev_async_stop(ev, &calls->wake);
    pthread_mutex_destroy(&calls->mutex);
}

void loop_call(struct loop *loop, struct loop_call *call)
{
    pthread_mutex_lock(&loop->calls.mutex);
    list_append(&loop->calls.queued, &call->link);
    pthread_mutex_unlock(&loop->calls.mutex);
    ev_async_send(loop->ev, &loop->calls.wake);
}
