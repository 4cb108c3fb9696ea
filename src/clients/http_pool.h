/* The HTTP connections of a loop: libcurl's "multi handle", turned by the loop's descriptors and timers. It
 * comes with the first request, and goes when there was none for a while. */
#ifndef CLIENTS_HTTP_POOL_H
#define CLIENTS_HTTP_POOL_H

#include "http_transfer.h"
#include <async/loop.h>

struct http_pool;

/* The loop's own. NULL when memory is short. */
struct http_pool *http_pool_of(struct loop *loop, const struct curl_library *library);

/* Starts the transfer at the end of this turn; `done` is woken when it is over. Until then, or until it was
 * stopped, it must stay where it is. */
void http_pool_start(struct http_pool *pool, struct http_transfer *transfer);

/* Ends, at the end of this turn, one whose `done` was not woken: `stopped` is woken then instead. */
void http_pool_stop(struct http_pool *pool, struct http_transfer *transfer);

/* --- For transfers --------------------------------------------------------------------------------------*/

/* libcurl is about to look a name up, for which it starts a thread. False: the transfer is to end, its
 * `fault` set. */
bool http_pool_may_look_up(struct http_pool *pool, struct http_transfer *transfer);

/* It is about to connect, so that the name is known. */
void http_pool_name_is_known(struct http_pool *pool, struct http_transfer *transfer);

#endif
