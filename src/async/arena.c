#include "arena.h"
#include <base/memory.h>
#include <stdalign.h>
#include <stdint.h>

enum {
    BLOCK_SIZE = 2048,            /* bytes of a block that small pieces share */
    LARGE_PIECE = BLOCK_SIZE / 4, /* from here on a piece has a block of its own */
};

struct arena_block {
    struct arena_block *next;
    size_t used; /* bytes taken of `data` */
    size_t size; /* bytes in `data` */
    alignas(max_align_t) unsigned char data[];
};

static struct arena_block *block_create(size_t size)
{
    struct arena_block *block = memory_allocate_zeroed(sizeof *block + size);
    if (block != NULL)
        block->size = size;
    return block;
}

/* Behind the first block, which may have room for more small pieces. */
static void *allocate_large(struct arena *arena, size_t size)
{
    struct arena_block *block = block_create(size);
    if (block == NULL)
        return NULL;
    struct arena_block **place = arena->blocks != NULL ? &arena->blocks->next : &arena->blocks;
    block->next = *place;
    *place = block;
    block->used = size;
    return block->data;
}

void *arena_allocate(struct arena *arena, size_t size)
{
    size_t step = alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        return NULL;
    size = size > 0 ? (size + step - 1) / step * step : step;
    if (size >= LARGE_PIECE)
        return allocate_large(arena, size);
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < size) {
        block = block_create(BLOCK_SIZE - sizeof *block);
        if (block == NULL)
            return NULL;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *piece = block->data + block->used;
    block->used += size;
    return piece;
}

void arena_clear(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        memory_free(block);
    }
}
