/* What settings add to the environment of a command. */
#ifndef COMMON_ENVIRONMENT_H
#define COMMON_ENVIRONMENT_H

#include <whippet/processor.h>

/* NAME=VALUE strings, NULL-terminated, of the names and values in `pairs` (alternating, NULL-terminated).
 * Freed with environment_destroy. NULL with the failure filled for a name that cannot be one, or when memory
 * is short. */
char **environment_create(const char *const *pairs, whippet_failure *failure);
void environment_destroy(char **environment);

#endif
