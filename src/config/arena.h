/* What a configuration owns: it is allocated piece by piece and freed at once. Core dumps leave it out, and
 * it is wiped when it is freed. */
#ifndef CONFIG_ARENA_H
#define CONFIG_ARENA_H

#include "document.h"
#include <stddef.h>

struct arena_chunk;

struct config_arena {
    unsigned references;        /* to the configuration; freed at 0 */
    struct arena_chunk *chunks; /* the newest first */
    struct document document;   /* the file as it was read */
};

struct config_arena *config_arena_create(void);
void config_arena_destroy(struct config_arena *arena); /* NULL is fine */

/* Zeroed, aligned for any type, valid as long as the arena. NULL when memory is short. */
void *config_arena_allocate(struct config_arena *arena, size_t size);
char *config_arena_copy(struct config_arena *arena, const char *text, size_t length);

#endif
