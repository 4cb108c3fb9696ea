#include "line.h"
#include <base/memory.h>
#include <whippet/sync.h>

struct whippet_event {
    struct line_lock lock;
    atomic_bool is_set; /* written with the lock, but for clearing */
    struct list line;   /* empty while it is set */
};

whippet_event *whippet_event_create(void)
{
    whippet_event *event = memory_allocate_zeroed(sizeof *event);
    if (event == NULL)
        return NULL;
    list_init(&event->line);
    return event;
}

void whippet_event_destroy(whippet_event *event)
{
    if (event == NULL)
        return;
    line_lock(&event->lock);
    line_call_all(&event->lock, &event->line, WHIPPET_E_CLOSED);
    memory_free(event);
}

void whippet_event_set(whippet_event *event)
{
    line_lock(&event->lock);
    atomic_store_explicit(&event->is_set, true, memory_order_release);
    line_call_all(&event->lock, &event->line, 0);
}

void whippet_event_clear(whippet_event *event)
{
    atomic_store_explicit(&event->is_set, false, memory_order_release);
}

bool whippet_event_is_set(const whippet_event *event)
{
    return atomic_load_explicit(&event->is_set, memory_order_acquire);
}

int whippet_event_wait(whippet_task *task, whippet_event *event)
{
    int error = line_check(task);
    if (error != 0)
        return error;
    line_lock(&event->lock);
    if (whippet_event_is_set(event)) {
        line_unlock(&event->lock);
        return 0;
    }
    struct place_in_line place;
    return line_wait(task, &event->lock, &event->line, &place, "waiting for an event");
}
