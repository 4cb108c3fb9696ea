/* The environment of a child: the worker's own with additions. */
#ifndef CLIENTS_EXEC_ENVIRONMENT_H
#define CLIENTS_EXEC_ENVIRONMENT_H

/* This program's own environment with `additions` (NAME=VALUE, NULL-terminated; NULL: none) in the place of
 * entries of the same name; of several additions of one name the last one counts. The array is the caller's,
 * to be given to memory_free; the strings in it are borrowed. NULL when memory is short. */
char **environment_merge(const char *const *additions);

#endif
