/* What requests put on the wire, and which are refused before. */
#include "../support/peer.h"
#include <criterion/criterion.h>
#include <string.h>

static struct peer *peer;

static void create(void)
{
    peer = peer_create();
    peer_open(peer);
}

static void destroy(void)
{
    peer_destroy(peer);
}

TestSuite(requests, .init = create, .fini = destroy);

static bool same(amqp_bytes_t found, const char *expected)
{
    return found.len == strlen(expected) && memcmp(found.bytes, expected, found.len) == 0;
}

static int declare_queue(uint16_t channel)
{
    return session_queue_declare(peer->session, channel, &(struct queue_declaration){.queue = "orders"});
}

Test(requests, qos_is_never_global_and_has_no_size)
{
    uint16_t channel = peer_open_channel(peer);
    cr_assert_eq(session_qos(peer->session, channel, 65535), 0);
    amqp_basic_qos_t *qos = peer_expect_method(peer, channel, AMQP_BASIC_QOS_METHOD);
    cr_assert_eq(qos->prefetch_count, 65535);
    cr_assert_eq(qos->prefetch_size, 0);
    cr_assert_not(qos->global);
}

Test(requests, an_exchange_is_declared_as_described)
{
    for (int bits = 0; bits < 4; bits++) {
        uint16_t channel = peer_open_channel(peer);
        struct exchange_declaration declaration = {
            .exchange = "events", .type = "topic", .passive = bits & 1, .durable = bits & 2};
        cr_assert_eq(session_exchange_declare(peer->session, channel, &declaration), 0);
        amqp_exchange_declare_t *sent = peer_expect_method(peer, channel, AMQP_EXCHANGE_DECLARE_METHOD);
        cr_assert(same(sent->exchange, "events"));
        cr_assert(same(sent->type, "topic"));
        cr_assert_eq(!!sent->passive, declaration.passive);
        cr_assert_eq(!!sent->durable, declaration.durable);
        cr_assert(!sent->auto_delete && !sent->internal && !sent->nowait);
        cr_assert_eq(sent->arguments.num_entries, 0);
    }
}

Test(requests, a_queue_is_declared_as_described)
{
    struct buffer arguments = {0};
    cr_assert(table_add_text(&arguments, bytes_of_text("x-queue-type"), bytes_of_text("quorum")));
    cr_assert(table_add_integer(&arguments, bytes_of_text("x-max-length"), 1000));
    for (int bits = 0; bits < 16; bits++) {
        uint16_t channel = peer_open_channel(peer);
        struct queue_declaration declaration = {
            .queue = "orders",
            .passive = bits & 1,
            .durable = bits & 2,
            .exclusive = bits & 4,
            .auto_delete = bits & 8,
            .arguments = bytes_of(buffer_begin(&arguments), buffer_length(&arguments))};
        cr_assert_eq(session_queue_declare(peer->session, channel, &declaration), 0);
        amqp_queue_declare_t *sent = peer_expect_method(peer, channel, AMQP_QUEUE_DECLARE_METHOD);
        cr_assert(same(sent->queue, "orders"));
        cr_assert_eq(!!sent->passive, declaration.passive);
        cr_assert_eq(!!sent->durable, declaration.durable);
        cr_assert_eq(!!sent->exclusive, declaration.exclusive);
        cr_assert_eq(!!sent->auto_delete, declaration.auto_delete);
        cr_assert_not(sent->nowait);
        cr_assert_eq(sent->arguments.num_entries, 2, "%d arguments", sent->arguments.num_entries);
        cr_assert(same(sent->arguments.entries[0].value.value.bytes, "quorum"));
        cr_assert_eq(sent->arguments.entries[1].value.value.i64, 1000);
    }
    buffer_destroy(&arguments);
}

Test(requests, a_queue_is_bound_as_described)
{
    struct buffer arguments = {0};
    uint16_t channel = peer_open_channel(peer);
    cr_assert(table_add_text(&arguments, bytes_of_text("x-match"), bytes_of_text("any")));
    whippet_bytes entries = bytes_of(buffer_begin(&arguments), buffer_length(&arguments));
    cr_assert_eq(session_queue_bind(peer->session, channel, "orders", "events", "order.#", entries), 0);
    amqp_queue_bind_t *sent = peer_expect_method(peer, channel, AMQP_QUEUE_BIND_METHOD);
    cr_assert(same(sent->queue, "orders") && same(sent->exchange, "events") &&
              same(sent->routing_key, "order.#"));
    cr_assert_not(sent->nowait);
    cr_assert_eq(sent->arguments.num_entries, 1);
    buffer_destroy(&arguments);
}

