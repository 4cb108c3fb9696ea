/* Memory that runs out at each allocation in turn: no crash, no leak, no half frame; a request that says so,
 * or the end. */
#include "../support/peer.h"
#include <base/memory.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum {
    BODY = 3 * PEER_FRAME_MAX
};

static const whippet_bytes no_properties = {.data = "\0\0", .len = 2};
static uint8_t body[BODY + 1];

/* The failure: allocation number `failing` (from 0), or that and every later one. */
static size_t allocations;
static size_t failing;
static bool for_good;
static bool failed;

static bool permit(size_t size)
{
    (void)size;
    size_t number = allocations++;
    bool allowed = for_good ? number < failing : number != failing;
    failed |= !allowed;
    return allowed;
}

static void allow_everything(void)
{
    memory_permit = NULL;
}

TestSuite(memory, .fini = allow_everything);

/* --- A conversation in which everything happens ---------------------------------------------------------*/

/* Asks twice: what failed for a lack of memory must go through once there is some. False: the session has
 * ended. */
static bool ask(struct peer *peer, int (*request)(struct peer *, uint16_t), uint16_t channel)
{
    size_t queued = buffer_length(session_output(peer->session));
    int result = request(peer, channel);
    if (result == WHIPPET_E_MEMORY) {
        cr_assert(failed, "out of memory, though none was refused");
        cr_assert_eq(buffer_length(session_output(peer->session)), queued, "half a request was queued");
        result = request(peer, channel);
    }
    if (peer->closed_events > 0)
        return false;
    if (!for_good)
        cr_assert_eq(result, 0, "the second time: %d", result);
    return result == 0;
}

static int open_channel(struct peer *peer, uint16_t expected)
{
    uint16_t channel = 0;
    int result = session_channel_open(peer->session, &channel);
    if (result == 0)
        cr_assert_eq(channel, expected, "channel %u instead of %u", channel, expected);
    return result;
}

static int declare_exchange(struct peer *peer, uint16_t channel)
{
    return session_exchange_declare(peer->session, channel,
                                    &(struct exchange_declaration){.exchange = "e", .type = "topic"});
}

static int declare_queue(struct peer *peer, uint16_t channel)
{
    return session_queue_declare(
        peer->session, channel,
        &(struct queue_declaration){.queue = "q", .arguments = bytes_of("\x01xS\x00\x00\x00\x06quorum", 13)});
}

static int bind_queue(struct peer *peer, uint16_t channel)
{
    return session_queue_bind(peer->session, channel, "q", "e", "k", (whippet_bytes){0});
}

static int unbind_queue(struct peer *peer, uint16_t channel)
{
    return session_queue_unbind(peer->session, channel, "q", "e", "k", (whippet_bytes){0});
}

static int set_qos(struct peer *peer, uint16_t channel)
{
    return session_qos(peer->session, channel, 100);
}

static int consume(struct peer *peer, uint16_t channel)
{
    return peer_consume(peer, channel, BODY);
}

static int confirm(struct peer *peer, uint16_t channel)
{
    return session_confirm_select(peer->session, channel);
}

static int publish(struct peer *peer, uint16_t channel)
{
    return session_publish(peer->session, channel, "e", "k", no_properties, bytes_of(body, BODY));
}

static int publish_begin(struct peer *peer, uint16_t channel)
{
    return session_publish_begin(peer->session, channel, "e", "k", no_properties, BODY);
}

static int publish_part(struct peer *peer, uint16_t channel)
{
    return session_publish_part(peer->session, channel, bytes_of(body, BODY));
}

static int ack(struct peer *peer, uint16_t channel)
{
    return session_ack(peer->session, channel, 1, false);
}

static int cancel(struct peer *peer, uint16_t channel)
{
    return session_cancel(peer->session, channel);
}

static int close_channel(struct peer *peer, uint16_t channel)
{
    return session_channel_close(peer->session, channel, peer->now);
}

static void write_nothing(struct wire *wire, uint16_t channel)
{
    (void)wire;
    (void)channel;
}

static void write_open_ok(struct wire *wire, uint16_t channel)
{
    wire_channel_open_ok(wire, channel);
}

static void write_exchange_ok(struct wire *wire, uint16_t channel)
{
    wire_method(wire, channel, AMQP_EXCHANGE_DECLARE_OK_METHOD, &(amqp_exchange_declare_ok_t){0});
}

static void write_queue_ok(struct wire *wire, uint16_t channel)
{
    wire_declare_ok(wire, channel, "q", 1, 2);
}

static void write_bind_ok(struct wire *wire, uint16_t channel)
{
    wire_method(wire, channel, AMQP_QUEUE_BIND_OK_METHOD, &(amqp_queue_bind_ok_t){0});
}

