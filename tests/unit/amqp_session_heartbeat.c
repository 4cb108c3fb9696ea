/* Heartbeats, on a clock that only the test moves. */
#include "../support/peer.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct peer *peer;
static struct wire wire;

enum {
    TIMEOUT = 20
};

static void open_with(double offered, unsigned tuned)
{
    struct session_options options = peer_options();
    options.heartbeat = offered;
    if (peer != NULL)
        peer_destroy(peer);
    peer = peer_create_with(&options);
    cr_assert_not_null(peer);
    peer->tune_heartbeat = tuned;
    peer_open(peer);
}

static void create(void)
{
    open_with(TIMEOUT, 60);
    cr_assert_eq(session_heartbeat(peer->session), TIMEOUT);
}

static void destroy(void)
{
    peer_destroy(peer);
    wire_destroy(&wire);
}

TestSuite(heartbeat, .init = create, .fini = destroy);

static void receive_heartbeat(void)
{
    wire_heartbeat(&wire);
    peer_feed_wire(peer, &wire);
}

/* Moves to `until` as an event loop would: a tick at each moment the session asks for. Returns heartbeats
 * sent. */
static size_t run_until(double until)
{
    size_t sent = 0;
    for (int ticks = 0; session_state(peer->session) != SESSION_CLOSED; ticks++) {
        double next = session_next_tick(peer->session);
        cr_assert_lt(ticks, 1000, "ticks without an end: the next is asked for at %g, now is %g", next,
                     peer->now);
        if (next > until)
            break;
        if (next > peer->now)
            peer->now = next;
        session_tick(peer->session, peer->now);
        struct peer_frame frame;
        while (peer_next_frame(peer, &frame))
            if (frame.type == WIRE_HEARTBEAT) {
                cr_assert_eq(frame.channel, 0);
                cr_assert_eq(frame.size, 0);
                sent++;
            }
    }
    peer->now = until;
    return sent;
}

Test(heartbeat, is_sent_at_half_the_timeout)
{
    double start = peer->now;
    cr_assert_eq(run_until(start + TIMEOUT / 2.0 - 0.5), 0, "sent too early");
    cr_assert_eq(run_until(start + TIMEOUT / 2.0 + 0.5), 1);
}

Test(heartbeat, is_sent_again_and_again)
{
    double start = peer->now;
    size_t sent = 0;
    for (int i = 1; i <= 20; i++) {
        receive_heartbeat();
        sent += run_until(start + i * TIMEOUT / 2.0 + 0.1);
    }
    cr_assert(sent >= 19 && sent <= 21, "%zu in ten timeouts", sent);
    cr_assert_eq(peer->closed_events, 0);
}

Test(heartbeat, is_not_sent_while_other_frames_are)
{
    uint16_t channel = peer_open_channel(peer);
    double start = peer->now;
    size_t sent = 0;
    for (int i = 1; i <= 100; i++) {
        sent += run_until(start + i * TIMEOUT / 4.0);
        receive_heartbeat();
        cr_assert_eq(session_ack(peer->session, channel, (uint64_t)i, false), 0);
        peer_expect_method(peer, channel, AMQP_BASIC_ACK_METHOD);
    }
    cr_assert_eq(sent, 0, "%zu were sent", sent);
}

/* What is queued but not sent is no sign of life; but there is no use in queueing heartbeats without end
 * behind it. */
Test(heartbeat, does_not_pile_up_while_the_socket_takes_nothing)
{
    size_t before = buffer_length(session_output(peer->session));
    for (int i = 0; i < 200; i++) {
        peer->now += 1;
        session_tick(peer->session, peer->now);
        receive_heartbeat();
    }
    size_t queued = buffer_length(session_output(peer->session)) - before;
    cr_assert_leq(queued, 4 * WIRE_FRAME_OVERHEAD, "%zu bytes are queued", queued);
}

Test(heartbeat, silence_is_noticed_between_one_and_two_timeouts)
{
    double start = peer->now;
    run_until(start + TIMEOUT);
    cr_assert_eq(peer->closed_events, 0, "closed before the timeout: %s", peer_log(peer));
    run_until(start + 2 * TIMEOUT + 0.01);
    peer_expect_closed(peer, SESSION_END_SILENT, 0, NULL);
    cr_assert_eq(peer->closing.during, SESSION_OPEN);
    cr_assert_gt(peer->closing.text.len, 0);
    cr_assert(isinf(session_next_tick(peer->session)), "a closed session asks for another tick");
}

Test(heartbeat, any_byte_is_a_sign_of_life)
{
    double start = peer->now;
    /* One frame, a byte each 0.9 timeouts: not whole in all this time. */
    wire_method(&wire, 0, AMQP_CONNECTION_BLOCKED_METHOD,
                &(amqp_connection_blocked_t){.reason = amqp_cstring_bytes("x")});
    for (size_t i = 0; i < 3; i++) {
        peer_feed(peer, wire.data + i, 1);
        run_until(start + (double)(i + 1) * 0.9 * TIMEOUT);
        cr_assert_eq(peer->closed_events, 0, "after %zu bytes: %s", i + 1, peer_log(peer));
    }
}

