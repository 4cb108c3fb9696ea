/* A connection to the broker that keeps itself up: it dials, shakes hands, sends and checks heartbeats, and
 * when it is lost dials again, with capped and jittered backoff, for as long as it is not told to stop. */
#ifndef IO_CONNECTION_H
#define IO_CONNECTION_H

#include <amqp/session.h>
#include <async/loop.h>
#include <base/failure.h>
#include <io/tls.h>

/* One broker address. All strings are borrowed for the life of the connection. */
struct endpoint {
    const char *host;
    uint16_t port;
    const char *user;
    const char *password;
    const char *vhost;
    const char *display;       /* for logs: without the password */
    const char *password_file; /* read anew for each handshake, in place of `password`; NULL: none */
    struct tls *tls;           /* NULL: plain TCP */
    bool external; /* log in as the client certificate says (SASL EXTERNAL), without user and password */
};

struct connection_options {
    const char *name; /* "consume" or "publish": in the log, and in the management UI */
    const char *version;
    const struct endpoint *endpoints; /* tried in turn */
    size_t endpoint_count;
    double heartbeat;       /* seconds; 0: none */
    double connect_timeout; /* seconds: resolving, connecting and the handshake together */
    double close_limit; /* seconds for the broker to answer channel.close, before the connection is given up;
                           0: as sessions do by themselves */
    double reconnect_min; /* seconds */
    double reconnect_max;
};

/* All but `failed` are called on the loop's own stack; any may be NULL. */
struct connection_handlers {
    void (*opened)(void *owner);
    void (*lost)(void *owner, const struct whippet_failure *why); /* was open, and is no more */
    void (*failed)(void *owner);                /* could not be opened; connection_failure says why.
                                                   Called by a task: take note, or wake a waiter */
    void (*blocked)(void *owner, bool blocked); /* the broker's alarm came, or went */
    void (*flushing)(void *owner); /* about to send: the last chance to add to this turn's bytes */
    void (*flushed)(void *owner);  /* has sent: connection_backlog may be less now */
};

enum connection_state {
    CONNECTION_DOWN,
    CONNECTION_CONNECTING,
    CONNECTION_OPEN,
    CONNECTION_CLOSING
};

struct connection;

/* NULL when memory is short. `options` is copied but for what it points to; the rest is borrowed. */
struct connection *connection_create(struct loop *loop, const struct connection_options *options,
                                     const struct connection_handlers *handlers, void *owner);
void connection_destroy(struct connection *connection); /* it must never have been started, or be stopped */

/* Begins to keep it up. False when memory is short. */
bool connection_start(struct connection *connection);

/* Ends it for good: politely when it is open, waiting for the broker's answer until `until` (a moment).
 * Suspends. */
void connection_stop(whippet_task *task, struct connection *connection, double until);

enum connection_state connection_state(const struct connection *connection);
bool connection_is_blocked(const struct connection *connection);

/* Counts the times it has been open; settling belongs to one of them. 0: never yet. */
uint64_t connection_epoch(const struct connection *connection);
uint64_t connection_reconnects(const struct connection *connection);

/* The broker's address that it is at, or tries next; without the password. */
const char *connection_address(const struct connection *connection);

/* Why it is not open, or was lost last; empty text when nothing ever failed. */
const struct whippet_failure *connection_failure(const struct connection *connection);

/* The open session; NULL while there is none. Whoever makes it queue bytes calls connection_touch, which has
 * them sent at the end of this turn. */
struct session *connection_session(const struct connection *connection);
void connection_touch(struct connection *connection);

/* Has the socket take what it can at once, without waiting for the end of the turn. Errors show at that end.
 */
void connection_send_now(struct connection *connection);

/* Bytes that wait to be sent. */
size_t connection_backlog(const struct connection *connection);

/* While paused nothing is read, and silence is not held against the broker: for a receiver that must not be
 * outrun. */
void connection_pause_reading(struct connection *connection, bool paused);

struct loop *connection_loop(const struct connection *connection);
const char *connection_name(const struct connection *connection);

#endif
