#include "peer.h"
#include "peer_events.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* gcc ships no header for it. Weak: absent without a sanitizer. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

size_t peer_bytes_allocated(void)
{
    return __sanitizer_get_current_allocated_bytes != NULL ? __sanitizer_get_current_allocated_bytes() : 0;
}

uint64_t peer_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

size_t peer_random_below(uint64_t *seed, size_t limit)
{
    return (size_t)((peer_random(seed) >> 11) % limit);
}

uint64_t peer_hash(const void *data, size_t size)
{
    uint64_t hash = 14695981039346656037ull; /* FNV-1a */
    const uint8_t *at = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 1099511628211ull;
    return hash;
}

struct session_options peer_options(void)
{
    return (struct session_options){.user = "alice",
                                    .password = PEER_PASSWORD,
                                    .vhost = "/",
                                    .connection_name = "unit test",
                                    .version = "0.1.0",
                                    .heartbeat = 60};
}

struct peer *peer_create_with(const struct session_options *options)
{
    struct peer *peer = calloc(1, sizeof *peer);
    cr_assert_not_null(peer);
    peer->tune_channel_max = SESSION_CHANNEL_MAX;
    peer->tune_frame_max = PEER_FRAME_MAX;
    peer->tune_heartbeat = 60;
    peer->seed = 1;
    peer->now = 1000;
    peer->events = peer_event_handlers;
    init_amqp_pool(&peer->pool, 4096);
    peer->session = session_create(options, &peer->events, peer);
    if (peer->session != NULL)
        return peer;
    peer_destroy(peer);
    return NULL;
}

struct peer *peer_create(void)
{
    struct session_options options = peer_options();
    struct peer *peer = peer_create_with(&options);
    cr_assert_not_null(peer);
    return peer;
}

void peer_destroy(struct peer *peer)
{
    peer->react = NULL;
    if (peer->session != NULL) {
        size_t events = peer->log.length;
        session_destroy(peer->session);
        cr_assert_eq(peer->log.length, events, "session_destroy made an event:\n%s", peer_log(peer));
    }
    message_destroy(peer->delivered);
    for (size_t channel = 0; channel < PEER_CHANNELS; channel++)
        wire_destroy(&peer->oversized[channel].body);
    wire_destroy(&peer->oversized_body);
    wire_destroy(&peer->inbox);
    wire_destroy(&peer->outbox);
    wire_destroy(&peer->log);
    empty_amqp_pool(&peer->pool);
    free((void *)(uintptr_t)peer->closing.text.data);
    free(peer);
}

/* --- What the broker sends ------------------------------------------------------------------------------*/

/* One call with exactly these bytes at an address of their own, so that the sanitizer sees one read too many.
 */
static size_t receive_exactly(struct peer *peer, const void *data, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);
    cr_assert_not_null(copy);
    memcpy(copy, data, size);
    size_t used = session_receive(peer->session, copy, size, peer->now);
    free(copy);
    cr_assert_leq(used, size, "session_receive used %zu of %zu bytes", used, size);
    return used;
}

static void expect_no_whole_frame(const struct wire *rest)
{
    if (rest->length < 7)
        return;
    size_t size = (size_t)rest->data[3] << 24 | (size_t)rest->data[4] << 16 | (size_t)rest->data[5] << 8 |
                  rest->data[6];
    cr_assert_lt(rest->length, size + WIRE_FRAME_OVERHEAD, "session_receive left a whole frame of %zu bytes",
                 size);
}

static void feed_chunk(struct peer *peer, const void *data, size_t size)
{
    wire_raw(&peer->inbox, data, size);
    size_t used = receive_exactly(peer, peer->inbox.data, peer->inbox.length);
    memmove(peer->inbox.data, peer->inbox.data + used, peer->inbox.length - used);
    peer->inbox.length -= used;
    if (session_state(peer->session) != SESSION_CLOSED)
        expect_no_whole_frame(&peer->inbox);
}

