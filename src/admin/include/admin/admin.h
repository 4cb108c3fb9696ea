/* The admin port: health, metrics and status over HTTP, on a thread of its own. It sees nothing but the
 * stats, so that it answers while the loop is blocked, which is when it is needed. */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include <base/failure.h>
#include <stats/stats.h>
#include <stdint.h>

struct admin;

struct admin_options {
    const char *host; /* a name or an address */
    uint16_t port;    /* 0: the kernel picks one */
    const char *commit;
    struct stats *stats; /* borrowed until admin_stop */
};

/* Listens, and answers from now on. NULL with the failure, which names the address. The strings are borrowed.
 */
struct admin *admin_start(const struct admin_options *options, struct whippet_failure *failure);

/* Cuts what is still connected. NULL is fine. */
void admin_stop(struct admin *admin);

uint16_t admin_port(const struct admin *admin);

#endif
