/* Deliveries: put together from frames, told apart by channel. */
#include "../support/peer.h"
#include "../support/random_table.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum {
    BODY_FRAME = PEER_FRAME_MAX - WIRE_FRAME_OVERHEAD
};

static struct peer *peer;
static struct wire wire;
static uint16_t channel;
static uint8_t pattern[10 * BODY_FRAME];

static void create(void)
{
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i * 31 + i / 251);
    peer = peer_create();
    peer_open(peer);
    channel = peer_open_consumer(peer, PEER_NO_LIMIT);
}

static void destroy(void)
{
    peer_destroy(peer);
    wire_destroy(&wire);
}

TestSuite(delivery, .init = create, .fini = destroy);

static void restart(uint64_t max_message_size)
{
    peer_destroy(peer);
    peer = peer_create();
    peer_open(peer);
    channel = peer_open_consumer(peer, max_message_size);
}

static void feed(void)
{
    peer_feed_wire(peer, &wire);
}

static void write_deliver(uint64_t tag)
{
    wire_deliver(&wire, channel, peer_consumer_tag(channel), tag);
}

static void expect_body(const void *body, size_t size)
{
    cr_assert_not_null(peer->delivered);
    cr_assert_eq(peer->delivered->body.len, size, "%zu bytes instead of %zu", peer->delivered->body.len,
                 size);
    cr_assert(size == 0 || memcmp(peer->delivered->body.data, body, size) == 0, "another body of %zu bytes",
              size);
}

/* --- As it should be ------------------------------------------------------------------------------------*/

Test(delivery, carries_the_envelope_and_the_body)
{
    amqp_basic_deliver_t deliver = {.consumer_tag = amqp_cstring_bytes(peer_consumer_tag(channel)),
                                    .delivery_tag = 0x1122334455667788,
                                    .redelivered = 1,
                                    .exchange = amqp_cstring_bytes("events"),
                                    .routing_key = amqp_cstring_bytes("order.new")};
    wire_method(&wire, channel, AMQP_BASIC_DELIVER_METHOD, &deliver);
    wire_content(&wire, channel, NULL, "hello", 5, PEER_FRAME_MAX);
    feed();
    peer_expect_event(peer, "delivered %u ", channel);
    peer_expect_no_event(peer);
    cr_assert_eq(peer->delivered->delivery_tag, 0x1122334455667788);
    cr_assert(peer->delivered->redelivered);
    cr_assert(bytes_equal_text(peer->delivered->exchange, "events"));
    cr_assert(bytes_equal_text(peer->delivered->routing_key, "order.new"));
    cr_assert(bytes_equal(peer->delivered->properties, bytes_of("\0\0", 2)));
    cr_assert_eq(peer->delivered->headers, PROPERTIES_SOUND);
    expect_body("hello", 5);
}

Test(delivery, is_redelivered_only_where_the_broker_says_so)
{
    peer_deliver(peer, channel, 1, NULL, "x", 1);
    cr_assert_not(peer->delivered->redelivered);
}

Test(delivery, takes_empty_and_longest_names)
{
    char longest[256];
    memset(longest, 'k', 255);
    longest[255] = '\0';
    amqp_basic_deliver_t deliver = {.consumer_tag = amqp_cstring_bytes(peer_consumer_tag(channel)),
                                    .delivery_tag = 1,
                                    .exchange = amqp_empty_bytes,
                                    .routing_key = amqp_cstring_bytes(longest)};
    wire_method(&wire, channel, AMQP_BASIC_DELIVER_METHOD, &deliver);
    wire_content(&wire, channel, NULL, "", 0, PEER_FRAME_MAX);
    feed();
    cr_assert_eq(peer->delivered->exchange.len, 0);
    cr_assert(bytes_equal_text(peer->delivered->routing_key, longest));
}

Test(delivery, bodies_of_every_size_around_a_frames)
{
    static const size_t sizes[] = {0,
                                   1,
                                   2,
                                   BODY_FRAME - 1,
                                   BODY_FRAME,
                                   BODY_FRAME + 1,
                                   2 * BODY_FRAME,
                                   2 * BODY_FRAME + 1,
                                   10 * BODY_FRAME};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        peer_deliver(peer, channel, i + 1, NULL, pattern, sizes[i]);
        peer_expect_event(peer, "delivered %u tag=%zu", channel, i + 1);
        expect_body(pattern, sizes[i]);
    }
    peer_expect_no_event(peer);
}

