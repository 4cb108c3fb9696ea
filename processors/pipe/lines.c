#include "lines.h"
#include <stdlib.h>
#include <string.h>

bool lines_create(struct lines *lines, size_t limit)
{
    *lines = (struct lines){.data = malloc(limit + 1), .size = limit + 1};
    return lines->data != NULL;
}

void lines_destroy(struct lines *lines)
{
    free(lines->data);
    *lines = (struct lines){0};
}

char *lines_room(struct lines *lines, size_t *size)
{
    size_t left = lines->length - lines->taken;
    if (lines->taken > 0 && left > 0)
        memmove(lines->data, lines->data + lines->taken, left);
    lines->seen -= lines->taken;
    lines->taken = 0;
    lines->length = left;
    *size = lines->size - left;
    return lines->data + left;
}

void lines_added(struct lines *lines, size_t count)
{
    lines->length += count;
}

bool lines_next(struct lines *lines, whippet_bytes *line)
{
    const char *begin = lines->data + lines->taken;
    const char *newline = memchr(lines->data + lines->seen, '\n', lines->length - lines->seen);
    if (newline == NULL) {
        lines->seen = lines->length;
        return false;
    }
    *line = (whippet_bytes){.data = begin, .len = (size_t)(newline - begin)};
    lines->taken = lines->seen = (size_t)(newline - lines->data) + 1;
    return true;
}

bool lines_rest(struct lines *lines, whippet_bytes *line)
{
    *line = (whippet_bytes){.data = lines->data + lines->taken, .len = lines->length - lines->taken};
    lines->taken = lines->seen = lines->length;
    return line->len > 0;
}

void lines_clear(struct lines *lines)
{
    lines->taken = lines->seen = lines->length = 0;
}
