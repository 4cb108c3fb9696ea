#include <base/memory.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool (*memory_permit)(size_t size);

static bool permitted(size_t size)
{
    return memory_permit == NULL || memory_permit(size);
}

void *memory_allocate(size_t size)
{
    return permitted(size) ? malloc(size) : NULL;
}

void *memory_allocate_zeroed(size_t size)
{
    return permitted(size) ? calloc(1, size) : NULL;
}

void *memory_resize(void *memory, size_t size)
{
    return permitted(size) ? realloc(memory, size) : NULL;
}

char *memory_copy_text(const char *text)
{
    return text != NULL ? memory_copy_span(text, strlen(text)) : NULL;
}

char *memory_copy_span(const void *data, size_t length)
{
    if (length == SIZE_MAX)
        return NULL;
    char *copy = memory_allocate(length + 1);
    if (copy == NULL)
        return NULL;
    if (length > 0)
        memcpy(copy, data, length);
    copy[length] = '\0';
    return copy;
}

void memory_free(void *memory)
{
    free(memory);
}
