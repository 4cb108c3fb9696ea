/* What a broker must not send: content out of order, unknown places, frames that are none, methods cut short.
 */
#include "../support/peer.h"
#include <criterion/criterion.h>
#include <stdio.h>
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

TestSuite(violations, .init = create, .fini = destroy);

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

/* --- Content out of order (section 4.2.6: 505) ----------------------------------------------------------*/

Test(violations, a_body_longer_than_announced_is_a_violation)
{
    write_deliver(1);
    wire_header(&wire, channel, 10, NULL, 0);
    wire_body(&wire, channel, pattern, 11);
    feed();
    peer_expect_violation(peer, 505, 501, NULL);
    cr_assert_eq(peer_count_events(peer, "delivered"), 0);
}

Test(violations, a_body_longer_than_announced_in_its_second_frame_is_a_violation)
{
    write_deliver(1);
    wire_header(&wire, channel, 10, NULL, 0);
    wire_body(&wire, channel, pattern, 9);
    wire_body(&wire, channel, pattern, 2);
    feed();
    peer_expect_violation(peer, 505, 501, NULL);
}

Test(violations, an_oversized_body_longer_than_announced_is_a_violation)
{
    restart(10);
    write_deliver(1);
    wire_header(&wire, channel, 20, NULL, 0);
    wire_body(&wire, channel, pattern, 21);
    feed();
    peer_expect_violation(peer, 505, 501, NULL);
    peer_expect_event(peer, "oversized-begin");
    peer_expect_event(peer, "oversized-end %u tag=1 complete=0", channel);
}

Test(violations, a_frame_of_body_behind_a_whole_body_is_a_violation)
{
    peer_deliver(peer, channel, 1, NULL, pattern, 10);
    peer_expect_event(peer, "delivered");
    wire_body(&wire, channel, pattern, 1);
    feed();
    peer_expect_violation(peer, 505, 0, NULL);
}

Test(violations, a_body_shorter_than_announced_is_a_violation)
{
    write_deliver(1);
    wire_header(&wire, channel, 10, NULL, 0);
    wire_body(&wire, channel, pattern, 9);
    write_deliver(2);
    wire_content(&wire, channel, NULL, "x", 1, PEER_FRAME_MAX);
    feed();
    peer_expect_violation(peer, 505, 0, NULL);
    cr_assert_eq(peer_count_events(peer, "delivered"), 0);
}

Test(violations, a_second_header_within_a_body_is_a_violation)
{
    write_deliver(1);
    wire_header(&wire, channel, 10, NULL, 0);
    wire_header(&wire, channel, 10, NULL, 0);
    feed();
    peer_expect_violation(peer, 505, 0, NULL);
}

Test(violations, a_header_without_a_method_is_a_violation)
{
    wire_header(&wire, channel, 10, NULL, 0);
    feed();
    peer_expect_violation(peer, 505, 0, "header");
}

Test(violations, a_body_without_a_header_is_a_violation)
{
    write_deliver(1);
    wire_body(&wire, channel, pattern, 10);
    feed();
    peer_expect_violation(peer, 505, 0, NULL);
}

Test(violations, a_body_without_anything_before_is_a_violation)
{
    wire_body(&wire, channel, pattern, 10);
    feed();
    peer_expect_violation(peer, 505, 0, "body");
}

Test(violations, a_method_instead_of_the_header_is_a_violation)
{
    write_deliver(1);
    write_deliver(2);
    feed();
    peer_expect_violation(peer, 505, 0, NULL);
}

/* "Any non-content frame explicitly marks the end of the content" (section 4.2.6.2), and nothing else is at
 * stake. */
Test(violations, a_channel_closed_within_a_content_is_just_closed)
{
    for (int frames = 0; frames < 3; frames++) {
        restart(PEER_NO_LIMIT);
        write_deliver(1);
        if (frames > 0)
            wire_header(&wire, channel, 10, NULL, 0);
        if (frames > 1)
            wire_body(&wire, channel, pattern, 5);
        wire_channel_close(&wire, channel, 404, "NOT_FOUND");
        feed();
        peer_expect_event(peer, "channel-closed %u code=404", channel);
        peer_expect_no_event(peer);
        cr_assert_eq(session_state(peer->session), SESSION_OPEN);
    }
}

