#include "names.h"
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const struct name_entry *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    if (order != 0)
        return order;
    return left->index < right->index ? -1 : 1;
}

void names_find_duplicates(struct name_entry *entries, size_t count,
                           void (*found)(void *context, const struct name_entry *first,
                                         const struct name_entry *again),
                           void *context)
{
    if (count < 2)
        return;
    qsort(entries, count, sizeof *entries, compare);
    const struct name_entry *first = entries;
    for (const struct name_entry *entry = entries + 1; entry < entries + count; entry++) {
        if (strcmp(entry->name, first->name) == 0)
            found(context, first, entry);
        else
            first = entry;
    }
}
