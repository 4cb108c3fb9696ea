/* Where `whippet top` has it from: the worker's admin port. */
#ifndef CMD_TOP_SOURCE_H
#define CMD_TOP_SOURCE_H

#include "admin_client.h"
#include <stdbool.h>

/* What the admin port said at one time: JSON as it came, unread. */
struct top_answers {
    struct buffer status;           /* of /api/status */
    struct buffer ready;            /* of /readyz; empty: it did not say */
    struct buffer history;          /* of /api/history; empty: it did not say, or was not asked */
    struct whippet_failure failure; /* .error is not 0: there is no status, and why */
};

void top_answers_init(struct top_answers *answers);
void top_answers_destroy(struct top_answers *answers);

/* Which of the tasks in flight: there may be tens of thousands, and nobody reads as many on a screen. */
enum top_extent {
    TOP_SLOWEST_TASKS,
    TOP_ALL_TASKS
};

/* Asks, in place of what was in there; blocks for some seconds at most. True when there is a status. */
bool top_ask(const struct admin_address *address, enum top_extent extent, bool with_history,
             struct top_answers *answers);

/* --- Once a second, on a thread ---------------------------------------------------------------------------
 *
 * So that a worker, or a name server, that is slow to answer does not keep the keys waiting. */

struct top_feed;

/* NULL with the failure filled. It goes on to the end of the process. */
struct top_feed *top_feed_start(const struct admin_address *address, struct whippet_failure *failure);

/* Becomes readable when there is something to take. */
int top_feed_descriptor(const struct top_feed *feed);

/* The newest answers, in place of what was in there; false: there are none that were not taken. */
bool top_feed_take(struct top_feed *feed, struct top_answers *answers);

#endif
