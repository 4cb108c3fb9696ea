/* Which names are being looked up. libcurl starts a thread for each look-up: a thousand for as many requests
 * to a host that it does not know. So for each place one transfer asks at a time, and the others wait. */
#ifndef CLIENTS_HTTP_LOOKUPS_H
#define CLIENTS_HTTP_LOOKUPS_H

#include "http_transfer.h"

struct http_lookups {
    struct list asking; /* transfers, each for another place */
};

void http_lookups_init(struct http_lookups *lookups);

/* Whether both go to the same place: scheme, host and port as they are written. */
bool http_same_place(const struct http_transfer *a, const struct http_transfer *b);

/* Whether another than this one asks for its place. */
bool http_lookups_is_asked(const struct http_lookups *lookups, const struct http_transfer *transfer);

/* It asks from now on, once. */
void http_lookups_begin(struct http_lookups *lookups, struct http_transfer *transfer);

/* It does not any more. Whether it did. */
bool http_lookups_end(struct http_transfer *transfer);

#endif