/* Its size was damaged, and the heartbeats that come are taken for its body. */
Test(heartbeat, does_not_keep_a_frame_alive_that_never_ends)
{
    static const uint8_t beginning[] = {WIRE_METHOD, 0, 0, 0, 0, 0x0F, 0x00};
    double start = peer->now;
    peer_feed(peer, beginning, sizeof beginning);
    for (int i = 1; i <= 4; i++) {
        run_until(start + i * 0.7 * TIMEOUT);
        cr_assert_eq(peer->closed_events, 0, "%s", peer_log(peer));
        receive_heartbeat();
    }
    run_until(start + 3 * TIMEOUT + 0.01);
    peer_expect_violation(peer, AMQP_FRAME_ERROR, 0, "end");
}

Test(heartbeat, gives_each_frame_its_own_time)
{
    double start = peer->now;
    wire_heartbeat(&wire);
    for (int i = 1; i <= 20; i++) {
        /* The end of one and the beginning of the next. */
        peer_feed(peer, wire.data, 4);
        run_until(start + i * 0.9 * TIMEOUT);
        peer_feed(peer, wire.data + 4, wire.length - 4);
        cr_assert_eq(peer->closed_events, 0, "%s", peer_log(peer));
    }
}

Test(heartbeat, deliveries_are_signs_of_life)
{
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    double start = peer->now;
    for (uint64_t i = 1; i <= 50; i++) {
        peer_deliver(peer, channel, i, NULL, "x", 1);
        run_until(start + (double)i * 0.9 * TIMEOUT);
    }
    cr_assert_eq(peer->closed_events, 0);
}

Test(heartbeat, a_late_tick_does_not_hide_the_silence)
{
    peer->now += 100 * TIMEOUT;
    session_tick(peer->session, peer->now);
    peer_expect_closed(peer, SESSION_END_SILENT, 0, NULL);
}

/* The loop was held up, and what the broker sent meanwhile is read only now: it lives. */
Test(heartbeat, what_was_read_just_before_a_late_tick_counts)
{
    peer->now += 100 * TIMEOUT;
    receive_heartbeat();
    session_tick(peer->session, peer->now);
    cr_assert_eq(peer->closed_events, 0, "%s", peer_log(peer));
}

Test(heartbeat, an_early_tick_does_nothing)
{
    for (int i = 0; i < 100; i++)
        session_tick(peer->session, peer->now);
    peer_expect_nothing_sent(peer);
    cr_assert_gt(session_next_tick(peer->session), peer->now);
}

Test(heartbeat, asks_for_no_more_ticks_than_it_needs)
{
    double start = peer->now;
    int ticks = 0;
    while (peer->now < start + 100 * TIMEOUT) {
        peer->now = fmax(peer->now, session_next_tick(peer->session));
        session_tick(peer->session, peer->now);
        peer_skip_sent(peer);
        receive_heartbeat();
        ticks++;
    }
    cr_assert_leq(ticks, 450, "%d ticks in 100 timeouts", ticks);
}

Test(heartbeat, there_are_none_where_none_were_negotiated)
{
    open_with(0, 0);
    cr_assert_eq(session_heartbeat(peer->session), 0);
    cr_assert(isinf(session_next_tick(peer->session)), "%g", session_next_tick(peer->session));
    peer->now += 1000000;
    session_tick(peer->session, peer->now);
    peer_expect_nothing_sent(peer);
    peer_expect_no_event(peer);
    receive_heartbeat();
    cr_assert_eq(session_state(peer->session), SESSION_OPEN, "one that comes nevertheless is no violation");
}

Test(heartbeat, the_smaller_of_the_two_is_kept)
{
    open_with(60, 10);
    double start = peer->now;
    cr_assert_eq(run_until(start + 5.5), 1);
    run_until(start + 20.01);
    peer_expect_closed(peer, SESSION_END_SILENT, 0, NULL);
}

Test(heartbeat, silence_is_noticed_while_closing)
{
    double start = peer->now;
    session_close(peer->session, 200, "bye");
    run_until(start + 2 * TIMEOUT + 0.01);
    cr_assert_eq(peer->closed_events, 1);
}

Test(heartbeat, an_oversized_delivery_ends_where_silence_ends_the_session)
{
    uint16_t channel = peer_open_consumer(peer, 10);
    wire_deliver(&wire, channel, peer_consumer_tag(channel), 1);
    wire_header(&wire, channel, 100, NULL, 0);
    peer_feed_wire(peer, &wire);
    run_until(peer->now + 2 * TIMEOUT + 0.01);
    cr_assert_eq(peer_count_events(peer, "oversized-end"), 1, "%s", peer_log(peer));
    cr_assert_eq(peer->closed_events, 1);
}

