/* The ends: polite, at once, by the broker; one closed event, and nothing afterwards. */
#include "../support/peer.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct peer *peer;
static struct wire wire;

static void create(void)
{
    peer = peer_create();
}

static void destroy(void)
{
    if (peer != NULL)
        peer_destroy(peer);
    wire_destroy(&wire);
}

TestSuite(closing, .init = create, .fini = destroy);

static void feed(void)
{
    peer_feed_wire(peer, &wire);
}

static void expect_dead(void)
{
    uint16_t channel;
    cr_assert_eq(session_state(peer->session), SESSION_CLOSED);
    cr_assert_eq(session_channel_open(peer->session, &channel), WHIPPET_E_CLOSED);
    cr_assert_eq(session_ack(peer->session, 1, 1, false), WHIPPET_E_CLOSED);
    cr_assert_eq(session_publish(peer->session, 1, "", "q", bytes_of("\0\0", 2), (whippet_bytes){0}),
                 WHIPPET_E_CLOSED);
    cr_assert(isinf(session_next_tick(peer->session)));
    peer_skip_sent(peer);
    peer_forget_log(peer);

    /* Nothing wakes it again. */
    wire_open_ok(&wire);
    wire_channel_close(&wire, 1, 404, "NOT_FOUND");
    wire_connection_close(&wire, 320, "CONNECTION_FORCED");
    wire_connection_close_ok(&wire);
    session_receive(peer->session, wire.data, wire.length, peer->now);
    wire_destroy(&wire);
    session_tick(peer->session, peer->now + 1e6);
    session_close(peer->session, 200, "again");
    session_abort(peer->session, "again");
    session_sent(peer->session, peer->now);
    cr_assert_eq(peer->closed_events, 1);
    peer_expect_no_event(peer);
    peer_expect_nothing_sent(peer);
}

Test(closing, asked_for_by_us)
{
    peer_open(peer);
    session_close(peer->session, 200, "bye");
    amqp_connection_close_t *sent = peer_expect_method(peer, 0, AMQP_CONNECTION_CLOSE_METHOD);
    cr_assert_eq(sent->reply_code, 200);
    cr_assert(sent->reply_text.len == 3 && memcmp(sent->reply_text.bytes, "bye", 3) == 0);
    cr_assert_eq(session_state(peer->session), SESSION_CLOSING);
    cr_assert_eq(peer->closed_events, 0, "only when the broker has answered");
    wire_connection_close_ok(&wire);
    feed();
    peer_expect_closed(peer, SESSION_END_ASKED, peer->closing.code, NULL);
    peer_expect_nothing_sent(peer);
    expect_dead();
}

Test(closing, with_a_text_over_255_bytes)
{
    char text[1001];
    memset(text, 't', 1000);
    text[1000] = '\0';
    peer_open(peer);
    session_close(peer->session, 200, text);
    peer_expect_method(peer, 0, AMQP_CONNECTION_CLOSE_METHOD);
    wire_connection_close_ok(&wire);
    feed();
    peer_expect_closed(peer, SESSION_END_ASKED, peer->closing.code, NULL);
}

Test(closing, twice_is_once)
{
    peer_open(peer);
    session_close(peer->session, 200, "bye");
    session_close(peer->session, 200, "bye bye");
    peer_expect_method(peer, 0, AMQP_CONNECTION_CLOSE_METHOD);
    peer_expect_nothing_sent(peer);
}

Test(closing, sends_what_was_queued_before)
{
    peer_open(peer);
    uint16_t channel = peer_open_channel(peer);
    cr_assert_eq(session_ack(peer->session, channel, 1, false), 0);
    session_close(peer->session, 200, "bye");
    peer_expect_method(peer, channel, AMQP_BASIC_ACK_METHOD);
    peer_expect_method(peer, 0, AMQP_CONNECTION_CLOSE_METHOD);
}

Test(closing, while_closing_nothing_can_be_asked_for)
{
    uint16_t channel;
    peer_open(peer);
    uint16_t open = peer_open_channel(peer);
    session_close(peer->session, 200, "bye");
    peer_skip_sent(peer);
    cr_assert_eq(session_channel_open(peer->session, &channel), WHIPPET_E_CLOSED);
    cr_assert_eq(session_ack(peer->session, open, 1, false), WHIPPET_E_CLOSED);
    cr_assert_eq(session_channel_close(peer->session, open, peer->now), WHIPPET_E_CLOSED);
    peer_expect_nothing_sent(peer);
}

