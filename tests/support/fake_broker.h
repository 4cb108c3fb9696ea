/* A broker on a loopback socket with a port that the kernel picked, for tests of what lies above the session.
 * It runs in the test's own thread: each fake_broker_poll takes and sends what there is and returns at once.
 * By itself it says what a friendly broker would; its knobs make it unfriendly, and what nobody foresaw is
 * written with fake_send.
 *
 * It keeps the books a broker keeps, and so knows what must never happen: a tag that is settled twice, or was
 * never delivered, or that a `multiple` covers too early. Such breaches are counted, and told by
 * fake_broker_breach. Nothing here takes memory through <base/memory.h>, so that a test can make every
 * allocation under test fail. */
#ifndef SUPPORT_FAKE_BROKER_H
#define SUPPORT_FAKE_BROKER_H

#include "wire.h"
#include <tls_peer.h>

enum {
    FAKE_LINKS = 400,
    FAKE_CHANNELS = 128,
    FAKE_NAME_SIZE = 64,
};

enum fake_mood {
    FAKE_FRIENDLY,
    FAKE_RESETS,    /* takes the connection, and resets it at once */
    FAKE_HANGS_UP,  /* takes the connection, and closes it at once */
    FAKE_SPEECHLESS /* takes the connection, and never says a word */
};

enum fake_confirm {
    FAKE_CONFIRMS, /* every message at once */
    FAKE_NACKS,
    FAKE_RETURNS, /* basic.return, then the ack */
    FAKE_HOLDS,   /* the test confirms by fake_confirm */
};

enum fake_tag {
    FAKE_TAG_OUTSTANDING,
    FAKE_TAG_ACKED,
    FAKE_TAG_REQUEUED, /* nacked, or its channel has gone */
};

struct fake_channel {
    bool is_open;
    bool is_consuming;
    bool is_confirming;
    char queue[FAKE_NAME_SIZE];
    char consumer_tag[128];
    unsigned prefetch;
    uint8_t *tags; /* enum fake_tag of tag i + 1; owned */
    uint64_t delivered;
    uint64_t published; /* messages in confirm mode so far */
    /* The message that is being published; its index among the published is that of the last. */
    uint64_t body_left;
    bool awaits_header;
};

/* One connection, also after its end. */
struct fake_link {
    int descriptor;            /* -1 once it is closed */
    struct tls_peer *tls;      /* owned; NULL: it is plain */
    char name[FAKE_NAME_SIZE]; /* as the client calls it: "whippet consume"; empty before start-ok */
    struct wire in, out;
    size_t in_read, out_sent;
    bool header_seen;
    bool is_open; /* connection.open was answered */
    size_t heartbeats;
    struct fake_channel channels[FAKE_CHANNELS];
};

struct fake_publish {
    struct fake_link *link;
    unsigned channel;
    uint64_t tag; /* in confirm mode, from 1 */
    bool mandatory;
    bool whole; /* all of its body came */
    char exchange[256];
    char routing_key[256];
    struct wire properties; /* encoded */
    uint64_t body_size;     /* as announced */
    struct wire body;
};

struct fake_broker {
    int listener; /* -1: nobody listens at the port */
    int holder;   /* is bound to the port as well, so that nobody else gets it while it is shut */
    uint16_t port;

    enum fake_mood mood;
    enum fake_confirm confirm;
    const char *missing; /* a queue that a passive declare does not find; NULL: all are there */
    bool trickles;       /* sends one byte a poll */
    bool deaf;           /* does not read */
    const struct tls_peer_options *tls; /* of what is accepted from now on; NULL: plain */
    unsigned heartbeat;                 /* seconds, of connection.tune */
    uint32_t frame_max;
    unsigned channel_max;
    int receive_buffer;    /* SO_RCVBUF of what is accepted; 0: the system's */
    bool keeps_bodies_off; /* counts what is published, and does not keep the bodies */

    /* Asked before anything else about each method; true: it has dealt with it. May be NULL. */
    bool (*on_method)(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                      amqp_method_number_t id, void *decoded);
    void *owner;

    struct fake_link *links[FAKE_LINKS]; /* in the order they came */
    size_t link_count;
    struct fake_publish *publishes; /* owned */
    size_t publish_count;

    uint64_t delivered, acked, requeued; /* tags; what is neither of the last two is outstanding */
    uint64_t ack_frames, multiple_frames, nack_frames;
    unsigned breaches;
    char breach[256]; /* the first */
    amqp_pool_t pool;
};

struct fake_broker *fake_broker_create(void);
void fake_broker_destroy(struct fake_broker *broker);

/* True when anything was taken or sent. */
bool fake_broker_poll(struct fake_broker *broker);

/* Waits until somebody says something, at most so long. */
void fake_broker_wait(struct fake_broker *broker, int milliseconds);

/* Nobody listens any more: the next to come is refused. And again, at the same port. */
void fake_broker_shut(struct fake_broker *broker);
void fake_broker_reopen(struct fake_broker *broker);

/* NULL when nothing was breached. */
const char *fake_broker_breach(const struct fake_broker *broker);

/* The open link whose name ends so ("consume"); NULL: none. */
struct fake_link *fake_link_named(const struct fake_broker *broker, const char *end);

/* The channel that consumes the queue, or that is in confirm mode; 0: none. */
unsigned fake_consumer(const struct fake_link *link, const char *queue);
unsigned fake_confirmer(const struct fake_link *link);

/* Hands the bytes to the link and empties the wire. */
void fake_send(struct fake_link *link, struct wire *wire);

/* The end of a link from the broker's side: at once, by a reset or by hanging up. */
void fake_link_reset(struct fake_broker *broker, struct fake_link *link);
void fake_link_hang_up(struct fake_broker *broker, struct fake_link *link);
void fake_channel_close(struct fake_broker *broker, struct fake_link *link, unsigned channel, unsigned code,
                        const char *text);

/* Deliveries. The second sends only the method and the header; the body is to follow with fake_body. */
uint64_t fake_deliver(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                      const struct wire *properties, const void *body, size_t size);
uint64_t fake_deliver_begin(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                            const struct wire *properties, uint64_t body_size);
void fake_body(struct fake_broker *broker, struct fake_link *link, unsigned channel, const void *data,
               size_t size);
enum fake_tag fake_tag_state(const struct fake_link *link, unsigned channel, uint64_t tag);
uint64_t fake_outstanding(const struct fake_broker *broker);

void fake_confirm(struct fake_link *link, unsigned channel, uint64_t tag, bool multiple, bool nack);
/* basic.return of what was published. */
void fake_return(const struct fake_publish *publish);
/* All of them, the unfinished too. */
size_t fake_published(const struct fake_broker *broker);

#endif
