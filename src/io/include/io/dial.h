/* Connecting: the name resolved off the loop, then every address in turn. */
#ifndef IO_DIAL_H
#define IO_DIAL_H

#include <base/failure.h>
#include <stdint.h>
#include <whippet/types.h>

/* Suspends until a TCP connection to host:port stands, at most until the task's deadline, of which each
 * address gets its even share. Returns the descriptor (non-blocking, close-on-exec, TCP_NODELAY), which is
 * the caller's; or an error with the failure naming host, address and reason. */
int dial(whippet_task *task, const char *host, uint16_t port, struct whippet_failure *failure);

/* The same, with no more than `seconds` for each address. */
int dial_briefly(whippet_task *task, const char *host, uint16_t port, double seconds,
                 struct whippet_failure *failure);

#endif
