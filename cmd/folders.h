/* The folders that processors are looked for in, as the option --path gives them. */
#ifndef CMD_FOLDERS_H
#define CMD_FOLDERS_H

#include <stdbool.h>
#include <stddef.h>

enum {
    FOLDERS_MOST = 16
};

/* Zeroed: none yet. The paths are borrowed. */
struct folders {
    const char *paths[FOLDERS_MOST];
    size_t count;
};

/* False when there are too many. */
bool folders_add(struct folders *folders, const char *path);

/* Where none was given, takes the default ones. */
void folders_complete(struct folders *folders);

#endif
