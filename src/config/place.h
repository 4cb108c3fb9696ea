/* Where in the configuration a value stands: "queues[1].retry.delay". */
#ifndef CONFIG_PLACE_H
#define CONFIG_PLACE_H

#include "document.h"
#include <stddef.h>

/* One step of the way; on the stack of whoever takes it. A NULL place is the file as a whole. */
struct place {
    const struct place *outer;
    const char *key; /* in an object; NULL in a list */
    size_t index;    /* in a list, from 0 */
};

/* The path as text, freed with memory_free; NULL when memory is short. A key that is not plain is quoted:
 * queues[0].arguments["my.key"] */
char *place_format(const struct place *place);

/* The line, from 1, on which what `path` names begins; of what is missing, the line of what it is missing
 * from. */
int place_line(const struct document *document, const char *path);

/* The same for the entry number `index` of the object at `path`: for keys that are there twice. */
int place_line_of_entry(const struct document *document, const char *path, size_t index);

/* The lines of all entries of the list at `path`, which must be one: looked up in one go. */
void place_lines_of_entries(const struct document *document, const char *path, int *lines);

#endif
