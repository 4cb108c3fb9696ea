/* Who is connected, and for how long it may keep us waiting: a client that sends its request a byte at a
 * time, or never takes its answer, is cut, whatever little it does to seem alive. All on the admin thread. */
#ifndef ADMIN_VISITORS_H
#define ADMIN_VISITORS_H

#include <base/list.h>
#include <stdbool.h>

enum visitor_state {
    VISITOR_ASKING,    /* its request is not whole yet, or the next has not begun */
    VISITOR_ANSWERED,  /* it is given its answer */
    VISITOR_LISTENING, /* to events, for as long as it likes */
};

struct visitor {
    struct list link;
    int descriptor;
    enum visitor_state state;
    double since; /* clock_monotonic, of the state */
};

/* NULL when memory is short. `visitors` is the list of them all. */
struct visitor *visitor_create(struct list *visitors, int descriptor, double now);
void visitor_destroy(struct visitor *visitor);

void visitor_enter(struct visitor *visitor, enum visitor_state state, double now);

/* Cuts those that took too long. */
void visitors_cut(struct list *visitors, double now);

#endif
