/* tests/chaos/proxy.c between a worker and its broker. */
#ifndef TESTS_SUPPORT_PROXY_H
#define TESTS_SUPPORT_PROXY_H

#include <stdint.h>

struct proxy;

/* One that passes on what comes to a port of its own, to `port` on 127.0.0.1. It ends with the test. */
struct proxy *proxy_start(const char *port);
void proxy_end(struct proxy *proxy);

/* Its port, in digits; valid as long as the proxy. */
const char *proxy_port(const struct proxy *proxy);

/* Gives it a command (printf-style) of those that tests/chaos/proxy.c lists; returns when it has taken hold.
 */
void proxy_say(struct proxy *proxy, const char *command, ...) __attribute__((format(printf, 2, 3)));

struct proxy_status {
    unsigned long open, accepted;                 /* connections: now, and in all */
    unsigned long up, down, swallowed, corrupted; /* bytes */
};

struct proxy_status proxy_status(struct proxy *proxy);

#endif