Test(requests, consuming_asks_for_acknowledgements_under_our_own_tag)
{
    struct buffer arguments = {0};
    uint16_t channel = peer_open_channel(peer);
    cr_assert(table_add_integer(&arguments, bytes_of_text("x-priority"), 5));
    struct consumption consumption = {.queue = "orders",
                                      .consumer_tag = "whippet.1",
                                      .exclusive = true,
                                      .arguments =
                                          bytes_of(buffer_begin(&arguments), buffer_length(&arguments))};
    cr_assert_eq(session_consume(peer->session, channel, &consumption), 0);
    amqp_basic_consume_t *sent = peer_expect_method(peer, channel, AMQP_BASIC_CONSUME_METHOD);
    cr_assert(same(sent->queue, "orders") && same(sent->consumer_tag, "whippet.1"));
    cr_assert(sent->exclusive && !sent->no_ack && !sent->no_local && !sent->nowait);
    cr_assert_eq(sent->arguments.num_entries, 1);
    cr_assert_eq(sent->arguments.entries[0].value.value.i64, 5);
    buffer_destroy(&arguments);
}

Test(requests, acks_and_nacks_say_what_they_are_told)
{
    uint16_t channel = peer_open_channel(peer);
    for (int bits = 0; bits < 4; bits++) {
        cr_assert_eq(session_ack(peer->session, channel, 0x0102030405060708, bits & 1), 0);
        amqp_basic_ack_t *ack = peer_expect_method(peer, channel, AMQP_BASIC_ACK_METHOD);
        cr_assert_eq(ack->delivery_tag, 0x0102030405060708);
        cr_assert_eq(!!ack->multiple, bits & 1);
        cr_assert_eq(session_nack(peer->session, channel, UINT64_MAX, bits & 1, bits & 2), 0);
        amqp_basic_nack_t *nack = peer_expect_method(peer, channel, AMQP_BASIC_NACK_METHOD);
        cr_assert_eq(nack->delivery_tag, UINT64_MAX);
        cr_assert_eq(!!nack->multiple, bits & 1);
        cr_assert_eq(!!nack->requeue, (bits & 2) != 0);
    }
}

Test(requests, settling_needs_not_wait_for_a_reply)
{
    uint16_t channel = peer_open_consumer(peer, PEER_NO_LIMIT);
    cr_assert_eq(session_cancel(peer->session, channel), 0);
    cr_assert_eq(session_ack(peer->session, channel, 1, false), 0);
    cr_assert_eq(session_nack(peer->session, channel, 2, false, true), 0);
}

Test(requests, a_name_over_255_bytes_is_invalid)
{
    char longest[257];
    memset(longest, 'n', 256);
    longest[256] = '\0';
    uint16_t channel = peer_open_channel(peer);
    whippet_bytes none = {0}, no_properties = bytes_of("\0\0", 2);
    struct session *session = peer->session;
    cr_assert_eq(session_exchange_declare(
                     session, channel, &(struct exchange_declaration){.exchange = longest, .type = "topic"}),
                 WHIPPET_E_INVALID);
    cr_assert_eq(session_exchange_declare(session, channel,
                                          &(struct exchange_declaration){.exchange = "e", .type = longest}),
                 WHIPPET_E_INVALID);
    cr_assert_eq(session_queue_declare(session, channel, &(struct queue_declaration){.queue = longest}),
                 WHIPPET_E_INVALID);
    cr_assert_eq(session_queue_bind(session, channel, longest, "e", "k", none), WHIPPET_E_INVALID);
    cr_assert_eq(session_queue_bind(session, channel, "q", longest, "k", none), WHIPPET_E_INVALID);
    cr_assert_eq(session_queue_bind(session, channel, "q", "e", longest, none), WHIPPET_E_INVALID);
    cr_assert_eq(session_queue_unbind(session, channel, longest, "e", "k", none), WHIPPET_E_INVALID);
    cr_assert_eq(session_queue_unbind(session, channel, "q", longest, "k", none), WHIPPET_E_INVALID);
    cr_assert_eq(session_queue_unbind(session, channel, "q", "e", longest, none), WHIPPET_E_INVALID);
    cr_assert_eq(
        session_consume(session, channel, &(struct consumption){.queue = longest, .consumer_tag = "t"}),
        WHIPPET_E_INVALID);
    cr_assert_eq(
        session_consume(session, channel, &(struct consumption){.queue = "q", .consumer_tag = longest}),
        WHIPPET_E_INVALID);
    cr_assert_eq(session_publish(session, channel, longest, "k", no_properties, none), WHIPPET_E_INVALID);
    cr_assert_eq(session_publish(session, channel, "e", longest, no_properties, none), WHIPPET_E_INVALID);
    cr_assert_eq(session_publish_begin(session, channel, longest, "k", no_properties, 1), WHIPPET_E_INVALID);
    peer_expect_nothing_sent(peer);
    cr_assert_eq(declare_queue(channel), 0, "a refused request leaves the channel as it was");
}

