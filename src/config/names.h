/* Finding names that occur twice. */
#ifndef CONFIG_NAMES_H
#define CONFIG_NAMES_H

#include <stddef.h>

struct name_entry {
    const char *name;
    size_t index; /* where it came from */
};

/* Sorts the entries and calls `found` for each that has the name of one with a lower index: with that lowest
 * index, and its own. */
void names_find_duplicates(struct name_entry *entries, size_t count,
                           void (*found)(void *context, const char *name, size_t first, size_t again),
                           void *context);

#endif