static size_t next_chunk(struct peer *peer, size_t size)
{
    switch (peer->cut) {
    case PEER_BYTE_BY_BYTE: return 1;
    case PEER_RANDOM: {
        size_t limit = peer_random_below(&peer->seed, 4) == 0 ? size : 40;
        size_t chunk = 1 + peer_random_below(&peer->seed, limit);
        return chunk < size ? chunk : size;
    }
    default: return size;
    }
}

void peer_feed(struct peer *peer, const void *data, size_t size)
{
    const uint8_t *rest = data;
    while (size > 0 && session_state(peer->session) != SESSION_CLOSED) {
        size_t chunk = next_chunk(peer, size);
        feed_chunk(peer, rest, chunk);
        rest += chunk;
        size -= chunk;
    }
}

void peer_feed_wire(struct peer *peer, struct wire *wire)
{
    peer_feed(peer, wire->data, wire->length);
    wire_destroy(wire);
}

void peer_deliver(struct peer *peer, uint16_t channel, uint64_t tag, const struct wire *properties,
                  const void *body, size_t size)
{
    struct wire wire = {0};
    wire_deliver(&wire, channel, peer_consumer_tag(channel), tag);
    wire_content(&wire, channel, properties, body, size, session_frame_max(peer->session));
    peer_feed_wire(peer, &wire);
}

/* --- What the session sends -----------------------------------------------------------------------------*/

/* Takes all there is into the outbox; in pieces, as a slow socket would. */
static void collect(struct peer *peer)
{
    struct buffer *output = session_output(peer->session);
    while (buffer_length(output) > 0) {
        size_t size = buffer_length(output);
        if (peer->cut == PEER_RANDOM)
            size = 1 + peer_random_below(&peer->seed, size);
        wire_raw(&peer->outbox, buffer_begin(output), size);
        buffer_consume(output, size);
        session_sent(peer->session, peer->now);
    }
}

static const uint8_t *keep(struct peer *peer, const uint8_t *data, size_t size)
{
    amqp_bytes_t kept;
    amqp_pool_alloc_bytes(&peer->pool, size, &kept);
    cr_assert(size == 0 || kept.bytes != NULL);
    if (size > 0)
        memcpy(kept.bytes, data, size);
    return kept.bytes;
}

bool peer_next_frame(struct peer *peer, struct peer_frame *frame)
{
    collect(peer);
    const uint8_t *at = peer->outbox.data + peer->outbox_read;
    size_t left = peer->outbox.length - peer->outbox_read;
    if (left == 0)
        return false;
    cr_assert_geq(left, WIRE_FRAME_OVERHEAD, "the output ends with %zu bytes, which is no frame", left);
    size_t size = (size_t)at[3] << 24 | (size_t)at[4] << 16 | (size_t)at[5] << 8 | at[6];
    cr_assert_leq(size + WIRE_FRAME_OVERHEAD, left, "the output ends within a frame of %zu bytes", size);
    cr_assert_leq(size + WIRE_FRAME_OVERHEAD, session_frame_max(peer->session), "sent a frame of %zu bytes",
                  size + WIRE_FRAME_OVERHEAD);
    cr_assert_eq(at[7 + size], WIRE_FRAME_END, "sent a frame that ends in %02x", at[7 + size]);
    *frame = (struct peer_frame){.type = at[0],
                                 .channel = (unsigned)(at[1] << 8 | at[2]),
                                 .payload = keep(peer, at + 7, size),
                                 .size = size};
    peer->outbox_read += size + WIRE_FRAME_OVERHEAD;
    return true;
}

