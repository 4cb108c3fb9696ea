/* Secrets from files, as Docker and Kubernetes give them. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <base/failure.h>
#include <stddef.h>

enum {
    SECRET_MOST_BYTES = 8192 /* what fits RabbitMQ's first frame from 4.1 on, an OAuth 2 token for instance */
};

/* The text in the file, without the one newline at its end that editors put there; given back with
 * secret_destroy. NULL with the failure filled, which names the file, what is wrong with it, and what to do:
 * it is missing, unreadable, a folder, empty, too long, or holds a NUL. Blocks. */
char *secret_read(const char *file, struct whippet_failure *failure);

char *secret_copy(const char *text); /* NULL when memory is short */
void secret_destroy(char *secret);   /* wipes it first; NULL is fine */

/* Pages of its own, which core dumps leave out (MADV_DONTDUMP), zeroed; given back, and wiped, by
 * secret_free. NULL when memory is short. secret_copy and secret_read take theirs from here. */
void *secret_allocate(size_t size);
void secret_free(void *memory); /* NULL is fine */

/* That the file can be read, is none of a folder, and holds something: for files that others read. 0, or the
 * error with the failure filled. Blocks. */
int file_check_readable(const char *file, struct whippet_failure *failure);

#endif
