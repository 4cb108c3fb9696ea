/* A scripted broker in memory, playing against one session: it feeds bytes, cut as the test likes, reads what
 * the session puts out, frame by frame, and keeps every event as a line of text.
 *
 * Everything asserts by itself, so a helper that returns has seen what its name says. Beyond what a test asks
 * for, these always hold, or the test fails: no event after the closed one; no frame over the negotiated
 * size; every oversized delivery that began has ended before its channel or session has; session_receive
 * leaves no whole frame unread; the password is in no text. */
#ifndef SUPPORT_PEER_H
#define SUPPORT_PEER_H

#include "wire.h"
#include <amqp/session.h>

enum peer_cut {
    PEER_WHOLE,        /* all that is fed in one call */
    PEER_BYTE_BY_BYTE, /* each byte in a call of its own */
    PEER_RANDOM,       /* random chunks, from `seed`; the output is taken in random chunks too */
};

enum {
    PEER_CHANNELS = 64,
    PEER_FRAME_MAX = 4096,
    PEER_NO_LIMIT = 1 << 30,
};

#define PEER_PASSWORD "s3cr3t-pa55"

/* One frame that the session sent. The payload lives as long as the peer. */
struct peer_frame {
    unsigned type;
    unsigned channel;
    const uint8_t *payload;
    size_t size;
};

/* One message that the session published. */
struct peer_publish {
    amqp_basic_publish_t *method;
    amqp_basic_properties_t *properties;
    struct wire encoded_properties;
    struct wire body;
    size_t body_frames;
    size_t largest_frame; /* bytes, overhead included */
};

/* An oversized delivery that is under way on a channel. */
struct peer_oversized {
    const struct message *message; /* NULL: none */
    struct wire body;
    size_t largest_part;
};

struct peer {
    struct session *session;
    struct session_events events;
    double now; /* seconds, given to every call */

    /* What the broker says in connection.tune. */
    unsigned tune_channel_max;
    uint32_t tune_frame_max;
    unsigned tune_heartbeat;

    enum peer_cut cut;
    uint64_t seed;

    struct wire inbox;  /* fed, and not yet used by the session */
    struct wire outbox; /* sent by the session */
    size_t outbox_read;
    bool protocol_header_read;
    amqp_pool_t pool; /* what was decoded from the outbox */

    struct wire log;                /* one line an event, NUL-terminated */
    size_t log_read;                /* what peer_expect_event has seen */
    unsigned closed_events;         /* at most one */
    struct session_closing closing; /* of the closed event; its text is owned */
    struct message *delivered;      /* the last one; owned */
    struct peer_oversized oversized[PEER_CHANNELS];
    struct wire oversized_body; /* of the last one that ended */
    size_t oversized_largest_part;

    /* Called after each event with its line, to call back into the session from there. May be NULL. */
    void (*react)(struct peer *peer, const char *event);
    const void *react_argument;
};

/* A peer and its session, which has not started. Change the tune_… members before peer_open. */
struct peer *peer_create(void);
struct peer *
peer_create_with(const struct session_options *options); /* NULL where the session could not be made */
struct session_options peer_options(void);               /* what peer_create takes */
void peer_destroy(struct peer *peer);

/* The handshake as far as the name says. */
void peer_start(struct peer *peer);         /* protocol header awaited, connection.start not sent */
void peer_reach_tuning(struct peer *peer);  /* start-ok awaited, connection.tune not sent */
void peer_reach_opening(struct peer *peer); /* tune-ok and open awaited, open-ok not sent */
void peer_open(struct peer *peer);

/* Opens a channel; then sets a consumer up on it, whose tag is peer_consumer_tag(channel). */
uint16_t peer_open_channel(struct peer *peer);
uint16_t peer_open_consumer(struct peer *peer, uint64_t max_message_size);
uint16_t peer_open_publisher(struct peer *peer); /* in confirm mode */
int peer_consume(struct peer *peer, uint16_t channel,
                 uint64_t max_message_size);     /* queues the request only */
const char *peer_consumer_tag(uint16_t channel); /* valid until the next call */

/* Feeds bytes, cut as peer->cut says. peer_feed_wire empties the wire, and gives its memory back. */
void peer_feed(struct peer *peer, const void *data, size_t size);
void peer_feed_wire(struct peer *peer, struct wire *wire);

/* A delivery to the consumer of peer_open_consumer, in whole. Properties NULL: none. */
void peer_deliver(struct peer *peer, uint16_t channel, uint64_t tag, const struct wire *properties,
                  const void *body, size_t size);

/* What the session sent. peer_expect_method returns rabbitmq-c's struct, which lives as long as the peer. */
bool peer_next_frame(struct peer *peer, struct peer_frame *frame);
void *peer_expect_method(struct peer *peer, unsigned channel, amqp_method_number_t id);
void peer_expect_protocol_header(struct peer *peer);
void peer_expect_nothing_sent(struct peer *peer);
void peer_skip_sent(struct peer *peer);
size_t peer_count_sent(struct peer *peer, unsigned type); /* takes everything */
amqp_method_number_t peer_method_of(const struct peer_frame *frame);
void *peer_decode(struct peer *peer, const struct peer_frame *frame);
void peer_expect_publish(struct peer *peer, unsigned channel, struct peer_publish *publish);
void peer_publish_destroy(struct peer_publish *publish);

/* The events so far. */
const char *peer_log(const struct peer *peer);
void peer_expect_event(struct peer *peer, const char *format, ...) /* the next line begins so */
    __attribute__((format(printf, 2, 3)));
void peer_expect_no_event(struct peer *peer); /* none since the last that was expected */
size_t peer_count_events(const struct peer *peer, const char *start);
void peer_forget_log(struct peer *peer);

/* The session must have ended as a violation by the broker, with one of the two codes (other_code 0: only the
 * first; both 0: any), and a text in which `word` occurs (case ignored; NULL: any). A connection.close that
 * was sent must carry the same code. */
void peer_expect_violation(struct peer *peer, int code, int other_code, const char *word);
void peer_expect_closed(struct peer *peer, enum session_end end, int code, const char *word);

/* Deterministic chance: xorshift on the seed, which must not be 0. */
uint64_t peer_random(uint64_t *seed);
size_t peer_random_below(uint64_t *seed, size_t limit);
uint64_t peer_hash(const void *data, size_t size);

/* Bytes that are allocated in this process; 0 where no sanitizer counts them. */
size_t peer_bytes_allocated(void);

#endif