Test(requests, a_queue_is_unbound_as_described)
{
    struct buffer arguments = {0};
    uint16_t channel = peer_open_channel(peer);
    cr_assert(table_add_text(&arguments, bytes_of_text("x-match"), bytes_of_text("any")));
    whippet_bytes entries = bytes_of(buffer_begin(&arguments), buffer_length(&arguments));
    cr_assert_eq(session_queue_unbind(peer->session, channel, "orders", "events", "order.#", entries), 0);
    amqp_queue_unbind_t *sent = peer_expect_method(peer, channel, AMQP_QUEUE_UNBIND_METHOD);
    cr_assert(same(sent->queue, "orders") && same(sent->exchange, "events") &&
              same(sent->routing_key, "order.#"));
    cr_assert_eq(sent->arguments.num_entries, 1);
    buffer_destroy(&arguments);
}

Test(requests, a_name_of_255_bytes_fits)
{
    char longest[256];
    memset(longest, 'n', 255);
    longest[255] = '\0';
    uint16_t channel = peer_open_channel(peer);
    cr_assert_eq(session_queue_bind(peer->session, channel, longest, longest, longest, (whippet_bytes){0}),
                 0);
    amqp_queue_bind_t *sent = peer_expect_method(peer, channel, AMQP_QUEUE_BIND_METHOD);
    cr_assert(same(sent->queue, longest) && same(sent->exchange, longest) &&
              same(sent->routing_key, longest));
}

/* The peer asserts that no frame is over the negotiated size. */
Test(requests, arguments_that_do_not_fit_a_frame_are_refused)
{
    static char text[PEER_FRAME_MAX + 1];
    struct buffer arguments = {0};
    memset(text, 't', sizeof text);
    cr_assert(table_add_text(&arguments, bytes_of_text("x"), bytes_of(text, sizeof text)));
    whippet_bytes entries = bytes_of(buffer_begin(&arguments), buffer_length(&arguments));
    uint16_t channel = peer_open_channel(peer);
    cr_assert_neq(session_queue_declare(peer->session, channel,
                                        &(struct queue_declaration){.queue = "q", .arguments = entries}),
                  0);
    cr_assert_neq(session_queue_bind(peer->session, channel, "q", "e", "k", entries), 0);
    cr_assert_neq(session_queue_unbind(peer->session, channel, "q", "e", "k", entries), 0);
    cr_assert_neq(session_exchange_declare(
                      peer->session, channel,
                      &(struct exchange_declaration){.exchange = "e", .type = "topic", .arguments = entries}),
                  0);
    cr_assert_neq(
        session_consume(peer->session, channel,
                        &(struct consumption){.queue = "q", .consumer_tag = "t", .arguments = entries}),
        0);
    buffer_destroy(&arguments);
    peer_expect_nothing_sent(peer);
    cr_assert_eq(declare_queue(channel), 0, "a refused request leaves the channel as it was");
}

Test(requests, arguments_that_are_no_sound_table_are_refused)
{
    uint16_t channel = peer_open_channel(peer);
    struct queue_declaration declaration = {.queue = "q", .arguments = bytes_of("\x01xZ", 3)};
    int result = session_queue_declare(peer->session, channel, &declaration);
    cr_assert_eq(result, WHIPPET_E_INVALID, "%d", result);
    peer_expect_nothing_sent(peer);
}
