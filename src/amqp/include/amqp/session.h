/* One AMQP 0-9-1 connection as a state machine: bytes and time in, bytes and events out.
 *
 * A session has no descriptor and no clock. Whoever owns it feeds what the peer sent to session_receive,
 * sends what is in session_output, and calls session_tick when session_next_tick says so. All that happens
 * comes as events, from within these calls. An event's handler may call any session_… function but
 * session_destroy.
 *
 * Requests (session_channel_open, session_queue_declare …) queue bytes and return at once: 0, or CLOSED when
 * the session or channel is not open, INVALID, or MEMORY. At most one request that has a reply may be under
 * way on each channel; its reply comes as an event, or else the channel's or the session's closing does. */
#ifndef AMQP_SESSION_H
#define AMQP_SESSION_H

#include <amqp/message.h>
#include <base/buffer.h>
#include <base/failure.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    SESSION_FRAME_MAX = 131072,     /* what we offer; the broker may lower it */
    SESSION_FRAME_MIN = 4096,       /* section 4.2.3 has every peer accept at least that much */
    SESSION_LOGIN_MAX = 8192,       /* the frame with the login: RabbitMQ takes that much from 4.1 on */
    SESSION_FRAME_OVERHEAD = 8,     /* type, channel, size, and the end octet */
    SESSION_HEADER_HELD = 1 << 20,  /* bytes of a content header over frame_max that are held at most */
    SESSION_HEADER_MAX = 128 << 20, /* bytes of one that is skipped at most: RabbitMQ's largest message */
    SESSION_CHANNEL_MAX = 2047,     /* what we offer; RabbitMQ's own default */
    SESSION_CLOSE_LIMIT = 30,       /* seconds */
};

struct session_options {
    const char *user;
    const char *password;
    bool external; /* log in by SASL EXTERNAL: the broker takes the user from the client certificate */
    const char *vhost;
    const char *connection_name; /* shown by the management UI; NULL: none */
    const char *version;         /* of the product, for client properties */
    double heartbeat;            /* seconds offered; 0: none */
    double close_limit; /* seconds that the broker may take to answer channel.close; 0: SESSION_CLOSE_LIMIT */
};

enum session_state {
    SESSION_IDLE,
    SESSION_STARTING, /* protocol header sent, connection.start awaited */
    SESSION_TUNING,   /* start-ok sent, connection.tune awaited */
    SESSION_OPENING,  /* open sent, open-ok awaited */
    SESSION_OPEN,
    SESSION_CLOSING, /* close sent, close-ok awaited */
    SESSION_CLOSED,
};

/* Who ended it. */
enum session_end {
    SESSION_END_ASKED,     /* session_close, and the broker agreed */
    SESSION_END_BROKER,    /* connection.close from the broker: code and text are its own */
    SESSION_END_VIOLATION, /* the broker broke the protocol: code is what we told it */
    SESSION_END_SILENT,    /* heartbeats were missed, or a channel.close was not answered */
    SESSION_END_LOCAL,     /* our side could not go on: memory, or the owner said so with session_abort */
};

struct session_closing {
    enum session_end end;
    int code;                  /* an AMQP reply code (section 1.2 of the specification), or 0 */
    whippet_bytes text;        /* borrowed for the event */
    enum session_state during; /* the state it was in: before OPEN, a 403 means that the login failed */
};

/* A reply to a request. */
enum channel_reply_kind {
    CHANNEL_OPENED,
    CHANNEL_CLOSED, /* to session_channel_close */
    CHANNEL_EXCHANGE_DECLARED,
    CHANNEL_QUEUE_DECLARED, /* queue, message_count and consumer_count are filled */
    CHANNEL_QUEUE_BOUND,
    CHANNEL_QUEUE_UNBOUND,
    CHANNEL_QOS_SET,
    CHANNEL_CONSUMING,
    CHANNEL_CONSUMER_CANCELLED, /* to session_cancel */
    CHANNEL_CONFIRMING,
};

struct channel_reply {
    enum channel_reply_kind kind;
    whippet_bytes queue; /* borrowed for the event */
    uint32_t message_count;
    uint32_t consumer_count;
};

/* Why the broker closed a channel, or returned a message: an AMQP reply code and the broker's own words. */
struct channel_reason {
    int code;
    whippet_bytes text; /* borrowed for the event */
};

/* A message over the channel's limit: its body passes by in parts and is never held. What its content header
 * has beyond SESSION_FRAME_MAX counts as body; then, and beyond SESSION_HEADER_HELD, its headers are left
 * out, and beyond that all its properties. */
struct oversized {
    struct message *message; /* body empty; borrowed until the end event */
    uint64_t body_size;      /* may be 0: then no part comes */
    uint64_t headless_size;  /* bytes of the content header whose headers were left out; else 0 */
};

struct session_events {
    void (*opened)(void *owner);
    void (*closed)(void *owner, const struct session_closing *closing); /* once; nothing comes after it */
    void (*blocked)(void *owner, whippet_bytes reason);
    void (*unblocked)(void *owner);

    void (*replied)(void *owner, uint16_t channel, const struct channel_reply *reply);
    void (*channel_closed)(void *owner, uint16_t channel,
                           const struct channel_reason *reason);               /* by the broker */
    void (*consumer_cancelled)(void *owner, uint16_t channel);                 /* by the broker */
    void (*delivered)(void *owner, uint16_t channel, struct message *message); /* the message is given */

