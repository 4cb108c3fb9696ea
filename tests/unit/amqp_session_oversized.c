/* Deliveries over the limit: their bodies pass by in parts, and are never held. */
#include "../support/peer.h"
#include <base/memory.h>
#include <criterion/criterion.h>
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
    memory_permit = NULL;
    peer_destroy(peer);
    wire_destroy(&wire);
}

TestSuite(oversized, .init = create, .fini = destroy);

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

static size_t largest_allocation;

static bool watch_sizes(size_t size)
{
    if (size > largest_allocation)
        largest_allocation = size;
    return size < (64u << 20);
}

Test(oversized, a_body_at_the_limit_is_delivered_and_one_byte_more_is_oversized)
{
    restart(100);
    peer_deliver(peer, channel, 1, NULL, pattern, 100);
    peer_expect_event(peer, "delivered %u tag=1", channel);
    peer_deliver(peer, channel, 2, NULL, pattern, 101);
    peer_expect_event(peer, "oversized-begin %u size=101 tag=2", channel);
    peer_expect_event(peer, "oversized-end %u tag=2 complete=1 body=101/%016llx", channel,
                      (unsigned long long)peer_hash(pattern, 101));
    peer_deliver(peer, channel, 3, NULL, pattern, 50);
    peer_expect_event(peer, "delivered %u tag=3", channel);
    peer_expect_no_event(peer);
}

Test(oversized, a_limit_of_0_lets_only_empty_bodies_pass)
{
    restart(0);
    peer_deliver(peer, channel, 1, NULL, pattern, 0);
    peer_expect_event(peer, "delivered %u tag=1", channel);
    peer_deliver(peer, channel, 2, NULL, pattern, 1);
    peer_expect_event(peer, "oversized-begin");
    peer_expect_event(peer, "oversized-end");
}

Test(oversized, brings_its_envelope_and_properties)
{
    struct wire properties = {0};
    wire_short(&properties, 0x0800);
    wire_octet(&properties, 7);
    restart(10);
    peer_deliver(peer, channel, 9, &properties, pattern, 11);
    peer_expect_event(
        peer,
        "oversized-begin %u size=11 tag=9 redelivered=0 headers=sound exchange=events key=order.new "
        "properties=3/%016llx",
        channel, (unsigned long long)peer_hash(properties.data, properties.length));
    wire_destroy(&properties);
}

Test(oversized, is_never_held)
{
    restart(1000);
    largest_allocation = 0;
    memory_permit = watch_sizes;
    write_deliver(1);
    wire_header(&wire, channel, 1u << 30, NULL, 0);
    feed();
    peer_expect_event(peer, "oversized-begin");
    for (int i = 0; i < 1000; i++) {
        wire_body(&wire, channel, pattern, BODY_FRAME);
        feed();
        cr_assert_leq(peer->oversized[channel].largest_part, BODY_FRAME);
    }
    cr_assert_lt(largest_allocation, 3 * PEER_FRAME_MAX, "an allocation of %zu bytes", largest_allocation);
    peer_expect_no_event(peer);
    cr_assert_eq(peer->oversized[channel].body.length, 1000 * BODY_FRAME);
    wire_channel_close(&wire, channel, 406, "PRECONDITION_FAILED");
    feed();
    peer_expect_event(peer, "oversized-end %u tag=1 complete=0", channel);
    peer_expect_event(peer, "channel-closed");
}

Test(oversized, a_size_announced_beyond_all_memory_takes_none)
{
    static const uint64_t sizes[] = {1ull << 32, 1ull << 40,     1ull << 62, INT64_MAX,
                                     1ull << 63, UINT64_MAX - 7, UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        restart(16 << 20);
        largest_allocation = 0;
        memory_permit = watch_sizes;
        write_deliver(1);
        wire_header(&wire, channel, sizes[i], NULL, 0);
        wire_body(&wire, channel, pattern, 100);
        feed();
        memory_permit = NULL;
        cr_assert_lt(largest_allocation, 2 * PEER_FRAME_MAX, "an allocation of %zu bytes",
                     largest_allocation);
        peer_expect_event(peer, "oversized-begin %u size=%llu", channel, (unsigned long long)sizes[i]);
        session_abort(peer->session, "enough");
        peer_expect_event(peer, "oversized-end %u tag=1 complete=0 body=100/", channel);
        peer_expect_event(peer, "closed end=local");
    }
}