static void write_unbind_ok(struct wire *wire, uint16_t channel)
{
    wire_method(wire, channel, AMQP_QUEUE_UNBIND_OK_METHOD, &(amqp_queue_unbind_ok_t){0});
}

static void write_qos_ok(struct wire *wire, uint16_t channel)
{
    wire_method(wire, channel, AMQP_BASIC_QOS_OK_METHOD, &(amqp_basic_qos_ok_t){0});
}

/* Consume-ok, a delivery, an oversized one, and what else the broker may send to a consumer. */
static void write_deliveries(struct wire *wire, uint16_t channel)
{
    amqp_connection_blocked_t blocked = {.reason = amqp_cstring_bytes("low on memory")};
    wire_consume_ok(wire, channel, peer_consumer_tag(channel));
    wire_deliver(wire, channel, peer_consumer_tag(channel), 1);
    wire_content(wire, channel, NULL, body, BODY, PEER_FRAME_MAX);
    wire_deliver(wire, channel, peer_consumer_tag(channel), 2);
    wire_content(wire, channel, NULL, body, BODY + 1, PEER_FRAME_MAX);
    wire_method(wire, 0, AMQP_CONNECTION_BLOCKED_METHOD, &blocked);
    wire_method(wire, 0, AMQP_CONNECTION_UNBLOCKED_METHOD, &(amqp_connection_unblocked_t){0});
}

static void write_select_ok(struct wire *wire, uint16_t channel)
{
    wire_method(wire, channel, AMQP_CONFIRM_SELECT_OK_METHOD, &(amqp_confirm_select_ok_t){0});
}

static void write_return(struct wire *wire, uint16_t channel)
{
    wire_return(wire, channel, "e", "k");
    wire_content(wire, channel, NULL, body, BODY, PEER_FRAME_MAX);
    wire_ack(wire, channel, 1, false);
}

static void write_cancel_ok(struct wire *wire, uint16_t channel)
{
    wire_cancel_ok(wire, channel, peer_consumer_tag(channel));
}

static void write_close_ok(struct wire *wire, uint16_t channel)
{
    wire_channel_close_ok(wire, channel);
}

static void write_close(struct wire *wire, uint16_t channel)
{
    wire_channel_close(wire, channel, 404, "NOT_FOUND");
}

static void write_brokers_cancel(struct wire *wire, uint16_t channel)
{
    wire_consume_ok(wire, channel, peer_consumer_tag(channel));
    wire_cancel(wire, channel, peer_consumer_tag(channel), false);
}

/* Channel 1 consumes, channel 2 publishes. */
static const struct step {
    int (*request)(struct peer *peer, uint16_t channel);
    uint16_t channel;
    void (*answer)(struct wire *wire, uint16_t channel);
} steps[] = {
    {open_channel, 1, write_open_ok},   {declare_exchange, 1, write_exchange_ok},
    {declare_queue, 1, write_queue_ok}, {bind_queue, 1, write_bind_ok},
    {unbind_queue, 1, write_unbind_ok}, {set_qos, 1, write_qos_ok},
    {consume, 1, write_deliveries},     {ack, 1, write_nothing},
    {cancel, 1, write_cancel_ok},       {open_channel, 2, write_open_ok},
    {confirm, 2, write_select_ok},      {publish, 2, write_return},
    {publish_begin, 2, write_nothing},  {publish_part, 2, write_nothing},
    {consume, 1, write_brokers_cancel}, {close_channel, 1, write_close_ok},
    {declare_queue, 2, write_close},
};

/* The frames that were sent must be whole, whatever failed. */
static void check_output(struct peer *peer)
{
    if (!peer->protocol_header_read && buffer_length(session_output(peer->session)) >= 8)
        peer_expect_protocol_header(peer);
    if (peer->protocol_header_read)
        peer_skip_sent(peer);
}

static void feed(struct peer *peer, struct wire *wire)
{
    peer_feed_wire(peer, wire);
    check_output(peer);
}

static void talk(struct peer *peer)
{
    struct wire wire = {0};
    session_start(peer->session, peer->now);
    check_output(peer);
    wire_start(&wire, "PLAIN");
    wire_tune(&wire, 2047, PEER_FRAME_MAX, 60);
    wire_open_ok(&wire);
    feed(peer, &wire);
    for (size_t i = 0; i < sizeof steps / sizeof *steps && peer->closed_events == 0; i++) {
        if (!ask(peer, steps[i].request, steps[i].channel))
            break;
        check_output(peer);
        steps[i].answer(&wire, steps[i].channel);
        feed(peer, &wire);
    }
    peer->now += 40;
    if (!for_good && peer->closed_events == 0) {
        session_tick(peer->session, peer->now - 5);
        check_output(peer);
    }
    if (peer->closed_events == 0)
        session_close(peer->session, 200, "bye");
    check_output(peer);
    wire_connection_close_ok(&wire);
    feed(peer, &wire);
    wire_destroy(&wire);
}

