/* So many lines a second, and how many were left out. */
#ifndef COMMON_LINE_RATE_H
#define COMMON_LINE_RATE_H

#include <stdbool.h>
#include <stddef.h>

struct line_rate {
    unsigned most;  /* lines a second */
    double second;  /* when the present one began */
    unsigned said;  /* in it */
    size_t dropped; /* and not told of yet */
};

/* Whether a second has begun since this was last true: what was dropped is to be told of. */
bool line_rate_begins(struct line_rate *rate);

/* Whether another line may be said in this second; if not, it counts as dropped. */
bool line_rate_take(struct line_rate *rate);

/* Seconds until the next one begins. */
double line_rate_left(const struct line_rate *rate);

#endif