/* The limit is a number of the configuration: it may be anything. */
Test(oversized, a_size_within_a_limitless_limit_ends_in_words_not_in_a_crash)
{
    static const uint64_t sizes[] = {1ull << 40,       1ull << 62,     1ull << 63,
                                     UINT64_MAX - 100, UINT64_MAX - 7, UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        restart(UINT64_MAX);
        memory_permit = watch_sizes;
        write_deliver(1);
        wire_header(&wire, channel, sizes[i], NULL, 0);
        for (int frame = 0; frame < 10; frame++)
            wire_body(&wire, channel, pattern, BODY_FRAME);
        feed();
        memory_permit = NULL;
        cr_assert_eq(peer_count_events(peer, "delivered"), 0);
        if (session_state(peer->session) != SESSION_OPEN)
            cr_assert_eq(peer->closed_events, 1, "%s", peer_log(peer));
    }
}

Test(oversized, ends_incomplete_where_the_session_does)
{
    for (int how = 0; how < 3; how++) {
        restart(10);
        write_deliver(1);
        wire_header(&wire, channel, 100, NULL, 0);
        wire_body(&wire, channel, pattern, 50);
        if (how == 0)
            wire_connection_close(&wire, 320, "CONNECTION_FORCED");
        else if (how == 1)
            wire_frame(&wire, WIRE_METHOD, 0, "\xFF\xFF\xFF\xFF", 4);
        feed();
        if (how == 2)
            session_abort(peer->session, "the socket broke");
        if (peer->closed_events == 0) {
            wire_connection_close_ok(&wire);
            feed();
        }
        peer_expect_event(peer, "oversized-begin");
        peer_expect_event(peer, "oversized-end %u tag=1 complete=0 body=50/", channel);
        peer_expect_event(peer, "closed");
    }
}

Test(oversized, ends_incomplete_where_its_channel_is_closed_by_us)
{
    restart(10);
    write_deliver(1);
    wire_header(&wire, channel, 100, NULL, 0);
    wire_body(&wire, channel, pattern, 50);
    feed();
    cr_assert_eq(session_channel_close(peer->session, channel, peer->now), 0);
    wire_body(&wire, channel, pattern, 50);
    wire_channel_close_ok(&wire, channel);
    feed();
    peer_expect_event(peer, "oversized-begin");
    peer_expect_event(peer, "oversized-end %u tag=1 complete=0 body=50/", channel);
    peer_expect_event(peer, "replied %u closed", channel);
}

Test(oversized, channels_have_limits_of_their_own)
{
    uint16_t small = peer_open_consumer(peer, 10);
    peer_deliver(peer, channel, 1, NULL, pattern, 100);
    peer_expect_event(peer, "delivered %u", channel);
    peer_deliver(peer, small, 1, NULL, pattern, 100);
    peer_expect_event(peer, "oversized-begin %u", small);
    peer_expect_event(peer, "oversized-end %u", small);
}

/* --- From within the event ------------------------------------------------------------------------------*/

static bool is_react_moment(const struct peer *reacting, const char *event)
{
    const char *moment = reacting->react_argument;
    return strncmp(event, moment, strlen(moment)) == 0;
}

static void close_the_channel(struct peer *closing, const char *event)
{
    if (is_react_moment(closing, event))
        session_channel_close(closing->session, channel, closing->now);
}

static void abort_the_session(struct peer *aborting, const char *event)
{
    if (is_react_moment(aborting, event))
        session_abort(aborting->session, "enough of it");
}

static const char *const moments[] = {"oversized-begin", "oversized-part", "oversized-end"};

/* Each in two parts, or in one. */
static void write_three(unsigned parts)
{
    for (uint64_t tag = 1; tag <= 3; tag++) {
        write_deliver(tag);
        wire_content(&wire, channel, NULL, "xyzxyz", 6, WIRE_FRAME_OVERHEAD + 6 / parts);
    }
}

