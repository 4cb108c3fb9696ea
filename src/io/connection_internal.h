/* What channel.c needs of a connection: to be found by number when something comes for it. */
#ifndef IO_CONNECTION_INTERNAL_H
#define IO_CONNECTION_INTERNAL_H

#include <io/channel.h>
#include <io/connection.h>

/* Has events for the channel's number delivered to it, or to nobody (NULL). False when memory is short. */
bool connection_route(struct connection *connection, uint16_t number, struct channel *channel);

/* channel.c: what came for the channel. */
void channel_replied(struct channel *channel, const struct channel_reply *reply);
void channel_gone(struct channel *channel, int code, const struct whippet_failure *why);

#endif
