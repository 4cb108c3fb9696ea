/* The files that `whippet new` writes: cmd/templates, embedded by cmake/Embed.cmake. */
#ifndef CMD_NEW_H
#define CMD_NEW_H

#include <stdbool.h>
#include <stddef.h>

struct template
{
    const char
        *before; /* the file's path in the new folder: `before`, the processor's name if `named`, `after` */
    bool named;
    const char *after;
    const char *text; /* @NAME@ in it is the processor's name */
};

extern const struct template templates[];
extern const size_t template_count;

#endif
