/* Asks the management API about a worker's queues now and then, on a thread of its own, and writes what it
 * says into the stats. */
#ifndef MANAGEMENT_POLLER_H
#define MANAGEMENT_POLLER_H

#include <management/client.h>
#include <stats/stats.h>

struct management_poller;

/* `access` is copied, with all that it points to; the stats are borrowed until management_poller_stop;
 * `interval` is in seconds, at most a day. What goes wrong with the API is in the stats, and once in the log.
 * NULL with the failure when there can be no thread. */
struct management_poller *management_poller_start(const struct management_access *access, double interval,
                                                  struct stats *stats, struct whippet_failure *failure);

/* From now on it asks this; without a URL, nothing. It forgets what it knows, unless nothing has changed.
 * Does not block. 0, or MEMORY with the failure: then it goes on as it was. */
int management_poller_change(struct management_poller *poller, const struct management_access *access,
                             double interval, struct whippet_failure *failure);

/* Within a second or so. NULL is fine. */
void management_poller_stop(struct management_poller *poller);

#endif
