/* What a backend of context.h offers to context.c, which is its only caller. */
#ifndef ASYNC_CONTEXT_BACKEND_H
#define ASYNC_CONTEXT_BACKEND_H

#include <async/context.h>

/* Gives home->machine what a switch away from it needs. False when memory is short. */
bool backend_init_home(struct context *home);
void backend_destroy_home(struct context *home);

/* Prepares context->machine so that the first switch to it calls context_begin(context) on its stack. */
void backend_init(struct context *context);

void backend_switch(struct context *from, struct context *to);

/* Provided by context.c: runs context->entry, on its own stack. */
void context_begin(struct context *context) __attribute__((noreturn));

#endif