Test(delivery, a_body_may_come_in_frames_of_any_size)
{
    write_deliver(1);
    wire_header(&wire, channel, 1000, NULL, 0);
    for (size_t at = 0, size = 1; at < 1000; at += size, size = size * 3 % 17 + 1) {
        if (size > 1000 - at)
            size = 1000 - at;
        wire_body(&wire, channel, pattern + at, size);
    }
    feed();
    peer_expect_event(peer, "delivered");
    expect_body(pattern, 1000);
}

Test(delivery, comes_as_soon_as_its_last_byte)
{
    write_deliver(1);
    wire_content(&wire, channel, NULL, "hello", 5, PEER_FRAME_MAX);
    peer_feed(peer, wire.data, wire.length - 1);
    peer_expect_no_event(peer);
    peer_feed(peer, wire.data + wire.length - 1, 1);
    peer_expect_event(peer, "delivered");
}

Test(delivery, an_empty_one_comes_with_its_header)
{
    write_deliver(1);
    wire_header(&wire, channel, 0, NULL, 0);
    feed();
    peer_expect_event(peer, "delivered");
    expect_body("", 0);
}

Test(delivery, channels_may_take_turns_frame_by_frame)
{
    uint16_t channels[3] = {channel, peer_open_consumer(peer, PEER_NO_LIMIT),
                            peer_open_consumer(peer, PEER_NO_LIMIT)};
    for (int i = 0; i < 3; i++)
        wire_deliver(&wire, channels[i], peer_consumer_tag(channels[i]), 7);
    for (int i = 2; i >= 0; i--)
        wire_header(&wire, channels[i], 30, NULL, 0);
    for (size_t at = 0; at < 30; at += 10)
        for (int i = 0; i < 3; i++)
            wire_body(&wire, channels[i], pattern + 100 * i + at, 10);
    feed();
    for (int i = 0; i < 3; i++)
        peer_expect_event(peer,
                          "delivered %u tag=7 redelivered=0 headers=sound exchange=events key=order.new "
                          "properties=2/%016llx body=30/%016llx",
                          channels[i], (unsigned long long)peer_hash("\0\0", 2),
                          (unsigned long long)peer_hash(pattern + 100 * i, 30));
    peer_expect_no_event(peer);
}

Test(delivery, other_channels_methods_and_heartbeats_may_come_within_a_body)
{
    uint16_t other = peer_open_channel(peer);
    write_deliver(1);
    wire_header(&wire, channel, 4, NULL, 0);
    wire_body(&wire, channel, "ab", 2);
    wire_heartbeat(&wire);
    wire_channel_close(&wire, other, 404, "NOT_FOUND");
    amqp_connection_blocked_t blocked = {.reason = amqp_cstring_bytes("low on memory")};
    wire_method(&wire, 0, AMQP_CONNECTION_BLOCKED_METHOD, &blocked);
    wire_heartbeat(&wire);
    wire_body(&wire, channel, "cd", 2);
    feed();
    peer_expect_event(peer, "channel-closed %u", other);
    peer_expect_event(peer, "blocked low on memory");
    peer_expect_event(peer, "delivered");
    expect_body("abcd", 4);
}

Test(delivery, carries_properties_of_every_type_byte_for_byte)
{
    uint64_t seed = 41;
    for (uint64_t tag = 1; tag <= 200; tag++) {
        struct wire headers = {0}, properties = {0};
        random_table_entries(&headers, &seed, 5);
        wire_properties_with_headers(&properties, &headers);
        if (properties.length + 20 < PEER_FRAME_MAX) {
            peer_deliver(peer, channel, tag, &properties, "x", 1);
            peer_expect_event(peer, "delivered");
            cr_assert_eq(peer->delivered->headers, PROPERTIES_SOUND);
            cr_assert(bytes_equal(peer->delivered->properties, bytes_of(properties.data, properties.length)));
        }
        wire_destroy(&headers);
        wire_destroy(&properties);
    }
}

/* What a conversation puts into the log when its bytes are fed as `cut` says. */
static char *log_of(const struct wire *bytes, enum peer_cut cut, size_t at)
{
    restart(PEER_NO_LIMIT);
    peer_forget_log(peer);
    if (at == SIZE_MAX) {
        peer->cut = cut;
        peer_feed(peer, bytes->data, bytes->length);
    } else {
        peer_feed(peer, bytes->data, at);
        peer_feed(peer, bytes->data + at, bytes->length - at);
    }
    return strdup(peer_log(peer));
}

