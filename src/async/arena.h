/* Memory that is taken piece by piece and freed all at once. */
#ifndef ASYNC_ARENA_H
#define ASYNC_ARENA_H

#include <stddef.h>

struct arena_block;

/* Zeroed: empty. */
struct arena {
    struct arena_block *blocks; /* owned; the first is the one that is filled */
};

/* `size` zeroed bytes, aligned for any type; never NULL for 0. NULL when memory is short. */
void *arena_allocate(struct arena *arena, size_t size);

/* Frees everything; it is empty then, and may be used again. */
void arena_clear(struct arena *arena);

#endif