/* "After sending this method, any received methods except Close and Close-OK MUST be discarded"
 * (section 1.4.2.8). */
Test(closing, while_closing_everything_that_comes_is_dropped)
{
    peer_open(peer);
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    cr_assert_eq(session_qos(peer->session, channel, 10), 0);
    session_close(peer->session, 200, "bye");
    peer_skip_sent(peer);
    peer_deliver(peer, channel, 1, NULL, "late", 4);
    peer_deliver(peer, 9, 1, NULL, "nobody's", 8);
    wire_heartbeat(&wire);
    wire_channel_close(&wire, channel, 404, "NOT_FOUND");
    wire_cancel(&wire, channel, peer_consumer_tag(channel), false);
    wire_open_ok(&wire);
    wire_declare_ok(&wire, 1, "q", 0, 0);
    wire_body(&wire, 5, "x", 1);
    feed();
    peer_expect_no_event(peer);
    cr_assert_eq(session_state(peer->session), SESSION_CLOSING);
    wire_connection_close_ok(&wire);
    feed();
    peer_expect_closed(peer, SESSION_END_ASKED, peer->closing.code, NULL);
}

Test(closing, asked_for_by_the_broker)
{
    peer_open(peer);
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    (void)channel;
    wire_connection_close(&wire, 320, "CONNECTION_FORCED - Closed via management plugin");
    feed();
    peer_expect_closed(peer, SESSION_END_BROKER, 320, "Closed via management plugin");
    cr_assert_eq(peer->closing.during, SESSION_OPEN);
    peer_expect_method(peer, 0, AMQP_CONNECTION_CLOSE_OK_METHOD);
    peer_expect_nothing_sent(peer);
    expect_dead();
}

Test(closing, by_the_broker_with_an_empty_and_the_longest_text)
{
    char longest[256];
    memset(longest, 't', 255);
    longest[255] = '\0';
    for (int i = 0; i < 2; i++) {
        peer_destroy(peer);
        peer = peer_create();
        peer_open(peer);
        wire_connection_close(&wire, 541, i == 0 ? "" : longest);
        feed();
        peer_expect_closed(peer, SESSION_END_BROKER, 541, i == 0 ? NULL : longest);
    }
}

Test(closing, closes_that_cross_end_it_once)
{
    for (int order = 0; order < 2; order++) {
        peer_destroy(peer);
        peer = peer_create();
        peer_open(peer);
        session_close(peer->session, 200, "bye");
        peer_expect_method(peer, 0, AMQP_CONNECTION_CLOSE_METHOD);
        wire_connection_close(&wire, 320, "CONNECTION_FORCED");
        if (order == 1)
            wire_connection_close_ok(&wire);
        feed();
        peer_expect_method(peer, 0, AMQP_CONNECTION_CLOSE_OK_METHOD);
        peer_expect_nothing_sent(peer);
        if (peer->closed_events == 0) {
            wire_connection_close_ok(&wire);
            feed();
        }
        cr_assert_eq(peer->closed_events, 1, "%s", peer_log(peer));
        cr_assert(peer->closing.end == SESSION_END_ASKED || peer->closing.end == SESSION_END_BROKER);
    }
}

Test(closing, at_once)
{
    peer_open(peer);
    session_abort(peer->session, "the socket broke: Connection reset by peer");
    peer_expect_closed(peer, SESSION_END_LOCAL, peer->closing.code, "Connection reset by peer");
    cr_assert_eq(peer->closing.during, SESSION_OPEN);
    peer_expect_nothing_sent(peer);
    expect_dead();
}

