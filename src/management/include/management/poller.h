/* Asks the management API about a worker's queues now and then, on a thread of its own, and writes what it
 * says into the stats. */
#ifndef MANAGEMENT_POLLER_H
#define MANAGEMENT_POLLER_H

#include <management/client.h>
#include <stats/stats.h>

struct management_poller;

/* `access` is borrowed, with all that it points to, and so are the stats, until management_poller_stop;
 * `interval` is in seconds. What goes wrong with the API is in the stats, and once in the log. NULL with the
 * failure when there can be no thread. */
struct management_poller *management_poller_start(const struct management_access *access, double interval,
                                                  struct stats *stats, struct whippet_failure *failure);

/* Within a second or so. NULL is fine. */
void management_poller_stop(struct management_poller *poller);

#endif
