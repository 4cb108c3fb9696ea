/* libpq's lists of hosts and ports, with every name looked up. */
#ifndef CLIENTS_POSTGRES_HOSTS_H
#define CLIENTS_POSTGRES_HOSTS_H

#include <base/failure.h>
#include <whippet/types.h>

/* Three lists of the same length, with commas between. All NULL when there is no host, so that libpq takes
 * its own. */
struct hosts {
    char *names;     /* owned; what a certificate is checked against */
    char *addresses; /* owned; "" for a socket in the file system, which its name leads to */
    char *ports;     /* owned */
};

/* How many names there are; 1 for none, which is libpq's own. */
size_t hosts_listed(const char *names);

/* That there is one port, or one for each host, and that each is one. 0, or INVALID with the failure filled.
 */
int hosts_check(const char *names, const char *ports, struct whippet_failure *failure);

/* Looks the names up, one after the other; suspends. A name with several addresses stands in the lists once
 * for each. Each name has its even share of the time that is left; those without an address are left out
 * where others have one. 0, and the lists are the caller's; else the last name's error, with the failure
 * filled. */
int hosts_resolve(whippet_task *task, const char *names, const char *ports, struct hosts *hosts,
                  struct whippet_failure *failure);

void hosts_destroy(struct hosts *hosts);

/* How many entries there are; 0 where the lists are NULL. */
size_t hosts_count(const struct hosts *hosts);

/* Takes those entries out, in place, so that the lists stay where they are. `address` may be NULL or "" where
 * it is none. Returns how many are left. */
size_t hosts_remove(struct hosts *hosts, const char *name, const char *address, const char *port);

#endif
