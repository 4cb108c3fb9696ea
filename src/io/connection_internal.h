/* What the files of a connection share: connection.c (up and down), connection_backoff.c (and up again),
 * connection_bytes.c (from the socket to the session and back), connection_events.c (what the session tells,
 * and to whom), channel.c. */
#ifndef IO_CONNECTION_INTERNAL_H
#define IO_CONNECTION_INTERNAL_H

#include <base/log_repeated.h>
#include <io/channel.h>
#include <io/connection.h>
#include <io/transport.h>

enum {
    /* One unfinished frame, and as much again to read behind it. */
    CONNECTION_READ_CAPACITY = 2 * (SESSION_FRAME_MAX + SESSION_FRAME_OVERHEAD),
};

/* How an endpoint was found at the last try. */
struct endpoint_history {
    bool unreachable; /* nobody took the connection */
    struct log_repetition refusals;
};

struct connection {
    struct loop *loop;
    struct connection_options options;
    const struct connection_handlers *handlers;
    void *owner;

    enum connection_state state;
    uint64_t epoch;
    uint64_t losses;
    struct whippet_failure failure;
    bool stopping;
    bool reading_paused;
    size_t endpoint;                  /* the one to be tried next */
    unsigned attempts;                /* in a row that failed, or broke off soon */
    double opened_at;                 /* the last that did not fail */
    struct endpoint_history *history; /* by endpoint; owned */
    int dialled;           /* what a probe got of the endpoint to be tried next; owned; -1: nothing */
    char *password;        /* what the endpoint's file held when it was read last; owned; NULL: never read */
    whippet_task *task;    /* connection_main; NULL when it does not run */
    struct waiter changed; /* the task waits here for the handshake's end, and then for the connection's */
    struct waiter ended;   /* connection_stop waits here for the task's end */

    struct session *session; /* owned; one for each time it is up */
    struct transport *transport;
    struct watch *watch;
    struct timer tick;
    struct posted flush;
    struct posted read_on; /* what TLS has taken from the socket already */
    bool flushing;         /* the handler of that name runs: what it queues goes out with this very flush */
    char *input;           /* CONNECTION_READ_CAPACITY bytes; owned */
    size_t input_size;

    struct channel **channels; /* by number; owned, the channels are not */
    size_t channel_capacity;
};

/* connection.c: writes a line of log about it; `error` may be NULL. */
void connection_report(const struct connection *connection, enum whippet_log_level level, const char *error,
                       const char *text);

/* connection_backoff.c: waits until the next try is due: that of the next endpoint, or of one that was found
 * to take connections. Suspends. 0, or CANCELLED. */
int connection_await_next_try(whippet_task *task, struct connection *connection, bool was_open);

/* connection_events.c */
extern const struct session_events CONNECTION_EVENTS;

/* Has events for the channel's number delivered to it, or to nobody (NULL). False when memory is short. */
bool connection_route(struct connection *connection, uint16_t number, struct channel *channel);

/* connection_bytes.c: what is called when the socket is ready, at the end of a turn, and for heartbeats. */
void connection_on_ready(void *owner, int events);
void connection_on_flush(struct posted *posted);
void connection_on_read_on(struct posted *posted);
void connection_on_tick(struct timer *timer);

/* channel.c: what came for the channel. */
void channel_replied(struct channel *channel, const struct channel_reply *reply);
void channel_gone(struct channel *channel, int code, const struct whippet_failure *why);

#endif
