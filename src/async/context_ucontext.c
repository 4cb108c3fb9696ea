/* Contexts on libc's ucontext: slower, since each switch makes two system calls for the signal mask, but
 * there wherever glibc is. */
#include "context_backend.h"
#include <base/memory.h>
#include <stdint.h>
#include <ucontext.h>

enum {
    ALIGNMENT = 64
};

/* makecontext passes ints only, so a new context finds here that it is the one switched to. */
static _Thread_local struct context *switched_to;

static void begin(void)
{
    context_begin(switched_to);
}

bool backend_init_home(struct context *home)
{
    home->machine = memory_allocate_zeroed(sizeof(ucontext_t));
    return home->machine != NULL;
}

void backend_destroy_home(struct context *home)
{
    memory_free(home->machine);
    home->machine = NULL;
}

/* Its registers are kept at the top of its own stack. */
void backend_init(struct context *context)
{
    char *top = context->high - sizeof(ucontext_t);
    top -= (uintptr_t)top % ALIGNMENT;
    ucontext_t *registers = (void *)top;

    getcontext(registers);
    registers->uc_stack.ss_sp = context->low;
    registers->uc_stack.ss_size = (size_t)(top - context->low);
    registers->uc_link = NULL;
    makecontext(registers, begin, 0);
    context->machine = registers;
}

void backend_switch(struct context *from, struct context *to)
{
    switched_to = to;
    swapcontext(from->machine, to->machine);
}