amqp_method_number_t peer_method_of(const struct peer_frame *frame)
{
    if (frame->type != WIRE_METHOD)
        return 0;
    cr_assert_geq(frame->size, 4, "sent a method frame of %zu bytes", frame->size);
    const uint8_t *at = frame->payload;
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static amqp_bytes_t encoded(const uint8_t *at, size_t size)
{
    return (amqp_bytes_t){.len = size, .bytes = (void *)(uintptr_t)at};
}

void *peer_decode(struct peer *peer, const struct peer_frame *frame)
{
    void *decoded = NULL;
    amqp_method_number_t id = peer_method_of(frame);
    int result = amqp_decode_method(id, &peer->pool, encoded(frame->payload + 4, frame->size - 4), &decoded);
    cr_assert_eq(result, 0, "rabbitmq-c can't decode the %s that was sent", amqp_method_name(id));
    return decoded;
}

void *peer_expect_method(struct peer *peer, unsigned channel, amqp_method_number_t id)
{
    struct peer_frame frame;
    cr_assert(peer_next_frame(peer, &frame), "expected %s, but nothing was sent; events:\n%s",
              amqp_method_name(id), peer_log(peer));
    cr_assert_eq(frame.type, WIRE_METHOD, "expected %s, found a frame of type %u", amqp_method_name(id),
                 frame.type);
    cr_assert_eq(peer_method_of(&frame), id, "expected %s, found method %08x", amqp_method_name(id),
                 peer_method_of(&frame));
    cr_assert_eq(frame.channel, channel, "expected %s on channel %u, found it on %u", amqp_method_name(id),
                 channel, frame.channel);
    return peer_decode(peer, &frame);
}

void peer_expect_protocol_header(struct peer *peer)
{
    static const char header[8] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};
    collect(peer);
    cr_assert_geq(peer->outbox.length, sizeof header, "sent %zu bytes, no protocol header",
                  peer->outbox.length);
    cr_assert(memcmp(peer->outbox.data, header, sizeof header) == 0, "sent another protocol header");
    peer->outbox_read = sizeof header;
    peer->protocol_header_read = true;
}

void peer_skip_sent(struct peer *peer)
{
    struct peer_frame frame;
    if (!peer->protocol_header_read) {
        collect(peer);
        return;
    }
    while (peer_next_frame(peer, &frame))
        ;
}

void peer_expect_nothing_sent(struct peer *peer)
{
    struct peer_frame frame;
    if (peer_next_frame(peer, &frame))
        cr_assert_fail("sent a frame of type %u, method %08x, on channel %u", frame.type,
                       peer_method_of(&frame), frame.channel);
}

size_t peer_count_sent(struct peer *peer, unsigned type)
{
    struct peer_frame frame;
    size_t count = 0;
    while (peer_next_frame(peer, &frame))
        count += frame.type == type;
    return count;
}

static void decode_publish_header(struct peer *peer, const struct peer_frame *frame, uint64_t *body_size,
                                  struct peer_publish *publish)
{
    void *decoded = NULL;
    cr_assert_geq(frame->size, 14, "a header frame of %zu bytes", frame->size);
    cr_assert_eq(frame->payload[0] << 8 | frame->payload[1], WIRE_BASIC_CLASS);
    cr_assert_eq(frame->payload[2] << 8 | frame->payload[3], 0, "the weight must be 0");
    *body_size = 0;
    for (int i = 4; i < 12; i++)
        *body_size = *body_size << 8 | frame->payload[i];
    wire_raw(&publish->encoded_properties, frame->payload + 12, frame->size - 12);
    int result = amqp_decode_properties(WIRE_BASIC_CLASS, &peer->pool,
                                        encoded(frame->payload + 12, frame->size - 12), &decoded);
    cr_assert_eq(result, 0, "rabbitmq-c can't decode the properties that were published");
    publish->properties = decoded;
}

