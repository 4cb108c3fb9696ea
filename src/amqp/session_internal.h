/* What the files of a session share: session.c (frames, heartbeats, the end), handshake.c, channel.c
 * (requests and replies), content.c (messages, both ways), long_header.c (headers that do not fit a frame).
 */
#ifndef AMQP_SESSION_INTERNAL_H
#define AMQP_SESSION_INTERNAL_H

#include "codec.h"
#include <amqp/session.h>

/* class-id, weight, body size; then the properties (section 4.2.6.1). */
enum {
    CONTENT_HEADER_SIZE = 12
};

/* Which part of a message is awaited on a channel. */
enum content_stage {
    CONTENT_NONE,
    CONTENT_AWAITS_HEADER,
    CONTENT_AWAITS_BODY
};

/* A short string of the protocol (section 4.2.5.3), kept past the frame it came in. */
struct short_text {
    uint8_t length;
    char text[256]; /* NUL-terminated */
};

/* A message that is being put together. */
struct content {
    enum content_stage stage;
    bool is_return; /* of a basic.return; else of a basic.deliver */
    bool is_oversized;
    bool is_bodiless; /* a return whose body is too large to be kept */
    bool redelivered;
    uint16_t reply_code;          /* of a return */
    struct short_text reply_text; /* of a return */
    struct short_text exchange;
    struct short_text routing_key;
    uint64_t delivery_tag;
    uint64_t body_size;
    uint64_t received;
    uint64_t headless_size;  /* bytes of the content header whose headers are left out; else 0 */
    struct message *message; /* owned, from its header on */
};

enum channel_state {
    CHANNEL_STATE_OPENING,
    CHANNEL_STATE_OPEN,
    CHANNEL_STATE_CLOSING
};

struct session_channel {
    uint16_t number;
    enum channel_state state;
    double closing_since; /* in CHANNEL_STATE_CLOSING */
    uint32_t awaited;     /* the reply to the request under way, as a method; 0: none */
    bool consuming;
    bool confirming;
    struct short_text consumer_tag;
    uint64_t max_message_size;
    uint64_t largest_published; /* what a return can be at most */
    uint64_t largest_whole;     /* of those published in one piece: what is kept of a return's body at most */
    uint64_t body_owed;         /* of session_publish_begin: what session_publish_part has still to bring */
    struct content content;
};

/* A content header that does not fit a frame, while it comes. */
struct long_header {
    uint16_t channel;
    size_t length;      /* bytes of it */
    size_t owed;        /* of these, and of the octet behind them, that have not come; 0: there is none */
    struct buffer held; /* what has come of it, or of its beginning */
};

struct session {
    char *user;
    char *password;    /* until it was sent */
    size_t login_size; /* bytes of the frame that it was sent in */
    bool external;
    char *vhost;
    char *connection_name;
    char *version;
    double heartbeat_offered;
    const struct session_events *events;
    void *owner;

    enum session_state state;
    double now;
    double received_at;      /* when the last bytes came */
    double sent_at;          /* when the last bytes went */
    double unfinished_since; /* when the first bytes of a frame came whose last have not; infinite: none */
    double closing_since;    /* the earliest of the channels'; infinite: none is closing */
    double close_limit;
    struct codec codec;
    struct buffer output;
    struct long_header long_header;
    uint32_t frame_max;
    uint16_t channel_max;
    double heartbeat;
    bool blocked;
    struct short_text server;
    struct short_text cluster;

    struct session_channel **channels; /* by number; owned */
    size_t channel_capacity;
    uint8_t left[SESSION_CHANNEL_MAX / 8 + 1]; /* a bit for each number: session_channel_was_left */
    uint16_t taken_again;                      /* the last of these that a channel was given */
};

void short_text_set(struct short_text *to, whippet_bytes from);

static inline whippet_bytes short_text_bytes(const struct short_text *text)
{
    return bytes_of(text->text, text->length);
}

/* session.c: ends it at once, what is under way on its channels too, with the closed event; nothing may be
 * done with the session after it but return. */
void session_end(struct session *session, enum session_end end, int code, whippet_bytes text);
void session_violation(struct session *session, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void session_out_of_memory(struct session *session);
void session_method_out_of_place(struct session *session, uint16_t channel, uint32_t method);

/* session.c: false after it ended the session, because the octet is none that a frame ends with. */
bool session_frame_ends(struct session *session, uint16_t channel, uint8_t octet);

/* session.c: a long header for whatever channel that is; otherwise as content_long_header. */
void session_long_header(struct session *session, uint16_t channel, whippet_bytes payload, size_t length);

/* session.c: queues one method; 0, MEMORY or LIMIT. */
int session_send_method(struct session *session, uint16_t channel, uint32_t method, void *decoded);

/* session.c: decodes a method's arguments; NULL after it ended the session because they made no sense. */
void *session_decode(struct session *session, uint32_t method, whippet_bytes arguments);

/* session.c: wipes it. */
void session_forget_password(struct session *session);

/* handshake.c: a method on channel 0 before the session is open. */
void handshake_method(struct session *session, uint32_t method, whippet_bytes arguments);

/* channel.c */
struct session_channel *session_channel(const struct session *session, uint16_t number); /* NULL: none */
void channel_method(struct session *session, struct session_channel *channel, uint32_t method,
                    whippet_bytes arguments);
void channel_destroy(struct session *session, struct session_channel *channel);

/* The broker has closed the last channel of that number, and the next one, if any, is not open yet: what
 * comes on it may still be the old one's. RabbitMQ goes on delivering on a channel that it has closed until
 * it has our close-ok (rabbitmq/rabbitmq-server#13384). */
bool session_channel_was_left(const struct session *session, uint16_t number);

/* As if every channel.close that is not answered had been sent at `now` only. */
void channels_excuse_closing(struct session *session, double now);

/* content.c */
void content_begin_delivery(struct session *session, struct session_channel *channel,
                            whippet_bytes arguments);
void content_begin_return(struct session *session, struct session_channel *channel, whippet_bytes arguments);
void content_header(struct session *session, struct session_channel *channel, whippet_bytes payload);
/* `length`: of the header as it came; above the payload's where not all of it was held. */
void content_long_header(struct session *session, struct session_channel *channel, whippet_bytes payload,
                         size_t length) __attribute__((noinline, cold));
void content_body(struct session *session, struct session_channel *channel, whippet_bytes payload);
void content_drop(struct session *session, struct session_channel *channel);
void content_forget(struct session_channel *channel); /* the same without an event */

/* long_header.c: each takes bytes of a content header that does not fit a frame, and returns how many. The
 * first is given a frame from its beginning, the other one what follows while some of it is owed. */
size_t long_header_begin(struct session *session, const uint8_t *frame, size_t available);
size_t long_header_take(struct session *session, const uint8_t *data, size_t size);

#endif
