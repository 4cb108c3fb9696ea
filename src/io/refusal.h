/* What the broker has refused of late. It does so by closing the channel, with a reason that names the
 * exchange, which is not there or which the user may not write to, or not with that routing key; or the size,
 * which is over its limit. */
#ifndef IO_REFUSAL_H
#define IO_REFUSAL_H

#include <base/failure.h>
#include <stddef.h>

enum {
    REFUSALS_KEPT = 8,
    REFUSAL_NAME_SIZE = 256,
};

struct refusal {
    char exchange[REFUSAL_NAME_SIZE];
    double until; /* a moment; 0: none is kept here */
    struct whippet_failure why;
};

/* Zeroed: none. */
struct refusals {
    struct refusal kept[REFUSALS_KEPT];
    size_t next; /* where the next is kept: the oldest goes */
};

/* Whether the broker's reason is about what is published so. */
bool refusal_is_about(const struct whippet_failure *why, const char *exchange, const char *routing_key);

/* Whether it is about a message with as large a body. */
bool refusal_is_about_size(const struct whippet_failure *why, size_t size);

/* Keeps it for some seconds from `now` on. */
void refusals_note(struct refusals *refusals, const char *exchange, const char *routing_key,
                   const struct whippet_failure *why, double now);

/* Why what is published so was refused, if it was; else NULL. Valid until the next is noted. */
const struct whippet_failure *refusals_find(const struct refusals *refusals, const char *exchange,
                                            const char *routing_key, double now);

#endif
