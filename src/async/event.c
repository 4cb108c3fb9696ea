#include "line.h"
#include <base/memory.h>
#include <whippet/sync.h>

struct whippet_event {
    struct scheduler *home; /* NULL before its first use */
    bool is_set;
    struct list line; /* empty while it is set */
};

whippet_event *whippet_event_create(void)
{
    whippet_event *event = memory_allocate(sizeof *event);
    if (event == NULL)
        return NULL;
    event->is_set = false;
    event->home = NULL;
    list_init(&event->line);
    return event;
}

void whippet_event_destroy(whippet_event *event)
{
    if (event == NULL)
        return;
    line_call_all(&event->line, WHIPPET_E_CLOSED);
    memory_free(event);
}

void whippet_event_set(whippet_event *event)
{
    event->is_set = true;
    line_call_all(&event->line, 0);
}

void whippet_event_clear(whippet_event *event)
{
    event->is_set = false;
}

bool whippet_event_is_set(const whippet_event *event)
{
    return event->is_set;
}

int whippet_event_wait(whippet_task *task, whippet_event *event)
{
    int error = line_check(task, &event->home);
    if (error != 0 || event->is_set)
        return error;
    struct place_in_line place;
    return line_wait(task, &event->line, &place, "waiting for an event");
}