/* Returns false once the failure lies beyond the conversation. */
static bool talk_with_failure(size_t number, bool and_later)
{
    struct session_options options = peer_options();
    size_t before = peer_bytes_allocated();
    allocations = 0;
    failing = number;
    for_good = and_later;
    failed = false;
    memory_permit = permit;
    struct peer *peer = peer_create_with(&options);
    if (peer != NULL) {
        talk(peer);
        if (failed && peer->closed_events == 0)
            session_abort(peer->session, "the test is over");
        cr_assert_eq(peer->closed_events, 1, "failure of allocation %zu: %s", number, peer_log(peer));
        if (!failed)
            cr_assert_eq(peer->closing.end, SESSION_END_ASKED, "%s", peer_log(peer));
        else if (peer->closing.end != SESSION_END_ASKED)
            cr_assert_eq(peer->closing.end, SESSION_END_LOCAL, "failure of allocation %zu: %s", number,
                         peer_log(peer));
        peer_destroy(peer);
    } else {
        cr_assert(failed);
    }
    memory_permit = NULL;
    cr_assert_eq(peer_bytes_allocated(), before, "failure of allocation %zu%s leaves %zu bytes behind",
                 number, and_later ? " and all later ones" : "", peer_bytes_allocated() - before);
    return failed;
}

Test(memory, the_conversation_goes_through_where_none_is_short)
{
    cr_assert_not(talk_with_failure(SIZE_MAX, false));
    cr_assert_gt(allocations, 5, "%zu allocations", allocations);
}

Test(memory, any_one_allocation_may_fail)
{
    size_t number = 0;
    while (talk_with_failure(number, false))
        number++;
    cr_assert_gt(number, 5, "only %zu failed", number);
}

Test(memory, any_one_allocation_and_all_that_follow_may_fail)
{
    size_t number = 0;
    while (talk_with_failure(number, true))
        number++;
    cr_assert_gt(number, 5, "only %zu failed", number);
}

/* --- One by one -----------------------------------------------------------------------------------------*/

static bool refuse(size_t size)
{
    (void)size;
    return false;
}

Test(memory, a_session_that_cannot_be_made_is_null)
{
    struct session_options options = peer_options();
    memory_permit = refuse;
    cr_assert_null(peer_create_with(&options));
}

Test(memory, a_session_that_cannot_start_ends_with_words)
{
    struct peer *peer = peer_create();
    memory_permit = refuse;
    session_start(peer->session, peer->now);
    if (peer->closed_events == 0) /* it had room from the beginning */
        session_abort(peer->session, "memory");
    memory_permit = NULL;
    peer_expect_closed(peer, SESSION_END_LOCAL, peer->closing.code, "memory");
    peer_destroy(peer);
}

Test(memory, a_delivery_without_room_ends_the_session_with_words)
{
    struct peer *peer = peer_create();
    peer_open(peer);
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    memory_permit = refuse;
    peer_deliver(peer, channel, 1, NULL, body, BODY);
    memory_permit = NULL;
    peer_expect_closed(peer, SESSION_END_LOCAL, peer->closing.code, "memory");
    cr_assert_eq(peer_count_events(peer, "delivered"), 0);
    peer_destroy(peer);
}

/* Output whose frames stand behind each other while memory is short again and again. */
Test(memory, requests_that_fail_leave_nothing_in_the_output)
{
    struct peer *peer = peer_create();
    peer_open(peer);
    uint16_t channel = peer_open_channel(peer);
    memory_permit = refuse;
    int result = 0;
    while (result == 0)
        result = session_ack(peer->session, channel, 1, false);
    cr_assert_eq(result, WHIPPET_E_MEMORY);
    size_t length = buffer_length(session_output(peer->session));
    cr_assert_eq(publish(peer, channel), WHIPPET_E_MEMORY);
    cr_assert_eq(declare_queue(peer, channel), WHIPPET_E_MEMORY);
    cr_assert_eq(buffer_length(session_output(peer->session)), length, "%zu bytes more",
                 buffer_length(session_output(peer->session)) - length);
    memory_permit = NULL;
    cr_assert_eq(declare_queue(peer, channel), 0);
    peer_skip_sent(peer); /* asserts that all of it is whole */
    peer_destroy(peer);
}
