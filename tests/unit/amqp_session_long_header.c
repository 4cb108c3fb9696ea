/* Content headers over frame_max, which RabbitMQ sends: held up to a limit, skipped beyond it, and never the
 * end of a session. */
#include "../support/peer.h"
#include <base/memory.h>
#include <criterion/criterion.h>
#include <short_memory.h>
#include <string.h>

enum {
    ONE_FRAME = PEER_FRAME_MAX - WIRE_FRAME_OVERHEAD, /* the longest header that fits one */
    AROUND = 12 + 2 + 4 + 2 + 1 + 4,                  /* of a header, what is not the value in its headers */
    FRAME_HEADER = 7,
    ANY_LIMIT = PEER_NO_LIMIT,
};

static struct peer *peer;
static struct wire wire;
static uint16_t channel;

static void start(uint64_t max_message_size)
{
    if (peer != NULL)
        peer_destroy(peer);
    peer = peer_create();
    peer_open(peer);
    channel = peer_open_consumer(peer, max_message_size);
}

static void create(void)
{
    start(ANY_LIMIT);
}

static void destroy(void)
{
    memory_permit = NULL;
    peer_destroy(peer);
    wire_destroy(&wire);
}

TestSuite(long_header, .init = create, .fini = destroy);

/* Properties of which a content header comes to be `length` bytes long: one header, of binary data. */
static struct wire properties_for(size_t length)
{
    struct wire entries = {0}, properties = {0};
    wire_entry(&entries, "h", 'x');
    wire_long(&entries, (uint32_t)(length - AROUND));
    for (size_t i = 0; i < length - AROUND; i++)
        wire_octet(&entries, (unsigned)(i * 31 + i / 251) & 0xFF);
    wire_properties_with_headers(&properties, &entries);
    wire_destroy(&entries);
    cr_assert_eq(12 + properties.length, length);
    return properties;
}

/* A delivery with a content header of so many bytes. */
static void write_delivery(uint64_t tag, size_t length, const char *body)
{
    struct wire properties = properties_for(length);
    wire_deliver(&wire, channel, peer_consumer_tag(channel), tag);
    wire_content(&wire, channel, &properties, body, strlen(body), PEER_FRAME_MAX);
    wire_destroy(&properties);
}

static void feed(void)
{
    peer_feed_wire(peer, &wire);
}

static void expect_delivered(uint64_t tag, size_t length, const char *body)
{
    struct wire properties = properties_for(length);
    peer_expect_event(peer, "delivered %u tag=%llu redelivered=0 headers=sound", channel,
                      (unsigned long long)tag);
    cr_assert(bytes_equal(peer->delivered->properties, bytes_of(properties.data, properties.length)));
    cr_assert(bytes_equal_text(peer->delivered->body, body));
    wire_destroy(&properties);
}

/* As oversized, without its headers. */
static void expect_headless(uint64_t tag, size_t body_size)
{
    peer_expect_event(peer, "oversized-begin %u size=%zu tag=%llu redelivered=0 headers=left-out", channel,
                      body_size, (unsigned long long)tag);
    peer_expect_event(peer, "oversized-end %u tag=%llu complete=1 body=%zu/", channel,
                      (unsigned long long)tag, body_size);
}

/* --- Held -----------------------------------------------------------------------------------------------*/

Test(long_header, of_exactly_a_frame_and_of_a_byte_more_are_delivered)
{
    for (size_t more = 0; more < 3; more++)
        write_delivery(more + 1, ONE_FRAME + more, "body");
    feed();
    for (size_t more = 0; more < 3; more++)
        peer_expect_event(peer, "delivered %u tag=%zu", channel, more + 1);
    peer_expect_no_event(peer);
}

Test(long_header, arrives_byte_for_byte_with_a_body_and_without)
{
    for (size_t more = 0; more < 20; more++) {
        write_delivery(2 * more + 1, ONE_FRAME + more, "body");
        feed();
        expect_delivered(2 * more + 1, ONE_FRAME + more, "body");
        write_delivery(2 * more + 2, ONE_FRAME + more, "");
        feed();
        expect_delivered(2 * more + 2, ONE_FRAME + more, "");
    }
}

Test(long_header, arrives_however_it_is_cut)
{
    static const size_t lengths[] = {ONE_FRAME + 1, 2 * ONE_FRAME, 100000};
    peer->cut = PEER_BYTE_BY_BYTE;
    write_delivery(1, ONE_FRAME + 1, "body");
    feed();
    expect_delivered(1, ONE_FRAME + 1, "body");
    write_delivery(2, 40, "next");
    feed();
    expect_delivered(2, 40, "next");
    peer->cut = PEER_RANDOM;
    for (size_t i = 0; i < 30; i++) {
        peer->seed = i + 1;
        write_delivery(i + 3, lengths[i % 3], "body");
        feed();
        expect_delivered(i + 3, lengths[i % 3], "body");
    }
}

