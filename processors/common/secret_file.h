/* A secret from a file, as Docker and Kubernetes give them, so that it stands in no configuration. */
#ifndef COMMON_SECRET_FILE_H
#define COMMON_SECRET_FILE_H

#include <whippet/types.h>

/* The text in the file, without the newline at its end; NUL-terminated. NULL with the failure filled:
 * "`option`: cannot read the file: why". Blocks; for setup(). */
char *secret_file_read(const char *option, const char *file, whippet_failure *failure);

/* The same later, when the file may hold another: NULL when there is no secret to be had now. Blocks: not for
 * a task. */
char *secret_file_read_again(const char *file);

/* Wipes it. NULL is fine. */
void secret_file_destroy(char *secret);

#endif
