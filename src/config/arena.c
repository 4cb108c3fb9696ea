#include "arena.h"
#include <base/memory.h>
#include <stdint.h>
#include <string.h>

struct arena_block {
    struct arena_block *next;
    _Alignas(max_align_t) char data[];
};

struct config_arena *config_arena_create(void)
{
    struct config_arena *arena = memory_allocate_zeroed(sizeof *arena);
    if (arena != NULL)
        arena->references = 1;
    return arena;
}

void config_arena_destroy(struct config_arena *arena)
{
    if (arena == NULL)
        return;
    document_close(&arena->document);
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        memory_free(block);
    }
    memory_free(arena);
}

void *config_arena_allocate(struct config_arena *arena, size_t size)
{
    if (size > SIZE_MAX - sizeof(struct arena_block))
        return NULL;
    struct arena_block *block = memory_allocate_zeroed(sizeof *block + size);
    if (block == NULL)
        return NULL;
    block->next = arena->blocks;
    arena->blocks = block;
    return block->data;
}

char *config_arena_copy(struct config_arena *arena, const char *text, size_t length)
{
    char *copy = config_arena_allocate(arena, length + 1);
    if (copy != NULL && length > 0)
        memcpy(copy, text, length);
    return copy;
}