Test(violations, content_on_channel_0_is_a_violation)
{
    wire_header(&wire, 0, 10, NULL, 0);
    feed();
    peer_expect_violation(peer, 503, 505, NULL);
    restart(PEER_NO_LIMIT);
    wire_body(&wire, 0, pattern, 10);
    feed();
    peer_expect_violation(peer, 503, 505, NULL);
}

/* The header frame's payload as it is. */
static void write_raw_header(unsigned class, unsigned weight, uint64_t size, const void *properties,
                             size_t length)
{
    struct wire payload = {0};
    wire_short(&payload, class);
    wire_short(&payload, weight);
    wire_longlong(&payload, size);
    wire_raw(&payload, properties, length);
    wire_frame(&wire, WIRE_HEADER, channel, payload.data, payload.length);
    wire_destroy(&payload);
}

Test(violations, a_header_of_another_class_is_a_violation)
{
    write_deliver(1);
    write_raw_header(50, 0, 10, "\0\0", 2);
    feed();
    peer_expect_violation(peer, 505, 0, NULL);
}

Test(violations, a_header_that_is_cut_short_is_a_violation)
{
    struct wire payload = {0};
    wire_short(&payload, WIRE_BASIC_CLASS);
    wire_short(&payload, 0);
    wire_longlong(&payload, 10);
    wire_short(&payload, 0);
    for (size_t size = 0; size < payload.length; size++) {
        restart(PEER_NO_LIMIT);
        write_deliver(1);
        wire_frame(&wire, WIRE_HEADER, channel, payload.data, size);
        feed();
        cr_assert_neq(session_state(peer->session), SESSION_OPEN, "a header of %zu bytes", size);
        peer_expect_violation(peer, 0, 0, NULL);
        cr_assert(peer->closing.code == 501 || peer->closing.code == 502 || peer->closing.code == 505, "%d",
                  peer->closing.code);
    }
    wire_destroy(&payload);
}

Test(violations, properties_that_are_malformed_are_a_violation)
{
    static const struct {
        const char *bytes;
        size_t size;
    } properties[] = {
        {"\x80\x00", 2},                 /* a content type is announced and missing */
        {"\x80\x00\x05hell", 7},         /* it is longer than what is there */
        {"\x20\x00\x00\x00\x00\x05", 6}, /* so are the headers */
        {"\x20\x00\xff\xff\xff\xff", 6}, /* much longer */
        {"\x00\x40\x00\x00\x00\x00", 6}, /* half a timestamp */
        {"\x00\x00\x00", 3},             /* bytes left over */
    };
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++) {
        restart(PEER_NO_LIMIT);
        write_deliver(1);
        write_raw_header(WIRE_BASIC_CLASS, 0, 0, properties[i].bytes, properties[i].size);
        feed();
        cr_assert_neq(session_state(peer->session), SESSION_OPEN, "the %zuth", i);
        peer_expect_violation(peer, 0, 0, NULL);
        cr_assert(peer->closing.code == 501 || peer->closing.code == 502 || peer->closing.code == 505, "%d",
                  peer->closing.code);
        cr_assert_eq(peer_count_events(peer, "delivered"), 0);
    }
}

/* --- Unknown places -------------------------------------------------------------------------------------*/

Test(violations, an_unknown_consumer_tag_is_a_violation_that_names_it)
{
    wire_deliver(&wire, channel, "who-is-that", 1);
    wire_content(&wire, channel, NULL, "x", 1, PEER_FRAME_MAX);
    feed();
    peer_expect_violation(peer, 0, 0, "who-is-that");
    cr_assert_eq(peer_count_events(peer, "delivered"), 0);
}

Test(violations, a_consumer_tag_that_begins_like_ours_is_unknown)
{
    char longer[32];
    snprintf(longer, sizeof longer, "%s0", peer_consumer_tag(channel));
    wire_deliver(&wire, channel, longer, 1);
    feed();
    peer_expect_violation(peer, 0, 0, NULL);
    restart(PEER_NO_LIMIT);
    wire_deliver(&wire, channel, "", 1);
    feed();
    peer_expect_violation(peer, 0, 0, NULL);
}

