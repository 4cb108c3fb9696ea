/* Channels: opened, used, and closed by either side. */
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

TestSuite(channels, .init = create, .fini = destroy);

static void feed(void)
{
    peer_feed_wire(peer, &wire);
}

static void restart(unsigned channel_max)
{
    peer_destroy(peer);
    peer = peer_create();
    peer->tune_channel_max = channel_max;
    peer_open(peer);
}

/* --- Requests and their replies -------------------------------------------------------------------------*/

static const struct exchange_declaration exchange = {.exchange = "events", .type = "topic", .durable = true};
static const struct queue_declaration queue = {.queue = "orders", .durable = true};

static int request_exchange(uint16_t channel)
{
    return session_exchange_declare(peer->session, channel, &exchange);
}

static int request_queue(uint16_t channel)
{
    return session_queue_declare(peer->session, channel, &queue);
}

static int request_bind(uint16_t channel)
{
    return session_queue_bind(peer->session, channel, "orders", "events", "order.*", (whippet_bytes){0});
}

static int request_unbind(uint16_t channel)
{
    return session_queue_unbind(peer->session, channel, "orders", "events", "order.*", (whippet_bytes){0});
}

static int request_qos(uint16_t channel)
{
    return session_qos(peer->session, channel, 500);
}

static int request_consume(uint16_t channel)
{
    return peer_consume(peer, channel, PEER_NO_LIMIT);
}

static int request_confirms(uint16_t channel)
{
    return session_confirm_select(peer->session, channel);
}

static int request_close(uint16_t channel)
{
    return session_channel_close(peer->session, channel, peer->now);
}

/* Everything that has a reply and can be asked of a channel that is merely open. */
static const struct {
    int (*request)(uint16_t channel);
    amqp_method_number_t reply;
    const char *name;
} requests[] = {
    {request_exchange, AMQP_EXCHANGE_DECLARE_OK_METHOD, "exchange-declared"},
    {request_queue, AMQP_QUEUE_DECLARE_OK_METHOD, "queue-declared"},
    {request_bind, AMQP_QUEUE_BIND_OK_METHOD, "queue-bound"},
    {request_unbind, AMQP_QUEUE_UNBIND_OK_METHOD, "queue-unbound"},
    {request_qos, AMQP_BASIC_QOS_OK_METHOD, "qos-set"},
    {request_consume, AMQP_BASIC_CONSUME_OK_METHOD, "consuming"},
    {request_confirms, AMQP_CONFIRM_SELECT_OK_METHOD, "confirming"},
    {request_close, AMQP_CHANNEL_CLOSE_OK_METHOD, "closed"},
};
enum {
    REQUESTS = sizeof requests / sizeof *requests
};

/* The reply with empty fields; consume-ok with the right consumer tag. */
static void write_reply(uint16_t channel, amqp_method_number_t id)
{
    static const char zeros[512];
    if (id == AMQP_BASIC_CONSUME_OK_METHOD)
        wire_consume_ok(&wire, channel, peer_consumer_tag(channel));
    else
        wire_method(&wire, channel, id, zeros);
}

Test(channels, each_request_gets_its_reply_as_an_event)
{
    for (int i = 0; i < REQUESTS; i++) {
        uint16_t channel = peer_open_channel(peer);
        cr_assert_eq(requests[i].request(channel), 0, "%s", requests[i].name);
        cr_assert_eq(peer_count_sent(peer, WIRE_METHOD), 1, "%s", requests[i].name);
        peer_expect_no_event(peer);
        write_reply(channel, requests[i].reply);
        feed();
        peer_expect_event(peer, "replied %u %s", channel, requests[i].name);
        peer_expect_no_event(peer);
        peer_expect_nothing_sent(peer);
    }
}

