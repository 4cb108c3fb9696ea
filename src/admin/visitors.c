#include "visitors.h"
#include <base/memory.h>
#include <sys/socket.h>

static const double LONGEST[] = {
    /* seconds; 0: no limit */
    [VISITOR_ASKING] = 10,
    [VISITOR_ANSWERED] = 30,
    [VISITOR_LISTENING] = 0,
};

struct visitor *visitor_create(struct list *visitors, int descriptor, double now)
{
    struct visitor *visitor = memory_allocate(sizeof *visitor);
    if (visitor == NULL)
        return NULL;
    *visitor = (struct visitor){.descriptor = descriptor, .since = now};
    list_append(visitors, &visitor->link);
    return visitor;
}

void visitor_destroy(struct visitor *visitor)
{
    if (visitor == NULL)
        return;
    list_remove(&visitor->link);
    memory_free(visitor);
}

void visitor_enter(struct visitor *visitor, enum visitor_state state, double now)
{
    if (visitor == NULL)
        return;
    visitor->state = state;
    visitor->since = now;
}

/* The descriptor is the HTTP library's, which sees the end of it and closes it. */
void visitors_cut(struct list *visitors, double now)
{
    list_each (link, visitors) {
        struct visitor *visitor = list_entry(link, struct visitor, link);
        if (LONGEST[visitor->state] > 0 && now - visitor->since > LONGEST[visitor->state])
            shutdown(visitor->descriptor, SHUT_RDWR);
    }
}