Test(closing, at_once_in_every_state)
{
    void (*const reach[])(struct peer *) = {peer_start, peer_reach_tuning, peer_reach_opening, peer_open};
    const enum session_state states[] = {SESSION_STARTING, SESSION_TUNING, SESSION_OPENING, SESSION_OPEN};
    for (int i = 0; i < 4; i++) {
        peer_destroy(peer);
        peer = peer_create();
        reach[i](peer);
        session_abort(peer->session, "the socket broke");
        peer_expect_closed(peer, SESSION_END_LOCAL, peer->closing.code, "the socket broke");
        cr_assert_eq(peer->closing.during, states[i]);
        expect_dead();
    }
}

Test(closing, at_once_before_it_started)
{
    session_abort(peer->session, "no address could be reached");
    peer_expect_closed(peer, SESSION_END_LOCAL, peer->closing.code, "no address");
    cr_assert_eq(peer->closing.during, SESSION_IDLE);
}

Test(closing, at_once_while_closing)
{
    peer_open(peer);
    session_close(peer->session, 200, "bye");
    session_abort(peer->session, "no patience");
    cr_assert_eq(peer->closed_events, 1);
    peer_skip_sent(peer);
    cr_assert_eq(session_state(peer->session), SESSION_CLOSED);
}

/* A polite close before the session is open has nobody to be polite to: the event comes all the same. */
Test(closing, politely_before_it_is_open_ends_it_all_the_same)
{
    void (*const reach[])(struct peer *) = {peer_start, peer_reach_tuning, peer_reach_opening};
    for (int i = 0; i < 3; i++) {
        peer_destroy(peer);
        peer = peer_create();
        reach[i](peer);
        session_close(peer->session, 200, "changed my mind");
        if (peer->closed_events == 0) {
            wire_connection_close_ok(&wire);
            feed();
        }
        cr_assert_eq(peer->closed_events, 1, "%d: %s", i, peer_log(peer));
        cr_assert_eq(session_state(peer->session), SESSION_CLOSED);
    }
}

Test(closing, with_a_request_under_way_on_many_channels)
{
    peer_open(peer);
    for (int i = 0; i < 10; i++) {
        uint16_t channel = peer_open_channel(peer);
        cr_assert_eq(session_queue_declare(peer->session, channel, &(struct queue_declaration){.queue = "q"}),
                     0);
        peer_skip_sent(peer);
    }
    wire_connection_close(&wire, 320, "CONNECTION_FORCED");
    feed();
    peer_expect_event(peer, "closed");
    peer_expect_no_event(peer);
}

static void close_again(struct peer *closing, const char *event)
{
    uint16_t channel;
    if (strncmp(event, "closed", 6) != 0)
        return;
    session_close(closing->session, 200, "from within");
    session_abort(closing->session, "from within");
    cr_assert_eq(session_state(closing->session), SESSION_CLOSED);
    cr_assert_eq(session_channel_open(closing->session, &channel), WHIPPET_E_CLOSED);
    session_tick(closing->session, closing->now + 1e6);
}

Test(closing, the_event_may_call_anything)
{
    for (int how = 0; how < 3; how++) {
        peer_destroy(peer);
        peer = peer_create();
        peer->react = close_again;
        peer_open(peer);
        if (how == 0)
            wire_connection_close(&wire, 320, "CONNECTION_FORCED");
        else if (how == 1)
            wire_frame(&wire, 99, 0, "x", 1);
        else
            session_abort(peer->session, "enough");
        feed();
        if (peer->closed_events == 0) {
            wire_connection_close_ok(&wire);
            feed();
        }
        cr_assert_eq(peer->closed_events, 1);
    }
}

static void close_politely(struct peer *closing, const char *event)
{
    if (strncmp(event, "delivered", 9) == 0)
        session_close(closing->session, 200, "enough");
}

Test(closing, politely_from_within_a_delivery_stops_deliveries)
{
    peer->react = close_politely;
    peer_open(peer);
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    for (uint64_t tag = 1; tag <= 3; tag++) {
        wire_deliver(&wire, channel, peer_consumer_tag(channel), tag);
        wire_content(&wire, channel, NULL, "xyz", 3, 9);
    }
    wire_connection_close_ok(&wire);
    feed();
    cr_assert_eq(peer_count_events(peer, "delivered"), 1, "%s", peer_log(peer));
    peer_expect_closed(peer, SESSION_END_ASKED, peer->closing.code, NULL);
}

