/* Awaiting a host's addresses. */
#ifndef ASYNC_RESOLVE_H
#define ASYNC_RESOLVE_H

#include <base/failure.h>
#include <netdb.h>
#include <stdint.h>
#include <whippet/types.h>

/* Suspends until a thread of the loop's own has asked for `host`; cut short, it leaves the question behind.
 * 0, with at least one address of a stream at `port` in `*addresses`, for freeaddrinfo. Else the error, with
 * the failure naming host and reason: SYSTEM when it has no address, or as loop_offload. */
int resolve(whippet_task *task, const char *host, uint16_t port, struct addrinfo **addresses,
            struct whippet_failure *failure);

#endif