/* Moments that a double can't hold exactly must not make a tick that does nothing and asks for itself again.
 */
Test(heartbeat, ticks_come_to_an_end_at_crooked_moments)
{
    uint64_t seed = 43;
    for (int round = 0; round < 300; round++) {
        open_with(1 + (double)peer_random_below(&seed, 90), 1 + (unsigned)peer_random_below(&seed, 90));
        peer->now = 1.0 / 3 + (double)peer_random_below(&seed, 1u << 30) / 1000.1;
        receive_heartbeat();
        session_sent(peer->session, peer->now);
        run_until(peer->now + 300); /* asserts that there are not too many */
        cr_assert_eq(peer->closed_events, 1);
    }
}

Test(heartbeat, silence_is_excused_while_the_owner_does_not_read)
{
    for (int i = 0; i < 10; i++) {
        peer->now += TIMEOUT;
        session_excuse_silence(peer->session, peer->now);
        session_tick(peer->session, peer->now);
        cr_assert_eq(peer->closed_events, 0, "%s", peer_log(peer));
    }
    cr_assert_gt(peer_count_sent(peer, WIRE_HEARTBEAT), 0, "ours go on");
    run_until(peer->now + 2 * TIMEOUT + 0.01);
    peer_expect_closed(peer, SESSION_END_SILENT, 0, NULL);
}

/* --- Answers that are overdue ---------------------------------------------------------------------------*/

static void create_without_heartbeats(void)
{
    open_with(0, 0);
}

TestSuite(overdue, .init = create_without_heartbeats, .fini = destroy);

static void close_channel(uint16_t channel)
{
    cr_assert_eq(session_channel_close(peer->session, channel, peer->now), 0);
}

Test(overdue, channel_close_ends_the_session)
{
    double start = peer->now;
    close_channel(peer_open_channel(peer));
    run_until(start + SESSION_CLOSE_LIMIT - 0.1);
    cr_assert_eq(peer->closed_events, 0, "%s", peer_log(peer));
    run_until(start + SESSION_CLOSE_LIMIT + 0.1);
    peer_expect_closed(peer, SESSION_END_SILENT, 0, "channel.close");
}

Test(overdue, channel_close_is_each_by_itself)
{
    double start = peer->now;
    uint16_t first = peer_open_channel(peer), second = peer_open_channel(peer);
    close_channel(first);
    run_until(start + 20);
    close_channel(second);
    wire_channel_close_ok(&wire, first);
    peer_feed_wire(peer, &wire);
    run_until(start + 20 + SESSION_CLOSE_LIMIT - 0.1);
    cr_assert_eq(peer->closed_events, 0, "%s", peer_log(peer));
    run_until(start + 20 + SESSION_CLOSE_LIMIT + 0.1);
    cr_assert_eq(peer->closed_events, 1);
}

Test(overdue, channel_close_that_is_answered_leaves_no_tick)
{
    uint16_t channel = peer_open_channel(peer);
    close_channel(channel);
    cr_assert(isfinite(session_next_tick(peer->session)));
    wire_channel_close_ok(&wire, channel);
    peer_feed_wire(peer, &wire);
    cr_assert(isinf(session_next_tick(peer->session)));
}

/* It reads nothing of us while its alarm lasts (https://www.rabbitmq.com/docs/alarms). */
Test(overdue, channel_close_is_excused_while_the_broker_has_an_alarm)
{
    close_channel(peer_open_channel(peer));
    amqp_connection_blocked_t blocked = {.reason = amqp_cstring_bytes("low on memory")};
    wire_method(&wire, 0, AMQP_CONNECTION_BLOCKED_METHOD, &blocked);
    peer_feed_wire(peer, &wire);
    run_until(peer->now + 10 * SESSION_CLOSE_LIMIT);
    cr_assert_eq(peer->closed_events, 0, "%s", peer_log(peer));
    wire_method(&wire, 0, AMQP_CONNECTION_UNBLOCKED_METHOD, &(amqp_connection_unblocked_t){0});
    peer_feed_wire(peer, &wire);
    run_until(peer->now + SESSION_CLOSE_LIMIT + 0.1);
    cr_assert_eq(peer->closed_events, 1);
}

Test(overdue, channel_close_is_excused_while_the_owner_does_not_read)
{
    close_channel(peer_open_channel(peer));
    for (int i = 0; i < 10; i++) {
        peer->now += SESSION_CLOSE_LIMIT;
        session_excuse_silence(peer->session, peer->now);
        session_tick(peer->session, peer->now);
    }
    cr_assert_eq(peer->closed_events, 0, "%s", peer_log(peer));
}