void peer_expect_publish(struct peer *peer, unsigned channel, struct peer_publish *publish)
{
    struct peer_frame frame;
    uint64_t body_size;
    *publish = (struct peer_publish){.method = peer_expect_method(peer, channel, AMQP_BASIC_PUBLISH_METHOD)};
    cr_assert(peer_next_frame(peer, &frame), "no content header was sent");
    cr_assert_eq(frame.type, WIRE_HEADER, "expected a content header, found a frame of type %u", frame.type);
    cr_assert_eq(frame.channel, channel);
    decode_publish_header(peer, &frame, &body_size, publish);
    publish->largest_frame = frame.size + WIRE_FRAME_OVERHEAD;
    while (publish->body.length < body_size) {
        cr_assert(peer_next_frame(peer, &frame), "%zu of %llu bytes of body were sent", publish->body.length,
                  (unsigned long long)body_size);
        cr_assert_eq(frame.type, WIRE_BODY, "expected a body, found a frame of type %u", frame.type);
        cr_assert_eq(frame.channel, channel);
        wire_raw(&publish->body, frame.payload, frame.size);
        publish->body_frames++;
        if (frame.size + WIRE_FRAME_OVERHEAD > publish->largest_frame)
            publish->largest_frame = frame.size + WIRE_FRAME_OVERHEAD;
    }
    cr_assert_eq(publish->body.length, body_size, "%zu bytes of body for %llu", publish->body.length,
                 (unsigned long long)body_size);
}

void peer_publish_destroy(struct peer_publish *publish)
{
    wire_destroy(&publish->encoded_properties);
    wire_destroy(&publish->body);
}

/* --- Ends -----------------------------------------------------------------------------------------------*/

static void expect_word(const struct peer *peer, const char *word)
{
    if (word != NULL)
        cr_assert_not_null(strcasestr(peer->closing.text.data, word), "the text should say \"%s\": %s", word,
                           (const char *)peer->closing.text.data);
}

void peer_expect_closed(struct peer *peer, enum session_end end, int code, const char *word)
{
    cr_assert_eq(peer->closed_events, 1, "%u closed events; so far:\n%s", peer->closed_events,
                 peer_log(peer));
    cr_assert_eq(peer->closing.end, end, "ended otherwise:\n%s", peer_log(peer));
    cr_assert_eq(peer->closing.code, code, "expected the code %d:\n%s", code, peer_log(peer));
    cr_assert_eq(session_state(peer->session), SESSION_CLOSED);
    expect_word(peer, word);
}

static int code_of_sent_close(struct peer *peer)
{
    struct peer_frame frame;
    int code = 0;
    while (peer->protocol_header_read && peer_next_frame(peer, &frame))
        if (peer_method_of(&frame) == AMQP_CONNECTION_CLOSE_METHOD) {
            cr_assert_eq(code, 0, "connection.close was sent twice");
            cr_assert_eq(frame.channel, 0);
            code = ((amqp_connection_close_t *)peer_decode(peer, &frame))->reply_code;
        }
    return code;
}

void peer_expect_violation(struct peer *peer, int code, int other_code, const char *word)
{
    int sent = code_of_sent_close(peer);
    if (peer->closed_events == 0 && sent != 0) {
        struct wire close_ok = {0};
        wire_clear(&peer->inbox);
        wire_connection_close_ok(&close_ok);
        peer_feed_wire(peer, &close_ok);
    }
    cr_assert_eq(peer->closed_events, 1, "%u closed events; so far:\n%s", peer->closed_events,
                 peer_log(peer));
    cr_assert_eq(peer->closing.end, SESSION_END_VIOLATION, "not ended as a violation:\n%s", peer_log(peer));
    if (code != 0)
        cr_assert(peer->closing.code == code || (other_code != 0 && peer->closing.code == other_code),
                  "expected the code %d or %d:\n%s", code, other_code, peer_log(peer));
    if (sent != 0)
        cr_assert_eq(sent, peer->closing.code, "sent %d, but reports %d", sent, peer->closing.code);
    cr_assert_gt(peer->closing.text.len, 0, "a violation without a text");
    expect_word(peer, word);
}

/* --- The handshake --------------------------------------------------------------------------------------*/