Test(violations, after_a_cancel_the_consumer_tag_is_unknown)
{
    cr_assert_eq(session_cancel(peer->session, channel), 0);
    wire_cancel_ok(&wire, channel, peer_consumer_tag(channel));
    write_deliver(1);
    feed();
    peer_expect_violation(peer, 0, 0, NULL);
}

Test(violations, another_channels_consumer_tag_is_unknown)
{
    uint16_t other = peer_open_consumer(peer, PEER_NO_LIMIT);
    wire_deliver(&wire, other, peer_consumer_tag(channel), 1);
    feed();
    peer_expect_violation(peer, 0, 0, NULL);
}

Test(violations, a_delivery_where_nothing_consumes_is_a_violation)
{
    uint16_t idle = peer_open_channel(peer);
    wire_deliver(&wire, idle, "", 1);
    feed();
    peer_expect_violation(peer, 0, 0, NULL);
}

Test(violations, frames_on_an_unknown_channel_are_a_channel_error)
{
    for (unsigned type = WIRE_METHOD; type <= WIRE_BODY; type++) {
        restart(PEER_NO_LIMIT);
        if (type == WIRE_METHOD)
            wire_deliver(&wire, 9, peer_consumer_tag(9), 1);
        else if (type == WIRE_HEADER)
            wire_header(&wire, 9, 10, NULL, 0);
        else
            wire_body(&wire, 9, "x", 1);
        feed();
        peer_expect_violation(peer, 504, 0, "9");
    }
}

/* --- Frames that are none (section 4.2.3) ---------------------------------------------------------------*/

Test(violations, a_bad_frame_end_is_a_frame_error)
{
    for (unsigned end = 0; end < 256; end += 51) {
        restart(PEER_NO_LIMIT);
        write_deliver(1);
        wire.data[wire.length - 1] = (uint8_t)end;
        feed();
        peer_expect_violation(peer, 501, 0, "end");
    }
}

Test(violations, a_frame_over_the_negotiated_size_is_a_frame_error)
{
    wire_octet(&wire, WIRE_BODY);
    wire_short(&wire, channel);
    wire_long(&wire, BODY_FRAME + 1);
    feed();
    peer_expect_violation(peer, 501, 0, NULL);
}

Test(violations, a_frame_of_the_negotiated_size_is_none)
{
    write_deliver(1);
    wire_header(&wire, channel, BODY_FRAME, NULL, 0);
    wire_body(&wire, channel, pattern, BODY_FRAME);
    feed();
    peer_expect_event(peer, "delivered");
}

Test(violations, a_frame_size_near_the_end_of_numbers_is_a_frame_error)
{
    static const uint32_t sizes[] = {0x7FFFFFFF, 0x80000000, 0xFFFFFFF7, 0xFFFFFFF8, 0xFFFFFFFF};
    for (size_t i = 0; i < 5; i++) {
        restart(PEER_NO_LIMIT);
        wire_octet(&wire, WIRE_METHOD);
        wire_short(&wire, 0);
        wire_long(&wire, sizes[i]);
        wire_fill(&wire, WIRE_FRAME_END, 20);
        feed();
        peer_expect_violation(peer, 501, 0, NULL);
    }
}

Test(violations, an_unknown_frame_type_is_a_frame_error)
{
    for (unsigned type = 0; type < 256; type++) {
        if ((type >= WIRE_METHOD && type <= WIRE_BODY) || type == WIRE_HEARTBEAT)
            continue;
        restart(PEER_NO_LIMIT);
        wire_frame(&wire, type, channel, "x", 1);
        feed();
        cr_assert_neq(session_state(peer->session), SESSION_OPEN, "type %u", type);
        peer_expect_violation(peer, 501, 0, NULL);
    }
}

Test(violations, an_unknown_frame_type_is_not_waited_for)
{
    wire_octet(&wire, 0x41);
    wire_short(&wire, 0);
    wire_long(&wire, 100);
    feed();
    peer_expect_violation(peer, 501, 0, NULL);
}

