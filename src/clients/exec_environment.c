#include "exec_environment.h"
#include <base/memory.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static size_t count_of(const char *const *entries)
{
    size_t count = 0;
    while (entries != NULL && entries[count] != NULL)
        count++;
    return count;
}

/* Both written NAME=VALUE, or NAME alone. */
static bool same_name(const char *a, const char *b)
{
    while (*a == *b && *a != '=' && *a != '\0')
        a++, b++;
    return (*a == '=' || *a == '\0') && (*b == '=' || *b == '\0');
}

static bool name_is_among(const char *entry, const char *const *entries)
{
    for (; entries != NULL && *entries != NULL; entries++) {
        if (same_name(entry, *entries))
            return true;
    }
    return false;
}

char **environment_merge(const char *const *additions)
{
    const char *const *own = (const char *const *)environ;
    const char **merged = memory_allocate((count_of(own) + count_of(additions) + 1) * sizeof *merged);
    if (merged == NULL)
        return NULL;
    size_t count = 0;
    for (; own != NULL && *own != NULL; own++) {
        if (!name_is_among(*own, additions))
            merged[count++] = *own;
    }
    for (; additions != NULL && *additions != NULL; additions++) {
        if (!name_is_among(*additions, additions + 1))
            merged[count++] = *additions;
    }
    merged[count] = NULL;
    return (char **)merged;
}
