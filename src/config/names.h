/* Finding names that occur twice. */
#ifndef CONFIG_NAMES_H
#define CONFIG_NAMES_H

#include <stddef.h>

/* Who has a name. */
struct name_entry {
    const char *name;
    size_t index; /* in the order of the file */
    void *item;   /* the caller's own */
};

/* Sorts the entries and calls `found` for each that has the name of one with a lower index: with the one of
 * the lowest index, and with it. */
void names_find_duplicates(struct name_entry *entries, size_t count,
                           void (*found)(void *context, const struct name_entry *first,
                                         const struct name_entry *again),
                           void *context);

#endif