Test(channels, two_requests_at_once_are_refused)
{
    for (int i = 0; i < REQUESTS; i++)
        for (int j = 0; j < REQUESTS - 1; j++) {
            restart(SESSION_CHANNEL_MAX);
            uint16_t channel = peer_open_channel(peer);
            cr_assert_eq(requests[i].request(channel), 0);
            peer_skip_sent(peer);
            cr_assert_neq(requests[j].request(channel), 0, "%s while %s is awaited", requests[j].name,
                          requests[i].name);
            peer_expect_nothing_sent(peer);
            write_reply(channel, requests[i].reply);
            feed();
            peer_expect_event(peer, "replied");
        }
}

Test(channels, a_request_may_be_under_way_on_each_channel)
{
    uint16_t first = peer_open_channel(peer), second = peer_open_channel(peer);
    cr_assert_neq(first, second);
    cr_assert_eq(request_queue(first), 0);
    cr_assert_eq(request_queue(second), 0);
    wire_declare_ok(&wire, second, "b", 2, 20);
    wire_declare_ok(&wire, first, "a", 1, 10);
    feed();
    peer_expect_event(peer, "replied %u queue-declared queue=b messages=2 consumers=20", second);
    peer_expect_event(peer, "replied %u queue-declared queue=a messages=1 consumers=10", first);
}

static void ask_on(struct peer *asking, const char *event)
{
    uint16_t channel;
    if (strcmp(event, "opened") == 0)
        cr_assert_eq(session_channel_open(asking->session, &channel), 0);
    else if (strcmp(event, "replied 1 opened") == 0)
        cr_assert_eq(session_queue_declare(asking->session, 1, &queue), 0);
    else if (strncmp(event, "replied 1 queue-declared", 24) == 0)
        cr_assert_eq(session_qos(asking->session, 1, 10), 0);
    else if (strcmp(event, "replied 1 qos-set") == 0)
        cr_assert_eq(peer_consume(asking, 1, PEER_NO_LIMIT), 0);
    else if (strcmp(event, "replied 1 consuming") == 0)
        cr_assert_eq(session_channel_close(asking->session, 1, asking->now), 0);
}

Test(channels, a_request_can_follow_from_within_the_reply_to_the_one_before)
{
    peer_destroy(peer);
    peer = peer_create();
    peer->react = ask_on;
    peer_open(peer);
    peer_expect_method(peer, 1, AMQP_CHANNEL_OPEN_METHOD);
    wire_channel_open_ok(&wire, 1);
    feed();
    peer_expect_method(peer, 1, AMQP_QUEUE_DECLARE_METHOD);
    wire_declare_ok(&wire, 1, "orders", 0, 0);
    feed();
    peer_expect_method(peer, 1, AMQP_BASIC_QOS_METHOD);
    write_reply(1, AMQP_BASIC_QOS_OK_METHOD);
    feed();
    peer_expect_method(peer, 1, AMQP_BASIC_CONSUME_METHOD);
    write_reply(1, AMQP_BASIC_CONSUME_OK_METHOD);
    feed();
    peer_expect_method(peer, 1, AMQP_CHANNEL_CLOSE_METHOD);
    write_reply(1, AMQP_CHANNEL_CLOSE_OK_METHOD);
    feed();
    cr_assert_eq(peer_count_events(peer, "replied 1 closed"), 1, "%s", peer_log(peer));
}

Test(channels, no_request_is_taken_before_the_channel_is_open)
{
    for (int i = 0; i < REQUESTS - 1; i++) {
        uint16_t channel;
        cr_assert_eq(session_channel_open(peer->session, &channel), 0);
        peer_skip_sent(peer);
        cr_assert_neq(requests[i].request(channel), 0, "%s", requests[i].name);
        peer_expect_nothing_sent(peer);
    }
}

