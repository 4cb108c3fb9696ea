/* A property: how a conversation is cut into chunks makes no difference. */
#include "../support/peer.h"
#include "../support/random_table.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHANNELS = 4,
    LARGEST_BODY = 700,
    LIMIT = 400,
    FRAMES = 120
};

/* What the broker has under way on one channel. */
struct stream {
    bool open;
    bool consuming;
    bool publishing;
    size_t body_left;
    uint64_t next_tag;
};

struct conversation {
    struct wire bytes;
    struct stream streams[CHANNELS + 1];
    uint64_t seed;
};

static void random_body(struct wire *body, uint64_t *seed, size_t size)
{
    for (size_t i = 0; i < size; i++)
        wire_octet(body, (unsigned)peer_random(seed));
}

static void begin_content(struct conversation *talk, unsigned channel)
{
    struct wire headers = {0}, properties = {0};
    struct stream *stream = &talk->streams[channel];
    if (stream->publishing)
        wire_return(&talk->bytes, channel, "e", "k");
    else
        wire_deliver(&talk->bytes, channel, peer_consumer_tag((uint16_t)channel), stream->next_tag++);
    random_table_entries(&headers, &talk->seed, 3);
    wire_properties_with_headers(&properties, &headers);
    stream->body_left = peer_random_below(&talk->seed, LARGEST_BODY);
    wire_header(&talk->bytes, channel, stream->body_left, properties.data, properties.length);
    wire_destroy(&headers);
    wire_destroy(&properties);
}

static void continue_content(struct conversation *talk, unsigned channel)
{
    struct wire body = {0};
    struct stream *stream = &talk->streams[channel];
    size_t size = 1 + peer_random_below(&talk->seed, 200);
    if (size > stream->body_left)
        size = stream->body_left;
    random_body(&body, &talk->seed, size);
    wire_body(&talk->bytes, channel, body.data, body.length);
    stream->body_left -= size;
    wire_destroy(&body);
}

static void something_else(struct conversation *talk, unsigned channel)
{
    struct stream *stream = &talk->streams[channel];
    amqp_connection_blocked_t blocked = {.reason = amqp_cstring_bytes("low on disk")};
    switch (peer_random_below(&talk->seed, 6)) {
    case 0: wire_heartbeat(&talk->bytes); break;
    case 1: wire_method(&talk->bytes, 0, AMQP_CONNECTION_BLOCKED_METHOD, &blocked); break;
    case 2:
        wire_method(&talk->bytes, 0, AMQP_CONNECTION_UNBLOCKED_METHOD, &(amqp_connection_unblocked_t){0});
        break;
    case 3:
        if (stream->publishing)
            wire_ack(&talk->bytes, channel, peer_random(&talk->seed) % 50, peer_random(&talk->seed) & 1);
        break;
    case 4:
        if (stream->consuming && peer_random_below(&talk->seed, 4) == 0) {
            wire_cancel(&talk->bytes, channel, peer_consumer_tag((uint16_t)channel),
                        peer_random(&talk->seed) & 1);
            stream->consuming = false;
        }
        break;
    default:
        if (peer_random_below(&talk->seed, 10) == 0) {
            wire_channel_close(&talk->bytes, channel, 406, "PRECONDITION_FAILED - unknown delivery tag 1");
            stream->open = false;
        }
        break;
    }
}

/* Deliveries and returns on several channels at once, frame by frame, with all else that a broker may say in
 * between. */
static void converse(struct conversation *talk)
{
    for (int frame = 0; frame < FRAMES; frame++) {
        unsigned channel = 1 + (unsigned)peer_random_below(&talk->seed, CHANNELS);
        struct stream *stream = &talk->streams[channel];
        if (!stream->open)
            continue;
        if (stream->body_left > 0)
            continue_content(talk, channel);
        else if (peer_random_below(&talk->seed, 3) == 0)
            something_else(talk, channel);
        else if (stream->consuming || stream->publishing)
            begin_content(talk, channel);
    }
    if (peer_random_below(&talk->seed, 2) == 0)
        wire_connection_close(&talk->bytes, 320, "CONNECTION_FORCED");
}

/* In half of the conversations one byte is wrong. */
static void spoil(struct conversation *talk)
{
    if (peer_random_below(&talk->seed, 2) == 0)
        talk->bytes.data[peer_random_below(&talk->seed, talk->bytes.length)] =
            (uint8_t)peer_random(&talk->seed);
}

static void settle(struct peer *peer, const char *event)
{
    unsigned channel;
    if (sscanf(event, "delivered %u ", &channel) == 1)
        cr_assert_eq(session_ack(peer->session, (uint16_t)channel, peer->delivered->delivery_tag, false), 0);
}

/* A session with consumers on all channels but the last, which publishes; the bytes are its next, cut as
 * `cut` says. */
static struct peer *listen(const struct conversation *talk, enum peer_cut cut, uint64_t seed)
{
    static const uint8_t body[LARGEST_BODY];
    struct peer *peer = peer_create();
    peer_open(peer);
    for (unsigned channel = 1; channel < CHANNELS; channel++)
        cr_assert_eq(peer_open_consumer(peer, LIMIT), channel);
    cr_assert_eq(peer_open_publisher(peer), CHANNELS);
    for (int i = 0; i < 50; i++)
        cr_assert_eq(session_publish(peer->session, CHANNELS, "e", "k", bytes_of("\0\0", 2),
                                     bytes_of(body, sizeof body)),
                     0);
    peer_skip_sent(peer);
    peer->react = settle;
    peer->cut = cut;
    peer->seed = seed;
    peer_feed(peer, talk->bytes.data, talk->bytes.length);
    peer_skip_sent(peer);
    return peer;
}

static void expect_same(const struct peer *whole, const struct peer *cut, uint64_t seed)
{
    cr_assert_str_eq(peer_log(cut), peer_log(whole), "seed %llu: cut\n%s\nwhole\n%s",
                     (unsigned long long)seed, peer_log(cut), peer_log(whole));
    cr_assert_eq(cut->outbox.length, whole->outbox.length, "seed %llu: another output",
                 (unsigned long long)seed);
    cr_assert(memcmp(cut->outbox.data, whole->outbox.data, cut->outbox.length) == 0,
              "seed %llu: another output", (unsigned long long)seed);
}

static void compare(uint64_t seed, bool spoilt)
{
    struct conversation talk = {.seed = seed * 2654435761u + 1};
    for (unsigned channel = 1; channel <= CHANNELS; channel++)
        talk.streams[channel] = (struct stream){
            .open = true, .consuming = channel < CHANNELS, .publishing = channel == CHANNELS, .next_tag = 1};
    converse(&talk);
    if (spoilt)
        spoil(&talk);
    struct peer *whole = listen(&talk, PEER_WHOLE, 1);
    if (!spoilt)
        cr_assert_eq(peer_count_events(whole, "closed end=violation"), 0, "seed %llu: %s",
                     (unsigned long long)seed, peer_log(whole));
    struct peer *cut = listen(&talk, seed % 10 == 0 ? PEER_BYTE_BY_BYTE : PEER_RANDOM, seed);
    expect_same(whole, cut, seed);
    peer_destroy(whole);
    peer_destroy(cut);
    wire_destroy(&talk.bytes);
}

Test(chunks, make_no_difference_to_a_valid_conversation)
{
    for (uint64_t seed = 1; seed <= 150; seed++)
        compare(seed, false);
}

Test(chunks, make_no_difference_to_a_spoilt_conversation)
{
    for (uint64_t seed = 1; seed <= 300; seed++)
        compare(seed, true);
}