/* Before its length is known, within it, before the octet at its end, and after that. */
Test(long_header, arrives_in_two_pieces_wherever_the_cut_is)
{
    static const size_t length = ONE_FRAME + 1;
    const size_t cuts[] = {1,
                           FRAME_HEADER - 1,
                           FRAME_HEADER,
                           FRAME_HEADER + 1,
                           FRAME_HEADER + length - 1,
                           FRAME_HEADER + length,
                           FRAME_HEADER + length + 1};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        wire_deliver(&wire, channel, peer_consumer_tag(channel), i + 1);
        feed();
        struct wire properties = properties_for(length);
        wire_content(&wire, channel, &properties, "body", 4, PEER_FRAME_MAX);
        wire_destroy(&properties);
        peer_feed(peer, wire.data, cuts[i]);
        peer_feed(peer, wire.data + cuts[i], wire.length - cuts[i]);
        wire_clear(&wire);
        expect_delivered(i + 1, length, "body");
    }
}

Test(long_header, is_held_up_to_the_limit_and_skipped_from_one_byte_more_on)
{
    write_delivery(1, SESSION_HEADER_HELD, "body");
    feed();
    expect_delivered(1, SESSION_HEADER_HELD, "body");
    write_delivery(2, SESSION_HEADER_HELD + 1, "body");
    feed();
    expect_headless(2, 4);
    write_delivery(3, 40, "next");
    feed();
    expect_delivered(3, 40, "next");
    peer_expect_no_event(peer);
}

/* --- Skipped --------------------------------------------------------------------------------------------*/

static size_t largest_allocation;

static bool watch_sizes(size_t size)
{
    if (size > largest_allocation)
        largest_allocation = size;
    return true;
}

Test(long_header, that_is_skipped_takes_no_memory_and_needs_no_body)
{
    struct wire properties = properties_for(8 * SESSION_HEADER_HELD);
    wire_deliver(&wire, channel, peer_consumer_tag(channel), 1);
    wire_content(&wire, channel, &properties, "", 0, PEER_FRAME_MAX);
    wire_destroy(&properties);
    memory_permit = watch_sizes;
    for (size_t at = 0; at < wire.length; at += 100000)
        peer_feed(peer, wire.data + at, wire.length - at < 100000 ? wire.length - at : 100000);
    expect_headless(1, 0);
    cr_assert_lt(largest_allocation, 10000, "an allocation of %zu bytes", largest_allocation);
}

/* What is made of it is to outlive the broker, like other dead letters. */
Test(long_header, that_is_skipped_leaves_a_persistent_message_without_properties)
{
    static const uint8_t persistent[] = {0x10, 0, 2};
    write_delivery(1, SESSION_HEADER_HELD + 1, "body");
    feed();
    peer_expect_event(peer,
                      "oversized-begin %u size=4 tag=1 redelivered=0 headers=left-out exchange=events "
                      "key=order.new properties=3/%016llx",
                      channel, (unsigned long long)peer_hash(persistent, sizeof persistent));
}

/* --- And max_message_size -------------------------------------------------------------------------------*/

Test(long_header, counts_as_body_by_what_it_has_beyond_a_frame)
{
    start(100);
    write_delivery(1, SESSION_FRAME_MAX, "body");
    write_delivery(2, SESSION_FRAME_MAX + 96, "body");
    feed();
    peer_expect_event(peer, "delivered %u tag=1", channel);
    expect_delivered(2, SESSION_FRAME_MAX + 96, "body");
    write_delivery(3, SESSION_FRAME_MAX + 97, "body");
    write_delivery(4, SESSION_FRAME_MAX + 101, "");
    feed();
    expect_headless(3, 4);
    expect_headless(4, 0);
}

Test(long_header, of_an_oversized_message_is_left_out_and_its_other_properties_are_not)
{
    struct wire headers = properties_for(SESSION_FRAME_MAX + 1), properties = {0};
    wire_short(&properties, 0x2000 | 0x1000 | 0x0080); /* headers, delivery-mode, message-id */
    wire_raw(&properties, headers.data + 2, headers.length - 2);
    wire_octet(&properties, 1);
    wire_short_text(&properties, "m-1");
    wire_destroy(&headers);
    start(10);
    wire_deliver(&wire, channel, peer_consumer_tag(channel), 1);
    wire_content(&wire, channel, &properties, "eleven byte", 11, PEER_FRAME_MAX);
    wire_destroy(&properties);
    feed();
    static const uint8_t left[] = {0x10, 0x80, 1, 3, 'm', '-', '1'};
    peer_expect_event(peer,
                      "oversized-begin %u size=11 tag=1 redelivered=0 headers=left-out exchange=events "
                      "key=order.new properties=7/%016llx",
                      channel, (unsigned long long)peer_hash(left, sizeof left));
}