static void expect_all_refused_as_closed(uint16_t channel)
{
    for (int i = 0; i < REQUESTS; i++)
        cr_assert_eq(requests[i].request(channel), WHIPPET_E_CLOSED, "%s on channel %u", requests[i].name,
                     channel);
    cr_assert_eq(session_cancel(peer->session, channel), WHIPPET_E_CLOSED);
    cr_assert_eq(session_ack(peer->session, channel, 1, false), WHIPPET_E_CLOSED);
    cr_assert_eq(session_nack(peer->session, channel, 1, false, true), WHIPPET_E_CLOSED);
    cr_assert_eq(session_publish(peer->session, channel, "", "q", bytes_of("\0\0", 2), (whippet_bytes){0}),
                 WHIPPET_E_CLOSED);
    cr_assert_eq(session_publish_begin(peer->session, channel, "", "q", bytes_of("\0\0", 2), 5),
                 WHIPPET_E_CLOSED);
    cr_assert_eq(session_publish_part(peer->session, channel, bytes_of_text("x")), WHIPPET_E_CLOSED);
    peer_expect_nothing_sent(peer);
}

Test(channels, requests_on_a_channel_that_was_never_opened_are_refused)
{
    expect_all_refused_as_closed(0);
    expect_all_refused_as_closed(1);
    expect_all_refused_as_closed(2047);
    expect_all_refused_as_closed(2048);
    expect_all_refused_as_closed(65535);
}

/* --- Numbers --------------------------------------------------------------------------------------------*/

Test(channels, there_are_as_many_as_were_negotiated)
{
    uint16_t channel;
    restart(3);
    for (int i = 1; i <= 3; i++)
        cr_assert_leq(peer_open_channel(peer), 3);
    cr_assert_eq(session_channel_open(peer->session, &channel), WHIPPET_E_LIMIT);
    peer_expect_nothing_sent(peer);
}

Test(channels, all_of_2047_can_be_open)
{
    static bool seen[SESSION_CHANNEL_MAX + 1];
    uint16_t channel;
    for (int i = 0; i < SESSION_CHANNEL_MAX; i++) {
        channel = peer_open_channel(peer);
        cr_assert(channel >= 1 && channel <= SESSION_CHANNEL_MAX, "%u", channel);
        cr_assert_not(seen[channel], "%u twice", channel);
        seen[channel] = true;
    }
    cr_assert_eq(session_channel_open(peer->session, &channel), WHIPPET_E_LIMIT);
}

Test(channels, a_number_is_free_again_after_close_ok_and_not_before)
{
    uint16_t channel;
    restart(1);
    cr_assert_eq(peer_open_channel(peer), 1);
    cr_assert_eq(request_close(1), 0);
    amqp_channel_close_t *sent = peer_expect_method(peer, 1, AMQP_CHANNEL_CLOSE_METHOD);
    cr_assert_eq(sent->reply_code, 200, "%u", sent->reply_code);
    cr_assert_eq(session_channel_open(peer->session, &channel), WHIPPET_E_LIMIT);
    peer_expect_nothing_sent(peer);
    wire_channel_close_ok(&wire, 1);
    feed();
    peer_expect_event(peer, "replied 1 closed");
    cr_assert_eq(peer_open_channel(peer), 1);
}

Test(channels, a_number_that_the_broker_closed_is_free_again)
{
    restart(1);
    cr_assert_eq(peer_open_channel(peer), 1);
    wire_channel_close(&wire, 1, 404, "NOT_FOUND");
    feed();
    peer_expect_event(peer, "channel-closed 1");
    peer_expect_method(peer, 1, AMQP_CHANNEL_CLOSE_OK_METHOD);
    cr_assert_eq(peer_open_channel(peer), 1);
    cr_assert_eq(request_queue(1), 0, "nothing of its former life is left");
}

/* --- Closed by the broker -------------------------------------------------------------------------------*/