Test(oversized, survives_the_closing_of_its_channel_from_within)
{
    for (size_t i = 0; i < 6; i++) {
        const char *moment = moments[i / 2];
        restart(2);
        peer->react = close_the_channel;
        peer->react_argument = moment;
        write_three(1 + i % 2);
        wire_channel_close_ok(&wire, channel);
        feed();
        cr_assert_eq(peer_count_events(peer, "oversized-begin"), 1, "%s: %s", moment, peer_log(peer));
        cr_assert_eq(peer_count_events(peer, "oversized-end"), 1, "%s: %s", moment, peer_log(peer));
        cr_assert_eq(peer_count_events(peer, "replied 1 closed"), 1, "%s: %s", moment, peer_log(peer));
        peer_expect_method(peer, channel, AMQP_CHANNEL_CLOSE_METHOD);
        peer_expect_nothing_sent(peer);
    }
}

Test(oversized, survives_the_end_of_its_session_from_within)
{
    for (size_t i = 0; i < 6; i++) {
        const char *moment = moments[i / 2];
        restart(2);
        peer->react = abort_the_session;
        peer->react_argument = moment;
        write_three(1 + i % 2);
        feed();
        cr_assert_eq(peer_count_events(peer, "oversized-begin"), 1, "%s: %s", moment, peer_log(peer));
        cr_assert_eq(peer_count_events(peer, "oversized-end"), 1, "%s: %s", moment, peer_log(peer));
        peer_expect_closed(peer, SESSION_END_LOCAL, peer->closing.code, "enough");
    }
}

Test(oversized, its_channel_is_closed_once_by_both_the_owner_and_the_handler_of_the_end)
{
    restart(10);
    write_deliver(1);
    wire_header(&wire, channel, 100, NULL, 0);
    feed();
    peer->react = close_the_channel;
    peer->react_argument = "oversized-end";
    cr_assert_eq(session_channel_close(peer->session, channel, peer->now), 0);
    peer_expect_method(peer, channel, AMQP_CHANNEL_CLOSE_METHOD);
    peer_expect_nothing_sent(peer);
}

static void write_half_and(void (*end)(void))
{
    write_deliver(1);
    wire_header(&wire, channel, 100, NULL, 0);
    wire_body(&wire, channel, pattern, 50);
    end();
}

static void write_channel_close(void)
{
    wire_channel_close(&wire, channel, 406, "PRECONDITION_FAILED");
}

static void write_connection_close(void)
{
    wire_connection_close(&wire, 320, "CONNECTION_FORCED");
}

static void use_the_channel(struct peer *using, const char *event)
{
    if (strncmp(event, "oversized-end", 13) != 0)
        return;
    cr_assert_eq(session_ack(using->session, channel, 1, false), WHIPPET_E_CLOSED);
    cr_assert_eq(session_channel_close(using->session, channel, using->now), WHIPPET_E_CLOSED);
    cr_assert_eq(session_qos(using->session, channel, 1), WHIPPET_E_CLOSED);
}

Test(oversized, its_channel_is_gone_where_it_ends_because_the_broker_closed)
{
    restart(10);
    peer->react = use_the_channel;
    write_half_and(write_channel_close);
    feed();
    peer_expect_method(peer, channel, AMQP_CHANNEL_CLOSE_OK_METHOD);
    peer_expect_nothing_sent(peer);
    restart(10);
    peer->react = use_the_channel;
    write_half_and(write_connection_close);
    feed();
    peer_expect_method(peer, 0, AMQP_CONNECTION_CLOSE_OK_METHOD);
    peer_expect_nothing_sent(peer);
}

Test(oversized, an_end_that_aborts_the_session_is_followed_by_the_closed_event_alone)
{
    restart(10);
    peer->react = abort_the_session;
    peer->react_argument = "oversized-end";
    write_half_and(write_channel_close);
    feed();
    peer_expect_event(peer, "oversized-begin");
    peer_expect_event(peer, "oversized-end");
    peer_expect_event(peer, "closed");
    peer_expect_no_event(peer);
}