    /* A delivery over the limit: begin, then its body's parts, then end. */
    void (*oversized_begin)(void *owner, uint16_t channel, const struct oversized *oversized);
    void (*oversized_part)(void *owner, uint16_t channel, const struct oversized *oversized,
                           whippet_bytes part);
    void (*oversized_end)(void *owner, uint16_t channel, const struct oversized *oversized, bool complete);

    /* basic.return: comes before the confirm of the same message. The message is borrowed; its routing key
     * and exchange are those it was published with. */
    void (*returned)(void *owner, uint16_t channel, const struct channel_reason *reason,
                     const struct message *message);
    void (*confirmed)(void *owner, uint16_t channel, uint64_t delivery_tag, bool multiple, bool nacked);
};

struct session;

/* The options are copied; `events` and `owner` are borrowed. NULL when memory is short. */
struct session *session_create(const struct session_options *options, const struct session_events *events,
                               void *owner);
void session_destroy(struct session *session); /* no event comes; not from within an event */

/* Begins the handshake. */
void session_start(struct session *session, double now);

/* Takes what the peer sent; returns how many of the bytes were used: the rest is an unfinished frame, to be
 * offered again with more behind it. A buffer of SESSION_FRAME_MAX + SESSION_FRAME_OVERHEAD always makes
 * progress: of what may be longer, a content header, bytes are used as they come. */
size_t session_receive(struct session *session, const void *data, size_t size, double now);

/* What is to be sent: the owner takes from its beginning with buffer_consume, and tells with session_sent. */
struct buffer *session_output(struct session *session);
void session_sent(struct session *session, double now);

/* Heartbeats, both ways, and answers that are overdue. Infinite while there is nothing to wait for. */
double session_next_tick(const struct session *session);
void session_tick(struct session *session, double now);

/* For an owner that does not read at the moment: silence up to now is not the broker's. */
void session_excuse_silence(struct session *session, double now);

/* A polite end; the closed event follows when the broker has answered. */
void session_close(struct session *session, int code, const char *text);

/* An end at once: nothing more is sent or taken; the closed event comes from within. */
void session_abort(struct session *session, const char *text);

enum session_state session_state(const struct session *session);
uint32_t session_frame_max(const struct session *session);   /* negotiated */
uint16_t session_channel_max(const struct session *session); /* negotiated */
double session_heartbeat(const struct session *session);     /* negotiated, seconds */
bool session_is_blocked(const struct session *session);
const char *
session_server(const struct session *session); /* "RabbitMQ 3.10.8", once it introduced itself; else "" */
const char *session_cluster(const struct session *session); /* the cluster's name; else "" */

/* --- Channels -------------------------------------------------------------------------------------------*/

/* Takes a free number. LIMIT when there is none. */
int session_channel_open(struct session *session, uint16_t *channel);

/* Deliveries that come before the broker's answer are dropped: it returns them to their queue. Until that
 * answer the number is not free; when it does not come within close_limit the session ends, since nothing
 * else brings the number back, nor a broker to its senses that answers nothing. */
int session_channel_close(struct session *session, uint16_t channel, double now);

struct exchange_declaration {
    const char *exchange;
    const char *type;
    bool passive;
    bool durable;
    whippet_bytes arguments; /* encoded entries */
};
int session_exchange_declare(struct session *session, uint16_t channel,
                             const struct exchange_declaration *declaration);

struct queue_declaration {
    const char *queue;
    bool passive;
    bool durable;
    bool exclusive;
    bool auto_delete;
    whippet_bytes arguments; /* encoded entries */
};
int session_queue_declare(struct session *session, uint16_t channel,
                          const struct queue_declaration *declaration);
int session_queue_bind(struct session *session, uint16_t channel, const char *queue, const char *exchange,
                       const char *routing_key, whippet_bytes arguments);
int session_queue_unbind(struct session *session, uint16_t channel, const char *queue, const char *exchange,
                         const char *routing_key, whippet_bytes arguments);

/* Always for the consumers to come, never global (facts.md: quorum queues refuse that). */
int session_qos(struct session *session, uint16_t channel, uint16_t prefetch);

struct consumption {
    const char *queue;
    const char *consumer_tag; /* at most 255 bytes; of our making, so that an unknown one is told apart */
    bool exclusive;
    whippet_bytes arguments;   /* encoded entries: x-priority, x-stream-offset … */
    uint64_t max_message_size; /* bytes of body; what is larger comes as struct oversized */
};
int session_consume(struct session *session, uint16_t channel, const struct consumption *consumption);
int session_cancel(struct session *session, uint16_t channel);

/* Settling. The caller answers for tags being outstanding on this channel; a wrong one makes the broker close
 * it. */
int session_ack(struct session *session, uint16_t channel, uint64_t delivery_tag, bool multiple);
int session_nack(struct session *session, uint16_t channel, uint64_t delivery_tag, bool multiple,
                 bool requeue);

/* Publishing. */
int session_confirm_select(struct session *session, uint16_t channel);

/* Queues one message. Its delivery tag for the confirm is the count of messages published on the channel
 * since confirm.select, this one included. LIMIT when the properties do not fit a frame. */
int session_publish(struct session *session, uint16_t channel, const char *exchange, const char *routing_key,
                    whippet_bytes properties, whippet_bytes body);

/* The same with the body to come in parts; nothing else may be sent on the channel until all of it has. What
 * is returned of it comes without its body, unless one as large was published in one piece on the channel. */
int session_publish_begin(struct session *session, uint16_t channel, const char *exchange,
                          const char *routing_key, whippet_bytes properties, uint64_t body_size);
int session_publish_part(struct session *session, uint16_t channel, whippet_bytes part);

#endif