void peer_start(struct peer *peer)
{
    session_start(peer->session, peer->now);
    cr_assert_eq(session_state(peer->session), SESSION_STARTING);
    peer_expect_protocol_header(peer);
    peer_expect_nothing_sent(peer);
}

void peer_reach_tuning(struct peer *peer)
{
    struct wire wire = {0};
    peer_start(peer);
    wire_start(&wire, "AMQPLAIN PLAIN");
    peer_feed_wire(peer, &wire);
    peer_expect_method(peer, 0, AMQP_CONNECTION_START_OK_METHOD);
    cr_assert_eq(session_state(peer->session), SESSION_TUNING);
}

void peer_reach_opening(struct peer *peer)
{
    struct wire wire = {0};
    peer_reach_tuning(peer);
    wire_tune(&wire, peer->tune_channel_max, peer->tune_frame_max, peer->tune_heartbeat);
    peer_feed_wire(peer, &wire);
    peer_expect_method(peer, 0, AMQP_CONNECTION_TUNE_OK_METHOD);
    peer_expect_method(peer, 0, AMQP_CONNECTION_OPEN_METHOD);
    cr_assert_eq(session_state(peer->session), SESSION_OPENING);
}

void peer_open(struct peer *peer)
{
    struct wire wire = {0};
    peer_reach_opening(peer);
    peer_expect_no_event(peer);
    wire_open_ok(&wire);
    peer_feed_wire(peer, &wire);
    peer_expect_event(peer, "opened");
    cr_assert_eq(session_state(peer->session), SESSION_OPEN);
}

/* --- Channels -------------------------------------------------------------------------------------------*/

const char *peer_consumer_tag(uint16_t channel)
{
    static char tag[16];
    snprintf(tag, sizeof tag, "tag-%u", channel);
    return tag;
}

uint16_t peer_open_channel(struct peer *peer)
{
    struct wire wire = {0};
    uint16_t channel = 0;
    cr_assert_eq(session_channel_open(peer->session, &channel), 0);
    cr_assert_neq(channel, 0, "channel 0 is the connection's own");
    peer_expect_method(peer, channel, AMQP_CHANNEL_OPEN_METHOD);
    wire_channel_open_ok(&wire, channel);
    peer_feed_wire(peer, &wire);
    peer_expect_event(peer, "replied %u opened", channel);
    return channel;
}

int peer_consume(struct peer *peer, uint16_t channel, uint64_t max_message_size)
{
    struct consumption consumption = {
        .queue = "orders", .consumer_tag = peer_consumer_tag(channel), .max_message_size = max_message_size};
    return session_consume(peer->session, channel, &consumption);
}

uint16_t peer_open_consumer(struct peer *peer, uint64_t max_message_size)
{
    struct wire wire = {0};
    uint16_t channel = peer_open_channel(peer);
    cr_assert_eq(peer_consume(peer, channel, max_message_size), 0);
    peer_expect_method(peer, channel, AMQP_BASIC_CONSUME_METHOD);
    wire_consume_ok(&wire, channel, peer_consumer_tag(channel));
    peer_feed_wire(peer, &wire);
    peer_expect_event(peer, "replied %u consuming", channel);
    return channel;
}

uint16_t peer_open_publisher(struct peer *peer)
{
    struct wire wire = {0};
    uint16_t channel = peer_open_channel(peer);
    cr_assert_eq(session_confirm_select(peer->session, channel), 0);
    amqp_confirm_select_t *select = peer_expect_method(peer, channel, AMQP_CONFIRM_SELECT_METHOD);
    cr_assert_not(select->nowait);
    wire_method(&wire, channel, AMQP_CONFIRM_SELECT_OK_METHOD, &(amqp_confirm_select_ok_t){0});
    peer_feed_wire(peer, &wire);
    peer_expect_event(peer, "replied %u confirming", channel);
    return channel;
}