/* A body announced with nearly 2^64 bytes must not come round to few. */
Test(long_header, does_not_make_a_gigantic_body_small)
{
    struct wire properties = properties_for(SESSION_FRAME_MAX + 1000);
    wire_deliver(&wire, channel, peer_consumer_tag(channel), 1);
    wire_header(&wire, channel, UINT64_MAX - 10, properties.data, properties.length);
    wire_destroy(&properties);
    feed();
    peer_expect_event(peer, "oversized-begin %u size=%llu", channel, (unsigned long long)UINT64_MAX - 10);
    session_abort(peer->session, "enough");
    peer_expect_event(peer, "oversized-end %u tag=1 complete=0", channel);
}

/* --- What still is none ---------------------------------------------------------------------------------*/

static void write_beginning(unsigned type, unsigned number, size_t length)
{
    wire_octet(&wire, type);
    wire_short(&wire, number);
    wire_long(&wire, (uint32_t)length);
}

Test(long_header, is_the_only_frame_that_may_be_longer_than_agreed_on)
{
    static const struct {
        unsigned type, number;
        size_t length;
    } wrong[] = {
        {WIRE_METHOD, 1, ONE_FRAME + 1}, {WIRE_BODY, 1, ONE_FRAME + 1},
        {WIRE_METHOD, 0, ONE_FRAME + 1}, {WIRE_HEARTBEAT, 0, ONE_FRAME + 1},
        {WIRE_HEADER, 0, ONE_FRAME + 1}, {WIRE_HEADER, 1, SESSION_HEADER_MAX + 1},
        {WIRE_HEADER, 1, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        start(ANY_LIMIT);
        write_beginning(wrong[i].type, wrong[i].number, wrong[i].length);
        feed();
        peer_expect_violation(peer, AMQP_FRAME_ERROR, 0, "frame_max");
    }
}

Test(long_header, must_end_as_a_frame_does)
{
    for (size_t length = ONE_FRAME + 1; length < 2 * SESSION_HEADER_HELD; length += SESSION_HEADER_HELD) {
        start(ANY_LIMIT);
        write_delivery(1, length, "");
        wire.data[wire.length - 1] = 0xCD;
        feed();
        peer_expect_violation(peer, AMQP_FRAME_ERROR, 0, "0xCD");
    }
}

Test(long_header, must_follow_a_method_on_a_channel_that_is_open)
{
    struct wire properties = properties_for(ONE_FRAME + 1);
    wire_header(&wire, channel, 0, properties.data, properties.length);
    feed();
    peer_expect_violation(peer, AMQP_UNEXPECTED_FRAME, 0, "follows no method");
    start(ANY_LIMIT);
    wire_header(&wire, channel + 1u, 0, properties.data, properties.length);
    feed();
    peer_expect_violation(peer, AMQP_CHANNEL_ERROR, 0, "not open");
    wire_destroy(&properties);
}

Test(long_header, must_make_sense_where_it_is_held)
{
    write_delivery(1, ONE_FRAME + 1, "");
    wire.data[wire.length - 1 - (ONE_FRAME + 1) + 13] = 0x01; /* a flag that there is not */
    feed();
    peer_expect_violation(peer, AMQP_SYNTAX_ERROR, 0, "decoded");
}

Test(long_header, of_a_return_is_held_and_one_that_was_never_published_ends_the_session)
{
    static const whippet_bytes none = {"\0\0", 2};
    uint16_t publisher = peer_open_publisher(peer);
    cr_assert_eq(session_publish(peer->session, publisher, "e", "k", none, bytes_of("body", 4)), 0);
    for (size_t length = ONE_FRAME + 1; length < 2 * SESSION_HEADER_HELD; length += SESSION_HEADER_HELD) {
        struct wire properties = properties_for(length);
        wire_return(&wire, publisher, "e", "k");
        wire_content(&wire, publisher, &properties, "body", 4, PEER_FRAME_MAX);
        wire_destroy(&properties);
        feed();
    }
    peer_expect_event(peer, "returned %u", publisher);
    peer_expect_violation(peer, AMQP_UNEXPECTED_FRAME, 0, "return");
}

/* --- Nobody waits for it --------------------------------------------------------------------------------*/

Test(long_header, is_dropped_where_its_channel_or_the_session_closes)
{
    for (size_t length = ONE_FRAME + 1; length < 2 * SESSION_HEADER_HELD; length += SESSION_HEADER_HELD) {
        start(ANY_LIMIT);
        cr_assert_eq(session_channel_close(peer->session, channel, peer->now), 0);
        write_delivery(1, length, "body");
        wire_channel_close_ok(&wire, channel);
        feed();
        peer_expect_event(peer, "replied %u closed", channel);
        start(ANY_LIMIT);
        session_close(peer->session, 200, "bye");
        write_delivery(1, length, "body");
        wire_connection_close_ok(&wire);
        feed();
        peer_expect_event(peer, "closed end=asked");
    }
}

static void close_the_channel(struct peer *closing, const char *event)
{
    if (strncmp(event, "oversized-begin", 15) == 0)
        session_channel_close(closing->session, channel, closing->now);
}

static void abort_the_session(struct peer *aborting, const char *event)
{
    if (strncmp(event, "oversized-begin", 15) == 0)
        session_abort(aborting->session, "enough of it");
}

Test(long_header, survives_the_end_of_its_channel_and_session_from_within)
{
    peer->react = close_the_channel;
    write_delivery(1, SESSION_HEADER_HELD + 1, "");
    write_delivery(2, SESSION_HEADER_HELD + 1, "body");
    wire_channel_close_ok(&wire, channel);
    feed();
    peer_expect_event(peer, "oversized-begin");
    peer_expect_event(peer, "oversized-end %u tag=1 complete=0", channel);
    peer_expect_event(peer, "replied %u closed", channel);
    start(ANY_LIMIT);
    peer->react = abort_the_session;
    write_delivery(1, SESSION_HEADER_HELD + 1, "");
    feed();
    peer_expect_event(peer, "oversized-begin");
    peer_expect_event(peer, "oversized-end %u tag=1 complete=0", channel);
    peer_expect_event(peer, "closed end=local");
}

Test(long_header, half_of_which_came_goes_with_its_session)
{
    write_delivery(1, 100000, "");
    peer_feed(peer, wire.data, 50000);
    session_abort(peer->session, "enough");
    peer_expect_event(peer, "closed end=local");
}

/* --- Memory and time ------------------------------------------------------------------------------------*/

Test(long_header, ends_the_session_in_words_where_there_is_no_memory_for_it)
{
    static const size_t lengths[] = {ONE_FRAME + 1, SESSION_FRAME_MAX + 101, SESSION_HEADER_HELD + 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        bool failed = true;
        for (long fails = 0; failed; fails++) {
            start(100);
            write_delivery(1, lengths[i], "");
            allowed = fails;
            memory_permit = all_but_one;
            feed();
            memory_permit = NULL;
            failed = allowed < 0;
            if (peer->closed_events > 0)
                peer_expect_closed(peer, SESSION_END_LOCAL, 0, "memory");
            cr_assert(failed || peer->closed_events == 0, "%s", peer_log(peer));
            cr_assert_lt(fails, 100);
        }
    }
}

enum {
    TIMEOUT = 60
};

static void wait_and_hear(double seconds)
{
    for (double until = peer->now + seconds; peer->now < until;) {
        peer->now += TIMEOUT / 4.0;
        session_tick(peer->session, peer->now);
        peer_feed(peer, "\x08\0\0\0\0\0\0\xCE", 8);
    }
}

/* Its length was damaged on the way: heartbeats are taken for the rest of it. */
Test(long_header, that_never_ends_is_given_up)
{
    write_beginning(WIRE_HEADER, channel, SESSION_HEADER_MAX);
    feed();
    wait_and_hear(2.9 * TIMEOUT);
    cr_assert_eq(peer->closed_events, 0, "%s", peer_log(peer));
    wait_and_hear(TIMEOUT);
    peer_expect_violation(peer, AMQP_FRAME_ERROR, 0, "did not come to its end");
}

Test(long_header, may_take_its_time_while_it_comes)
{
    enum {
        PIECE = 1 << 20
    };
    write_delivery(1, 8 * PIECE, "");
    for (size_t at = 0; at < wire.length; at += PIECE) {
        peer_feed(peer, wire.data + at, wire.length - at < PIECE ? wire.length - at : PIECE);
        peer->now += 1.2 * TIMEOUT;
        session_tick(peer->session, peer->now);
    }
    expect_headless(1, 0);
}
