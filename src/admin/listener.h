/* The socket that the admin port listens on. */
#ifndef ADMIN_LISTENER_H
#define ADMIN_LISTENER_H

#include <base/failure.h>
#include <stdbool.h>
#include <stdint.h>

/* Binds to `host` (a name or an address) and `port` (0: the kernel picks one) and listens. The descriptor,
 * which is the caller's, and the port in `*bound`; -1 with the failure, which names the address. May ask a
 * name server: for the start, before any loop runs. */
int listener_open(const char *host, uint16_t port, uint16_t *bound, struct whippet_failure *failure);

/* Whether only this machine can connect to it. */
bool listener_is_loopback(int descriptor);

#endif