/* 4.2.3 asks for 503 where a heartbeat's channel is not 0, 4.2.7 for 501 where the heartbeat is invalid. */
Test(violations, a_heartbeat_on_a_channel_is_a_violation)
{
    wire_frame(&wire, WIRE_HEARTBEAT, channel, NULL, 0);
    feed();
    peer_expect_violation(peer, 503, 501, "heartbeat");
}

Test(violations, a_heartbeat_with_something_in_it_is_a_violation)
{
    wire_frame(&wire, WIRE_HEARTBEAT, 0, "x", 1);
    feed();
    peer_expect_violation(peer, 501, 0, "heartbeat");
}

Test(violations, a_method_frame_too_short_for_a_method_is_a_violation)
{
    for (unsigned number = 0; number <= 1; number++)
        for (size_t size = 0; size < 4; size++) {
            restart(PEER_NO_LIMIT);
            wire_frame(&wire, WIRE_METHOD, number * channel, "\x00\x3c\x00\x3c", size);
            feed();
            cr_assert_neq(session_state(peer->session), SESSION_OPEN, "a method frame of %zu bytes", size);
            peer_expect_violation(peer, 501, 502, NULL);
        }
}

/* As in GHSA-9mmv-r8g3-qp46: a method whose arguments are cut off at any byte. */
Test(violations, a_method_that_cannot_be_decoded_is_a_syntax_error)
{
    struct wire whole = {0};
    wire_deliver(&whole, channel, peer_consumer_tag(channel), 1);
    size_t payload = whole.length - WIRE_FRAME_OVERHEAD;
    for (size_t size = 4; size < payload; size++) {
        restart(PEER_NO_LIMIT);
        wire_frame(&wire, WIRE_METHOD, channel, whole.data + 7, size);
        feed();
        cr_assert_neq(session_state(peer->session), SESSION_OPEN, "basic.deliver in %zu bytes", size);
        peer_expect_violation(peer, 502, 0, NULL);
    }
    wire_destroy(&whole);
}

Test(violations, every_method_cut_off_at_any_byte_ends_the_session)
{
    static const amqp_method_number_t methods[] = {
        AMQP_CONNECTION_CLOSE_METHOD, AMQP_CONNECTION_BLOCKED_METHOD, AMQP_CHANNEL_CLOSE_METHOD,
        AMQP_QUEUE_DECLARE_OK_METHOD, AMQP_BASIC_RETURN_METHOD,       AMQP_BASIC_CANCEL_METHOD,
        AMQP_BASIC_CONSUME_OK_METHOD, AMQP_BASIC_ACK_METHOD,          AMQP_BASIC_NACK_METHOD,
        AMQP_CHANNEL_OPEN_OK_METHOD,  AMQP_CONNECTION_START_METHOD,   AMQP_CHANNEL_FLOW_METHOD,
    };
    static const char zeros[512];
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        struct wire whole = {0};
        bool of_connection = methods[i] >> 16 == 10;
        wire_method(&whole, of_connection ? 0 : channel, methods[i], zeros);
        for (size_t size = 4; size < whole.length - WIRE_FRAME_OVERHEAD; size++) {
            restart(PEER_NO_LIMIT);
            wire_frame(&wire, WIRE_METHOD, of_connection ? 0 : channel, whole.data + 7, size);
            feed();
            cr_assert_neq(session_state(peer->session), SESSION_OPEN, "%s in %zu bytes",
                          amqp_method_name(methods[i]), size);
            peer_expect_violation(peer, 502, 503, NULL);
        }
        wire_destroy(&whole);
    }
}

Test(violations, an_unknown_method_is_a_violation)
{
    static const char *const methods[] = {"\x00\x3c\xff\xff", "\x12\x34\x00\x0a", "\x00\x00\x00\x00"};
    for (size_t i = 0; i < 3; i++) {
        restart(PEER_NO_LIMIT);
        wire_frame(&wire, WIRE_METHOD, channel, methods[i], 4);
        feed();
        peer_expect_violation(peer, 0, 0, NULL);
        cr_assert(peer->closing.code == 503 || peer->closing.code == 540 || peer->closing.code == 502, "%d",
                  peer->closing.code);
    }
}
