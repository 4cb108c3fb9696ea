/* One dead letter, as a pass over its queue meets it, and the copies that are made of it. */
#ifndef CMD_DEAD_LETTER_H
#define CMD_DEAD_LETTER_H

#include "dead_origin.h"
#include <base/buffer.h>
#include <base/list.h>

struct dead_letter {
    struct list link;
    struct message *message; /* owned; without its body, or its headers, when it is not whole */
    uint64_t body_size;
    struct dead_origin origin;
};

/* NULL when memory is short, and then the message is destroyed; else the letter owns it. */
struct dead_letter *dead_letter_create(struct message *message, uint64_t body_size, const char *queue);
void dead_letter_destroy(struct dead_letter *letter);

/* False: its body was left out, or its headers were. No copy can be made of it. */
static inline bool dead_letter_is_whole(const struct dead_letter *letter)
{
    return letter->message->body.len == letter->body_size &&
           letter->message->headers != PROPERTIES_HEADERS_LEFT_OUT;
}

/* How often it went back to its queue before, so says the broker (quorum queues only). */
uint64_t dead_letter_returns(const struct dead_letter *letter);

/* How often it was replayed before. */
int64_t dead_letter_replays(const struct dead_letter *letter);

/* Stands for the reason of letters that tell none. */
#define DEAD_REASON_UNKNOWN "unknown"

/* Which letters are meant; a member that is NULL lets all through. */
struct dead_filter {
    const char *reason; /* the origin's, exactly; DEAD_REASON_UNKNOWN: of those that tell none, too */
    const char *match;  /* somewhere in the body, the headers, or another property */
};

bool dead_filter_matches(const struct dead_filter *filter, const struct dead_letter *letter);

/* The properties for a copy that lies on in the dead-letter queue, appended to `out`: all it has, but for
 * what would have the broker refuse it (a foreign user id), or send it elsewhere, too (CC, BCC). `user` is
 * the one we are logged in as. 0, MEMORY or INVALID. */
int dead_letter_copy(const struct dead_letter *letter, const char *user, struct buffer *out);

/* The same for a copy that is to be worked on again: without the record of its death, so that it gets all its
 * attempts anew, with the expiration and user id that it had, and with one more in `whippet-replayed`. */
int dead_letter_revive(const struct dead_letter *letter, const char *user, struct buffer *out);

#endif
