/* Publishing with confirms: each message is done when the broker says that it holds it
 * (https://www.rabbitmq.com/docs/confirms), or says that it does not. */
#ifndef IO_PUBLISHER_H
#define IO_PUBLISHER_H

#include <io/channel.h>

/* How much may be under way: further callers wait their turn, in order. */
enum {
    PUBLISHER_UNCONFIRMED_MAX = 1024,       /* messages without an answer yet */
    PUBLISHER_BACKLOG_MAX = 4 * 1024 * 1024 /* bytes queued for the socket, beyond which none is added */
};

struct publisher;

/* One channel in confirm mode on `connection` (borrowed), opened whenever that is up. `name` is for the log.
 * NULL when memory is short. */
struct publisher *publisher_create(struct connection *connection, const char *name);
void publisher_destroy(struct publisher *publisher); /* after publisher_stop, or if never started */

bool publisher_start(struct publisher *publisher);

/* Every caller that waits gets CLOSED, and so does whoever comes later. Suspends. */
void publisher_stop(whippet_task *task, struct publisher *publisher);

/* From now on nobody waits for the broker to take messages: while there is an alarm, or no channel, who is to
 * publish gets CLOSED. What was sent still waits for its confirm. */
void publisher_hurry(struct publisher *publisher);

/* From the connection's handlers. */
void publisher_connection_changed(struct publisher *publisher);

/* Everything is borrowed until the return. What is cancelled before it was sent is not sent any more. */
struct publishing {
    const char *exchange;
    const char *routing_key;
    whippet_bytes properties; /* encoded */
    whippet_bytes body;
    bool *is_sent; /* false at first; true once the broker may have it; NULL: nobody asks */
};

/* Suspends until the broker has confirmed, `until` (a moment) or the task's end.
 * 0; UNROUTABLE; NACKED; TIMEOUT; CANCELLED; LIMIT, INVALID, MEMORY; CLOSED when the channel went before the
 * answer came: the broker may hold the message or not. Where it went over another message's exchange, this
 * one is sent again; and an exchange that was refused is not asked for again within some seconds. The failure
 * says more. */
int publisher_publish(whippet_task *task, struct publisher *publisher, const struct publishing *publishing,
                      double until, struct whippet_failure *failure);

/* True when a message would go out at once. */
bool publisher_is_ready(const struct publisher *publisher);

/* Messages without an answer yet. */
size_t publisher_unconfirmed(const struct publisher *publisher);

#endif
