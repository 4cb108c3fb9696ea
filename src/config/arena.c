#include "arena.h"
#include <base/memory.h>
#include <base/secret.h>
#include <stdint.h>
#include <string.h>

enum {
    CHUNK_SIZE = 64 * 1024
};

/* Passwords are among what an arena holds: hence pages that no core dump shows. */
struct arena_chunk {
    struct arena_chunk *next;
    size_t used; /* of `data` */
    size_t size;
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
    while (arena->chunks != NULL) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        secret_free(chunk);
    }
    memory_free(arena);
}

static bool add_chunk(struct config_arena *arena, size_t least)
{
    size_t size = least > CHUNK_SIZE ? least : CHUNK_SIZE;
    struct arena_chunk *chunk =
        size < SIZE_MAX - sizeof *chunk ? secret_allocate(sizeof *chunk + size) : NULL;
    if (chunk == NULL)
        return false;
    *chunk = (struct arena_chunk){.next = arena->chunks, .size = size};
    arena->chunks = chunk;
    return true;
}

void *config_arena_allocate(struct config_arena *arena, size_t size)
{
    const size_t unit = _Alignof(max_align_t);
    if (size > SIZE_MAX - unit || (memory_permit != NULL && !memory_permit(size)))
        return NULL;
    size = (size + unit - 1) / unit * unit;
    struct arena_chunk *chunk = arena->chunks;
    if ((chunk == NULL || size > chunk->size - chunk->used) && !add_chunk(arena, size))
        return NULL;
    chunk = arena->chunks;
    void *memory = chunk->data + chunk->used;
    chunk->used += size;
    return memory;
}

char *config_arena_copy(struct config_arena *arena, const char *text, size_t length)
{
    char *copy = config_arena_allocate(arena, length + 1);
    if (copy != NULL && length > 0)
        memcpy(copy, text, length);
    return copy;
}
