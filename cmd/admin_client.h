/* Asking a worker's admin port. */
#ifndef CMD_ADMIN_CLIENT_H
#define CMD_ADMIN_CLIENT_H

#include <base/buffer.h>
#include <base/failure.h>

/* "http://host:port", with or without a slash behind, or host and port alone. */
struct admin_address {
    char host[256];
    char port[8];
};

/* 0, or INVALID with the failure. */
int admin_address_parse(const char *url, struct admin_address *address, struct whippet_failure *failure);

/* Where the worker of the configuration `file` (NULL: the usual ones) listens, whatever else is wrong with
 * that by now; where there is none, the default. 0, or an error with the failure. */
int admin_address_find(const char *file, struct admin_address *address, struct whippet_failure *failure);

/* GET `path` within `seconds`, all in all: the status, with the body appended to `body`; or 0 with the
 * failure. */
int admin_get(const struct admin_address *address, const char *path, double seconds, struct buffer *body,
              struct whippet_failure *failure);

#endif