/* After a violation the bytes behind it mean nothing. */
Test(closing, what_follows_a_violation_in_the_same_bytes_makes_no_event)
{
    peer_open(peer);
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    wire_frame(&wire, 99, 0, "x", 1);
    wire_deliver(&wire, channel, peer_consumer_tag(channel), 1);
    wire_content(&wire, channel, NULL, "x", 1, PEER_FRAME_MAX);
    feed();
    peer_expect_violation(peer, 501, 0, NULL);
    cr_assert_eq(peer_count_events(peer, "delivered"), 0);
    cr_assert_eq(peer_count_events(peer, "closed"), 1);
}

Test(closing, a_frame_that_is_none_while_closing_ends_it_without_a_second_close)
{
    peer_open(peer);
    session_close(peer->session, 200, "bye");
    peer_expect_method(peer, 0, AMQP_CONNECTION_CLOSE_METHOD);
    wire_frame(&wire, 99, 0, "x", 1);
    feed();
    cr_assert_eq(peer->closed_events, 1, "%s", peer_log(peer));
    peer_expect_nothing_sent(peer);
}

/* --- Destroyed at any moment ----------------------------------------------------------------------------*/

/* A conversation of every kind of thing that holds memory. */
static void write_conversation(struct wire *bytes)
{
    static const char body[200];
    wire_start(bytes, "PLAIN");
    wire_tune(bytes, 2047, PEER_FRAME_MAX, 60);
    wire_open_ok(bytes);
    wire_channel_open_ok(bytes, 1);
    wire_channel_open_ok(bytes, 2);
    wire_consume_ok(bytes, 1, "tag-1");
    wire_consume_ok(bytes, 2, "tag-2");
    for (unsigned channel = 1; channel <= 2; channel++) {
        wire_deliver(bytes, channel, channel == 1 ? "tag-1" : "tag-2", 1);
        wire_content(bytes, channel, NULL, body, sizeof body, 60);
    }
    wire_return(bytes, 1, "", "q");
    wire_content(bytes, 1, NULL, body, sizeof body, 60);
    wire_channel_close(bytes, 1, 404, "NOT_FOUND");
    wire_connection_close(bytes, 320, "CONNECTION_FORCED");
}

/* Opens two channels, of which the second takes only small messages; and publishes what will be returned. */
static void ask(struct peer *asking, const char *event)
{
    uint16_t channel;
    if (strcmp(event, "opened") == 0) {
        cr_assert_eq(session_channel_open(asking->session, &channel), 0);
        cr_assert_eq(session_channel_open(asking->session, &channel), 0);
    } else if (strcmp(event, "replied 1 opened") == 0) {
        static const char body[200];
        cr_assert_eq(peer_consume(asking, 1, PEER_NO_LIMIT), 0);
        cr_assert_eq(
            session_publish(asking->session, 1, "", "q", bytes_of("\0\0", 2), bytes_of(body, sizeof body)),
            0);
    } else if (strcmp(event, "replied 2 opened") == 0) {
        cr_assert_eq(peer_consume(asking, 2, 10), 0);
    }
}

Test(closing, destroyed_after_any_byte_it_leaves_nothing_behind)
{
    struct wire conversation = {0};
    write_conversation(&conversation);
    peer_destroy(peer);
    peer = NULL;
    size_t before = peer_bytes_allocated();
    for (size_t size = 0; size <= conversation.length; size++) {
        struct peer *doomed = peer_create();
        doomed->react = ask;
        session_start(doomed->session, doomed->now);
        peer_feed(doomed, conversation.data, size);
        if (size == conversation.length)
            cr_assert_eq(doomed->closed_events, 1, "%s", peer_log(doomed));
        else
            cr_assert_eq(doomed->closed_events, 0, "after %zu bytes: %s", size, peer_log(doomed));
        for (size_t channel = 0; channel < PEER_CHANNELS; channel++)
            doomed->oversized[channel].message = NULL; /* no event comes from session_destroy */
        peer_destroy(doomed);
        cr_assert_eq(peer_bytes_allocated(), before, "%zu bytes are left after %zu bytes of conversation",
                     peer_bytes_allocated() - before, size);
    }
    wire_destroy(&conversation);
}