Test(delivery, cut_at_any_byte_gives_the_same)
{
    struct wire headers = {0}, properties = {0};
    wire_entry_text(&headers, "key", "value");
    wire_properties_with_headers(&properties, &headers);
    for (uint64_t tag = 1; tag <= 3; tag++) {
        write_deliver(tag);
        wire_content(&wire, channel, &properties, pattern, 20 * tag, 32);
        wire_heartbeat(&wire);
    }
    char *whole = log_of(&wire, PEER_WHOLE, SIZE_MAX);
    cr_assert_eq(peer_count_events(peer, "delivered"), 3);
    for (size_t at = 0; at <= wire.length; at++) {
        char *cut = log_of(&wire, PEER_WHOLE, at);
        cr_assert_str_eq(cut, whole, "cut at %zu:\n%s", at, cut);
        free(cut);
    }
    char *bytes = log_of(&wire, PEER_BYTE_BY_BYTE, SIZE_MAX);
    cr_assert_str_eq(bytes, whole, "byte by byte:\n%s", bytes);
    free(bytes);
    free(whole);
    wire_destroy(&headers);
    wire_destroy(&properties);
}

/* --- Headers that cannot be read ------------------------------------------------------------------------*/

static void restart_with_large_frames(void)
{
    peer_destroy(peer);
    peer = peer_create();
    peer->tune_frame_max = SESSION_FRAME_MAX;
    peer_open(peer);
    channel = peer_open_consumer(peer, PEER_NO_LIMIT);
}

Test(delivery, headers_nested_21000_deep_are_delivered_unread)
{
    struct wire headers = {0}, properties = {0};
    restart_with_large_frames();
    wire_nested_tables(&headers, 21000);
    wire_properties_with_headers(&properties, &headers);
    peer_deliver(peer, channel, 1, &properties, "body", 4);
    peer_expect_event(peer, "delivered %u tag=1 redelivered=0 headers=too-deep", channel);
    cr_assert(bytes_equal(peer->delivered->properties, bytes_of(properties.data, properties.length)));
    expect_body("body", 4);
    cr_assert_eq(session_state(peer->session), SESSION_OPEN);
    wire_destroy(&headers);
    wire_destroy(&properties);
}

Test(delivery, headers_that_are_malformed_are_delivered_unread)
{
    struct wire headers = {0}, properties = {0};
    wire_entry(&headers, "x", 'Z');
    wire_properties_with_headers(&properties, &headers);
    peer_deliver(peer, channel, 1, &properties, "body", 4);
    peer_expect_event(peer, "delivered %u tag=1 redelivered=0 headers=headers-malformed", channel);
    expect_body("body", 4);
    wire_destroy(&headers);
    wire_destroy(&properties);
}

/* --- From within the event ------------------------------------------------------------------------------*/

static void ack_it(struct peer *acking, const char *event)
{
    if (strncmp(event, "delivered", 9) == 0)
        cr_assert_eq(session_ack(acking->session, channel, acking->delivered->delivery_tag, false), 0);
}

Test(delivery, can_be_settled_from_within_its_event)
{
    peer->react = ack_it;
    for (uint64_t tag = 1; tag <= 100; tag++) {
        write_deliver(tag);
        wire_content(&wire, channel, NULL, "x", 1, PEER_FRAME_MAX);
    }
    feed();
    for (uint64_t tag = 1; tag <= 100; tag++)
        cr_assert_eq(
            ((amqp_basic_ack_t *)peer_expect_method(peer, channel, AMQP_BASIC_ACK_METHOD))->delivery_tag,
            tag);
}

static void close_the_channel(struct peer *closing, const char *event)
{
    if (strncmp(event, "delivered", 9) == 0)
        session_channel_close(closing->session, channel, closing->now);
}

Test(delivery, nothing_more_comes_from_a_channel_closed_within_the_event)
{
    peer->react = close_the_channel;
    for (uint64_t tag = 1; tag <= 3; tag++) {
        write_deliver(tag);
        wire_content(&wire, channel, NULL, "xyz", 3, 9);
    }
    feed();
    cr_assert_eq(peer_count_events(peer, "delivered"), 1, "%s", peer_log(peer));
    peer_expect_method(peer, channel, AMQP_CHANNEL_CLOSE_METHOD);
    peer_expect_nothing_sent(peer);
    cr_assert_eq(session_state(peer->session), SESSION_OPEN);
}

static void abort_the_session(struct peer *aborting, const char *event)
{
    if (strncmp(event, "delivered", 9) == 0)
        session_abort(aborting->session, "enough of it");
}

Test(delivery, nothing_more_comes_from_a_session_aborted_within_the_event)
{
    peer->react = abort_the_session;
    for (uint64_t tag = 1; tag <= 3; tag++) {
        write_deliver(tag);
        wire_content(&wire, channel, NULL, "xyzxyz", 6, 11);
    }
    feed();
    cr_assert_eq(peer_count_events(peer, "delivered"), 1, "%s", peer_log(peer));
    peer_expect_closed(peer, SESSION_END_LOCAL, peer->closing.code, "enough");
}
