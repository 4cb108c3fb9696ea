/* Stacks for tasks: guarded, pooled, resident only where touched. */
#ifndef ASYNC_STACK_H
#define ASYNC_STACK_H

#include <base/failure.h>
#include <stdbool.h>
#include <stddef.h>

/* How the guard page below each stack is made. */
enum stack_guard {
    STACK_GUARD_MADVISE,  /* MADV_GUARD_INSTALL, Linux 6.13 and later: costs no mapping */
    STACK_GUARD_MPROTECT, /* splits the mapping: about 32,000 stacks at vm.max_map_count's default */
};

/* Not for more than one thread. */
struct stack_pool;

/* A multiple of the page size, at least 16 KiB. */
bool stack_size_valid(size_t size);

/* `size` bytes of address space for each stack, guard page included. NULL when memory is short or the size is
 * not valid. The guard is the best that this machine has; the second form asks for one, and is NULL where the
 * machine lacks it. */
struct stack_pool *stack_pool_create(size_t size);
struct stack_pool *stack_pool_create_guarded(size_t size, enum stack_guard guard);
void stack_pool_destroy(struct stack_pool *pool); /* every stack must have been released */

/* The lowest usable and one past the highest usable address of a stack. */
struct stack {
    char *low;
    char *high;
};

/* The stack that was released last, so that it is still in the cache, or a new one. False when none can be
 * had. */
bool stack_acquire(struct stack_pool *pool, struct stack *stack);
void stack_release(struct stack_pool *pool, struct stack stack);

/* Whether the address lies in the guard page below that stack. */
bool stack_guards(const struct stack_pool *pool, struct stack stack, const void *address);

/* Gives the memory of unused stacks back to the system, but for the `keep` that were used last. What was
 * given back once costs nothing the next time. */
void stack_pool_trim(struct stack_pool *pool, size_t keep);

/* How many unused stacks hold memory. */
size_t stack_pool_idle(const struct stack_pool *pool);

/* The same in small steps, and only for stacks that lay unused since the last time this returned false: gives
 * back the memory of at most `most` of them, but for the `keep` that were used last. True when there are
 * more. */
bool stack_pool_trim_idle(struct stack_pool *pool, size_t keep, size_t most);

size_t stack_pool_in_use(const struct stack_pool *pool);
size_t stack_pool_size(const struct stack_pool *pool); /* bytes of one stack, as given */
enum stack_guard stack_pool_guard(const struct stack_pool *pool);

/* How many stacks this machine can hold: no limit (SIZE_MAX) with madvise guards, else what vm.max_map_count
 * leaves. */
size_t stack_pool_limit(const struct stack_pool *pool);

/* From now on gives each stack's memory back when it is released, so that stack_used is right for every task:
 * costs a system call and page faults a task, for `whippet try` and tests. */
void stack_pool_measure(struct stack_pool *pool);

/* The deepest that any stack released since stack_pool_measure was used, as stack_used counts. */
size_t stack_pool_deepest(const struct stack_pool *pool);

/* The bytes between the stack's top and the lowest page that was touched since its memory was last given
 * back; a multiple of the page size. */
size_t stack_used(struct stack stack);

#endif
