/* Contexts on libc's ucontext: slower, since each switch makes two system calls for the signal mask, but
 * there wherever glibc is. */
#include "context_backend.h"
#include <base/memory.h>
#include <stdint.h>
#include <ucontext.h>

/* makecontext passes ints only: a pointer goes as its two halves. */
static void begin(unsigned high_half, unsigned low_half)
{
    context_begin((struct context *)((uintptr_t)high_half << 32 | low_half));
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
    uintptr_t top = ((uintptr_t)context->high - sizeof(ucontext_t)) & ~(uintptr_t)63;
    ucontext_t *registers = (ucontext_t *)top;
    uintptr_t self = (uintptr_t)context;

    getcontext(registers);
    registers->uc_stack.ss_sp = context->low;
    registers->uc_stack.ss_size = (size_t)(top - (uintptr_t)context->low);
    registers->uc_link = NULL;
    makecontext(registers, (void (*)(void))begin, 2, (unsigned)(self >> 32), (unsigned)self);
    context->machine = registers;
}

void backend_switch(struct context *from, struct context *to)
{
    swapcontext(from->machine, to->machine);
}
