/* The page /api/events: server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 *
 *     event: status   each second: data is what /api/status says, with the 100 slowest tasks in flight
 *     event: history  at the end of each of its steps: data is what /api/history says
 *     event: change   at once, when something became ready or is no more: data is what /readyz says
 *
 * A client that is slow misses some of them, and gets whole ones. All on the admin thread. */
#ifndef ADMIN_EVENTS_H
#define ADMIN_EVENTS_H

#include "history.h"
#include <base/list.h>
#include <microhttpd.h>
#include <stats/stats.h>

enum {
    EVENTS_MOST_STREAMS = 16 /* a quarter of the connections: who asks for health finds one free */
};

struct events {
    struct stats *stats;
    const struct history *history;
    const char *commit;
    struct list streams; /* struct stream */
    double next_status;  /* clock_monotonic */
    struct text ready;   /* what /readyz said last */
    bool ending;         /* a stream that begins now ends at once */
};

void events_init(struct events *events, struct stats *stats, const struct history *history,
                 const char *commit);
void events_destroy(struct events *events); /* no stream may be left */

/* Whether there is room for one more, once those are told to go whose client has gone. */
bool events_have_room(struct events *events);

/* The answer that goes on for as long as the client listens. NULL when memory is short. */
struct MHD_Response *events_answer(struct events *events, struct MHD_Connection *connection);

/* To be called ten times a second or so: tells the streams what there is, the history where it has `stepped`.
 * Costs nothing while nobody listens. */
void events_tick(struct events *events, double now, bool stepped);

/* Ends all streams, and those that are yet to begin: the HTTP library can't be stopped while one is
 * suspended. */
void events_end(struct events *events);

#endif
