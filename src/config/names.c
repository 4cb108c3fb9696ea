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
                           void (*found)(void *context, const char *name, size_t first, size_t again),
                           void *context)
{
    if (count < 2)
        return;
    qsort(entries, count, sizeof *entries, compare);
    size_t first = 0;
    for (size_t i = 1; i < count; i++) {
        if (strcmp(entries[i].name, entries[first].name) == 0)
            found(context, entries[i].name, entries[first].index, entries[i].index);
        else
            first = i;
    }
}
