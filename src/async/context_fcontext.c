/* Contexts on Boost.Context's assembly: a switch saves the registers that a call must preserve, on the stack
 * it leaves, and makes no system call. */
#include "context_backend.h"

/* As boost/context/detail/fcontext.hpp has them, which is C++. A function started by make_fcontext must not
 * return. */
struct transfer {
    void *fctx; /* where the context that jumped here was suspended */
    void *data; /* what it passed */
};

extern void *make_fcontext(void *sp, size_t size, void (*fn)(struct transfer));
extern struct transfer jump_fcontext(void *const to, void *data);

/* Only the one that arrives knows where the one that left was suspended; `data` is always the one that left.
 */
static void note_departure(struct transfer transfer)
{
    ((struct context *)transfer.data)->machine = transfer.fctx;
}

static void begin(struct transfer transfer)
{
    /* A new context finds itself where context_switch says it goes to: in the one that left. */
    struct context *from = transfer.data;
    struct context *self = from->machine;
    note_departure(transfer);
    context_begin(self);
}

bool backend_init_home(struct context *home)
{
    home->machine = NULL;
    return true;
}

void backend_destroy_home(struct context *home)
{
    home->machine = NULL;
}

void backend_init(struct context *context)
{
    context->machine = make_fcontext(context->high, (size_t)(context->high - context->low), begin);
}

void backend_switch(struct context *from, struct context *to)
{
    from->machine = to;
    note_departure(jump_fcontext(to->machine, from));
}