Test(channels, the_brokers_errors_are_told_with_code_and_text)
{
    static const struct {
        int code;
        const char *text;
    } errors[] = {
        {403, "ACCESS_REFUSED - access to queue 'orders' in vhost '/' refused for user 'alice'"},
        {404, "NOT_FOUND - no queue 'orders' in vhost '/'"},
        {405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'orders' in vhost '/'"},
        {406, "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'orders'"},
    };
    for (size_t i = 0; i < 4; i++) {
        uint16_t channel = peer_open_channel(peer);
        cr_assert_eq(request_queue(channel), 0);
        peer_skip_sent(peer);
        wire_channel_close(&wire, channel, (unsigned)errors[i].code, errors[i].text);
        feed();
        peer_expect_event(peer, "channel-closed %u code=%d text=%s", channel, errors[i].code, errors[i].text);
        peer_expect_no_event(peer);
        peer_expect_method(peer, channel, AMQP_CHANNEL_CLOSE_OK_METHOD);
        expect_all_refused_as_closed(channel);
        cr_assert_eq(session_state(peer->session), SESSION_OPEN);
    }
}

Test(channels, one_that_the_broker_closes_leaves_the_others_alone)
{
    uint16_t first = peer_open_consumer(peer, PEER_NO_LIMIT),
             second = peer_open_consumer(peer, PEER_NO_LIMIT);
    wire_channel_close(&wire, first, 406, "PRECONDITION_FAILED - unknown delivery tag 7");
    feed();
    peer_expect_event(peer, "channel-closed");
    peer_deliver(peer, second, 1, NULL, "x", 1);
    peer_expect_event(peer, "delivered");
}

Test(channels, the_broker_may_refuse_to_open_one)
{
    uint16_t channel;
    cr_assert_eq(session_channel_open(peer->session, &channel), 0);
    peer_skip_sent(peer);
    wire_channel_close(&wire, channel, 403, "ACCESS_REFUSED");
    feed();
    peer_expect_event(peer, "channel-closed");
    peer_expect_method(peer, channel, AMQP_CHANNEL_CLOSE_OK_METHOD);
    cr_assert_eq(session_state(peer->session), SESSION_OPEN);
}

/* RabbitMQ goes on delivering on a channel that it has closed until it has our close-ok
 * (rabbitmq/rabbitmq-server#13384). */
static void write_late(uint16_t channel)
{
    static const char large[PEER_FRAME_MAX];
    wire_deliver(&wire, channel, peer_consumer_tag(channel), 7);
    wire_content(&wire, channel, NULL, "some body", 9, PEER_FRAME_MAX);
    wire_deliver(&wire, channel, peer_consumer_tag(channel), 8);
    wire_content(&wire, channel, NULL, "", 0, PEER_FRAME_MAX);
    wire_deliver(&wire, channel, peer_consumer_tag(channel), 9);
    wire_content(&wire, channel, NULL, large, sizeof large, PEER_FRAME_MAX);
    wire_ack(&wire, channel, 1, false);
}

Test(channels, what_comes_late_on_one_that_the_broker_closed_is_dropped)
{
    uint16_t first = peer_open_consumer(peer, PEER_NO_LIMIT),
             second = peer_open_consumer(peer, PEER_NO_LIMIT);
    wire_channel_close(&wire, first, 406, "PRECONDITION_FAILED - delivery acknowledgement timed out");
    write_late(first);
    feed();
    peer_expect_event(peer, "channel-closed %u", first);
    peer_expect_no_event(peer);
    peer_expect_method(peer, first, AMQP_CHANNEL_CLOSE_OK_METHOD);
    peer_expect_nothing_sent(peer);
    peer_deliver(peer, second, 1, NULL, "x", 1);
    peer_expect_event(peer, "delivered %u", second);
}

Test(channels, what_comes_late_does_not_disturb_the_next_life_of_the_number)
{
    uint16_t channel;
    restart(1);
    peer_open_consumer(peer, PEER_NO_LIMIT);
    wire_channel_close(&wire, 1, 406, "PRECONDITION_FAILED");
    feed();
    peer_expect_event(peer, "channel-closed 1");
    peer_skip_sent(peer);
    cr_assert_eq(session_channel_open(peer->session, &channel), 0);
    cr_assert_eq(channel, 1);
    peer_skip_sent(peer);
    write_late(1);
    feed();
    peer_expect_no_event(peer);
    wire_channel_open_ok(&wire, 1);
    feed();
    peer_expect_event(peer, "replied 1 opened");
    cr_assert_eq(peer_consume(peer, 1, PEER_NO_LIMIT), 0);
    wire_consume_ok(&wire, 1, peer_consumer_tag(1));
    feed();
    peer_expect_event(peer, "replied 1 consuming");
    peer_deliver(peer, 1, 1, NULL, "x", 1);
    peer_expect_event(peer, "delivered 1 tag=1");
}

Test(channels, what_comes_late_after_closes_that_crossed_is_dropped)
{
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    cr_assert_eq(request_close(channel), 0);
    wire_channel_close(&wire, channel, 406, "PRECONDITION_FAILED");
    wire_channel_close_ok(&wire, channel);
    write_late(channel);
    feed();
    peer_expect_event(peer, "replied %u closed", channel);
    peer_expect_no_event(peer);
    cr_assert_eq(session_state(peer->session), SESSION_OPEN, "%s", peer_log(peer));
}

/* Who served the old one may still write when the new one has its consumer. */
Test(channels, a_number_that_the_broker_closed_is_used_again_as_late_as_can_be)
{
    enum {
        NUMBERS = 3
    };
    unsigned used[2 * NUMBERS];
    restart(NUMBERS);
    for (int i = 0; i < 2 * NUMBERS; i++) {
        used[i] = peer_open_channel(peer);
        wire_channel_close(&wire, used[i], 404, "NOT_FOUND");
        feed();
        peer_expect_event(peer, "channel-closed %u", used[i]);
        peer_skip_sent(peer);
        for (int earlier = i > NUMBERS - 1 ? i - NUMBERS + 1 : 0; earlier < i; earlier++)
            cr_assert_neq(used[i], used[earlier], "%u for the %dth and the %dth", used[i], earlier, i);
    }
}

Test(channels, what_comes_late_is_no_violation_for_long_only)
{
    restart(1);
    cr_assert_eq(peer_open_channel(peer), 1);
    wire_channel_close(&wire, 1, 404, "NOT_FOUND");
    feed();
    peer_expect_event(peer, "channel-closed 1");
    peer_skip_sent(peer);
    cr_assert_eq(peer_open_channel(peer), 1);
    write_late(1);
    feed();
    peer_expect_violation(peer, 503, 0, NULL);
}

/* Both sides close: the broker answers our close, though it has sent its own (section 1.5.2.5). */
Test(channels, closes_that_cross_end_it_once)
{
    uint16_t channel;
    restart(1);
    peer_open_channel(peer);
    cr_assert_eq(request_close(1), 0);
    peer_skip_sent(peer);
    wire_channel_close(&wire, 1, 404, "NOT_FOUND");
    feed();
    peer_expect_method(peer, 1, AMQP_CHANNEL_CLOSE_OK_METHOD);
    cr_assert_eq(session_channel_open(peer->session, &channel), WHIPPET_E_LIMIT,
                 "the broker's close-ok for our close is still to come");
    wire_channel_close_ok(&wire, 1);
    feed();
    cr_assert_eq(session_state(peer->session), SESSION_OPEN, "%s", peer_log(peer));
    cr_assert_eq(peer_count_events(peer, "channel-closed 1") + peer_count_events(peer, "replied 1 closed"), 1,
                 "%s", peer_log(peer));
    peer_forget_log(peer);
    cr_assert_eq(peer_open_channel(peer), 1);
}

Test(channels, what_arrives_while_closing_is_dropped)
{
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    cr_assert_eq(request_close(channel), 0);
    peer_skip_sent(peer);
    peer_deliver(peer, channel, 1, NULL, "some body", 9);
    peer_deliver(peer, channel, 2, NULL, "", 0);
    wire_ack(&wire, channel, 1, false);
    wire_cancel(&wire, channel, peer_consumer_tag(channel), false);
    wire_declare_ok(&wire, channel, "late", 0, 0);
    wire_return(&wire, channel, "e", "k");
    wire_content(&wire, channel, NULL, "body", 4, PEER_FRAME_MAX);
    feed();
    peer_expect_no_event(peer);
    cr_assert_eq(session_state(peer->session), SESSION_OPEN);
    wire_channel_close_ok(&wire, channel);
    feed();
    peer_expect_event(peer, "replied");
    peer_expect_no_event(peer);
}

Test(channels, a_body_cut_off_by_our_close_does_not_disturb_the_next_life_of_the_number)
{
    restart(1);
    peer_open_consumer(peer, PEER_NO_LIMIT);
    wire_deliver(&wire, 1, peer_consumer_tag(1), 1);
    wire_header(&wire, 1, 100, NULL, 0);
    wire_body(&wire, 1, "half", 4);
    feed();
    cr_assert_eq(request_close(1), 0);
    peer_skip_sent(peer);
    wire_channel_close_ok(&wire, 1);
    feed();
    peer_expect_event(peer, "replied 1 closed");
    peer_open_consumer(peer, PEER_NO_LIMIT);
    peer_deliver(peer, 1, 1, NULL, "whole", 5);
    peer_expect_event(peer, "delivered 1 tag=1");
}

/* --- Replies that were not asked for --------------------------------------------------------------------*/

static const amqp_method_number_t replies[] = {
    AMQP_CHANNEL_OPEN_OK_METHOD, AMQP_EXCHANGE_DECLARE_OK_METHOD, AMQP_QUEUE_DECLARE_OK_METHOD,
    AMQP_QUEUE_BIND_OK_METHOD,   AMQP_BASIC_QOS_OK_METHOD,        AMQP_BASIC_CONSUME_OK_METHOD,
    AMQP_BASIC_CANCEL_OK_METHOD, AMQP_CONFIRM_SELECT_OK_METHOD,   AMQP_CHANNEL_CLOSE_OK_METHOD,
};
enum {
    REPLIES = sizeof replies / sizeof *replies
};

Test(channels, a_reply_to_no_request_is_a_violation)
{
    for (int i = 0; i < REPLIES; i++) {
        restart(SESSION_CHANNEL_MAX);
        uint16_t channel = peer_open_channel(peer);
        write_reply(channel, replies[i]);
        feed();
        peer_expect_violation(peer, 503, 505, NULL);
    }
}

Test(channels, a_reply_to_another_request_is_a_violation)
{
    for (int i = 0; i < REQUESTS - 1; i++)
        for (int j = 0; j < REPLIES; j++) {
            if (replies[j] == requests[i].reply)
                continue;
            restart(SESSION_CHANNEL_MAX);
            uint16_t channel = peer_open_channel(peer);
            cr_assert_eq(requests[i].request(channel), 0);
            write_reply(channel, replies[j]);
            feed();
            cr_assert(peer->closed_events == 1 || session_state(peer->session) == SESSION_CLOSING,
                      "%s in reply to %s: %s", amqp_method_name(replies[j]), requests[i].name,
                      peer_log(peer));
            peer_expect_violation(peer, 503, 505, NULL);
        }
}

Test(channels, anything_on_a_channel_that_is_not_open_is_a_channel_error)
{
    static const unsigned numbers[] = {1, 2, 2047, 2048, 65535};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        for (int j = 0; j < REPLIES; j++) {
            restart(SESSION_CHANNEL_MAX);
            write_reply((uint16_t)numbers[i], replies[j]);
            feed();
            peer_expect_violation(peer, 504, 503, NULL);
        }
}

Test(channels, a_reply_that_is_cut_short_does_no_harm)
{
    for (int i = 0; i < REQUESTS; i++) {
        restart(SESSION_CHANNEL_MAX);
        uint16_t channel = peer_open_channel(peer);
        uint8_t id[4] = {(uint8_t)(requests[i].reply >> 24), (uint8_t)(requests[i].reply >> 16),
                         (uint8_t)(requests[i].reply >> 8), (uint8_t)requests[i].reply};
        cr_assert_eq(requests[i].request(channel), 0);
        wire_frame(&wire, WIRE_METHOD, channel, id, sizeof id);
        feed();
        if (requests[i].reply == AMQP_QUEUE_DECLARE_OK_METHOD)
            peer_expect_violation(peer, 502, 0, NULL);
    }
}

Test(channels, what_only_a_client_may_ask_is_a_violation)
{
    static const char zeros[512];
    static const amqp_method_number_t methods[] = {
        AMQP_CHANNEL_OPEN_METHOD,   AMQP_QUEUE_DECLARE_METHOD, AMQP_QUEUE_DELETE_METHOD,
        AMQP_BASIC_QOS_METHOD,      AMQP_BASIC_CONSUME_METHOD, AMQP_BASIC_PUBLISH_METHOD,
        AMQP_BASIC_GET_METHOD,      AMQP_BASIC_REJECT_METHOD,  AMQP_TX_SELECT_METHOD,
        AMQP_CONFIRM_SELECT_METHOD, AMQP_BASIC_RECOVER_METHOD,
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        restart(SESSION_CHANNEL_MAX);
        uint16_t channel = peer_open_channel(peer);
        wire_method(&wire, channel, methods[i], zeros);
        feed();
        peer_expect_violation(peer, 503, 540, NULL);
    }
}

Test(channels, what_we_never_ask_for_is_a_violation)
{
    static const char zeros[512];
    static const amqp_method_number_t methods[] = {
        AMQP_BASIC_GET_OK_METHOD,   AMQP_BASIC_GET_EMPTY_METHOD,    AMQP_TX_SELECT_OK_METHOD,
        AMQP_QUEUE_PURGE_OK_METHOD, AMQP_EXCHANGE_DELETE_OK_METHOD, AMQP_BASIC_RECOVER_OK_METHOD,
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        restart(SESSION_CHANNEL_MAX);
        uint16_t channel = peer_open_channel(peer);
        wire_method(&wire, channel, methods[i], zeros);
        feed();
        peer_expect_violation(peer, 503, 540, NULL);
    }
}

/* "The peer MUST respond with a flow-ok" (section 1.5.2.3); a client without it may say that it is not
 * implemented. */
Test(channels, flow_is_answered_or_said_to_be_missing)
{
    uint16_t channel = peer_open_channel(peer);
    wire_method(&wire, channel, AMQP_CHANNEL_FLOW_METHOD, &(amqp_channel_flow_t){.active = 0});
    feed();
    if (session_state(peer->session) == SESSION_OPEN) {
        amqp_channel_flow_ok_t *sent = peer_expect_method(peer, channel, AMQP_CHANNEL_FLOW_OK_METHOD);
        cr_assert_not(sent->active);
    } else {
        peer_expect_violation(peer, 540, 503, "flow");
    }
}

/* Section 4.2.3. */
Test(channels, a_connection_method_on_a_channel_is_a_violation)
{
    uint16_t channel = peer_open_channel(peer);
    amqp_connection_blocked_t blocked = {.reason = amqp_cstring_bytes("low on memory")};
    wire_method(&wire, channel, AMQP_CONNECTION_BLOCKED_METHOD, &blocked);
    feed();
    peer_expect_violation(peer, 503, 0, NULL);
}

Test(channels, a_close_of_the_connection_on_a_channel_is_a_violation)
{
    uint16_t channel = peer_open_channel(peer);
    wire_method(&wire, channel, AMQP_CONNECTION_CLOSE_METHOD, &(amqp_connection_close_t){.reply_code = 320});
    feed();
    peer_expect_violation(peer, 503, 0, NULL);
}

Test(channels, a_channel_method_on_channel_0_is_a_violation)
{
    wire_channel_open_ok(&wire, 0);
    feed();
    peer_expect_violation(peer, 503, 504, NULL);
}
