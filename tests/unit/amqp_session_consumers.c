/* Consumers: one on a channel, cancelled by either side. */
#include "../support/peer.h"
#include <criterion/criterion.h>
#include <string.h>

static struct peer *peer;
static struct wire wire;

static void create(void)
{
    peer = peer_create();
    peer_open(peer);
}

static void destroy(void)
{
    peer_destroy(peer);
    wire_destroy(&wire);
}

TestSuite(consumers, .init = create, .fini = destroy);

static void feed(void)
{
    peer_feed_wire(peer, &wire);
}

static bool same(amqp_bytes_t found, const char *expected)
{
    return found.len == strlen(expected) && memcmp(found.bytes, expected, found.len) == 0;
}

Test(consumers, a_consumer_is_cancelled_by_its_tag)
{
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    cr_assert_eq(session_cancel(peer->session, channel), 0);
    amqp_basic_cancel_t *sent = peer_expect_method(peer, channel, AMQP_BASIC_CANCEL_METHOD);
    cr_assert(same(sent->consumer_tag, peer_consumer_tag(channel)));
    cr_assert_not(sent->nowait);
    wire_cancel_ok(&wire, channel, peer_consumer_tag(channel));
    feed();
    peer_expect_event(peer, "replied %u consumer-cancelled", channel);
    peer_expect_no_event(peer);
}

Test(consumers, deliveries_go_on_until_cancel_ok)
{
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    cr_assert_eq(session_cancel(peer->session, channel), 0);
    peer_deliver(peer, channel, 1, NULL, "late", 4);
    peer_expect_event(peer, "delivered");
    wire_cancel_ok(&wire, channel, peer_consumer_tag(channel));
    feed();
    peer_expect_event(peer, "replied");
}

Test(consumers, after_cancel_ok_one_can_consume_again)
{
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    cr_assert_eq(session_cancel(peer->session, channel), 0);
    wire_cancel_ok(&wire, channel, peer_consumer_tag(channel));
    feed();
    peer_expect_event(peer, "replied");
    cr_assert_eq(peer_consume(peer, channel, PEER_NO_LIMIT), 0);
    wire_consume_ok(&wire, channel, peer_consumer_tag(channel));
    feed();
    peer_expect_event(peer, "replied");
    peer_deliver(peer, channel, 1, NULL, "again", 5);
    peer_expect_event(peer, "delivered");
}

Test(consumers, there_is_one_consumer_on_each)
{
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    cr_assert_eq(peer_consume(peer, channel, PEER_NO_LIMIT), WHIPPET_E_INVALID);
    peer_expect_nothing_sent(peer);
}

Test(consumers, what_does_not_consume_cannot_be_cancelled)
{
    uint16_t channel = peer_open_channel(peer);
    cr_assert_eq(session_cancel(peer->session, channel), WHIPPET_E_INVALID);
    peer_expect_nothing_sent(peer);
}

Test(consumers, the_brokers_cancel_is_answered)
{
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    wire_cancel(&wire, channel, peer_consumer_tag(channel), false);
    feed();
    peer_expect_event(peer, "consumer-cancelled %u", channel);
    peer_expect_no_event(peer);
    amqp_basic_cancel_ok_t *sent = peer_expect_method(peer, channel, AMQP_BASIC_CANCEL_OK_METHOD);
    cr_assert(same(sent->consumer_tag, peer_consumer_tag(channel)));
    peer_expect_nothing_sent(peer);
    cr_assert_eq(peer_consume(peer, channel, PEER_NO_LIMIT), 0, "one can consume again");
}

Test(consumers, the_brokers_cancel_is_not_answered_where_it_does_not_wait)
{
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    wire_cancel(&wire, channel, peer_consumer_tag(channel), true);
    feed();
    peer_expect_event(peer, "consumer-cancelled");
    peer_expect_nothing_sent(peer);
}

/* The queue is deleted just as we cancel: RabbitMQ answers our cancel all the same. */
Test(consumers, cancels_that_cross_are_no_violation)
{
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    cr_assert_eq(session_cancel(peer->session, channel), 0);
    wire_cancel(&wire, channel, peer_consumer_tag(channel), true);
    wire_cancel_ok(&wire, channel, peer_consumer_tag(channel));
    feed();
    cr_assert_eq(session_state(peer->session), SESSION_OPEN, "%s", peer_log(peer));
    cr_assert_eq(peer_count_events(peer, "replied 1 consumer-cancelled"), 1, "the reply is owed: %s",
                 peer_log(peer));
}

Test(consumers, the_brokers_cancel_of_another_consumer_is_not_ours)
{
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    wire_cancel(&wire, channel, "another", false);
    feed();
    peer_expect_no_event(peer);
    peer_deliver(peer, channel, 1, NULL, "x", 1);
    peer_expect_event(peer, "delivered");
}

Test(consumers, a_cancel_for_a_consumer_we_do_not_have_makes_no_event)
{
    uint16_t channel = peer_open_channel(peer);
    wire_cancel(&wire, channel, "who", false);
    feed();
    cr_assert_eq(peer_count_events(peer, "consumer-cancelled"), 0, "%s", peer_log(peer));
}
