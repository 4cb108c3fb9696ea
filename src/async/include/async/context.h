/* A context: the registers and stack that a coroutine runs on, and the switch between two of them.
 *
 * The backend is a file, chosen in CMake: context_fcontext.c (Boost.Context's assembly) or context_ucontext.c
 * (libc). Sanitizers and Valgrind are told of every stack and switch in context.c, for both. */
#ifndef ASYNC_CONTEXT_H
#define ASYNC_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

/* What a new context runs. It ends with context_finish and never returns. */
typedef void context_entry(void *argument);

/* One a coroutine, and one for the thread's own stack ("home"). Embedded by its owner; must not move. */
struct context {
    void *machine;        /* the backend's: where it goes on when it is next switched to */
    char *low;            /* its stack's lowest address; home's is only known to sanitizers */
    char *high;           /* one past its stack's highest address */
    context_entry *entry; /* NULL for home */
    void *argument;
    void *fake_stack; /* AddressSanitizer's, while it is suspended */
    void *fiber;      /* ThreadSanitizer's */
};

/* Makes `home` the context of the thread that runs now. False when memory is short. */
bool context_init_home(struct context *home);
void context_destroy_home(struct context *home);

/* Makes `context` call entry(argument) on the stack from `low` up to `high` (borrowed) when it is first
 * switched to. */
void context_init(struct context *context, void *low, void *high, context_entry *entry, void *argument);

/* Of one that has finished, or was never switched to; from another context. Its stack may be used again
 * afterwards. */
void context_destroy(struct context *context);

/* Goes from `from`, which is the one running, to `to`, which is suspended or new; returns when something
 * switches back. errno and the signal mask mean nothing across it. */
void context_switch(struct context *from, struct context *to);

/* The last switch of `from`. */
void context_finish(struct context *from, struct context *to) __attribute__((noreturn));

/* Tells Valgrind that memory is a stack, or is one no more; the number names it. Nothing happens without
 * Valgrind. */
unsigned context_announce_stack(void *low, void *high);
void context_retract_stack(unsigned number);

#endif
