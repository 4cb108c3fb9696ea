/* Publishing: frames, confirms, returns. */
#include "../support/peer.h"
#include <base/memory.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum {
    BODY_FRAME = PEER_FRAME_MAX - WIRE_FRAME_OVERHEAD
};

static struct peer *peer;
static struct wire wire;
static uint16_t channel;
static struct peer_publish publish;
static uint8_t pattern[10 * BODY_FRAME];
static const whippet_bytes no_properties = {.data = "\0\0", .len = 2};

static void create(void)
{
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i * 31 + i / 251);
    peer = peer_create();
    peer_open(peer);
    channel = peer_open_publisher(peer);
}

static void destroy(void)
{
    memory_permit = NULL;
    peer_destroy(peer);
    peer_publish_destroy(&publish);
    wire_destroy(&wire);
}

TestSuite(publish, .init = create, .fini = destroy);

static void feed(void)
{
    peer_feed_wire(peer, &wire);
}

static int publish_body(const void *body, size_t size)
{
    return session_publish(peer->session, channel, "events", "order.new", no_properties,
                           bytes_of(body, size));
}

static int publish_begin(uint64_t size)
{
    return session_publish_begin(peer->session, channel, "events", "order.new", no_properties, size);
}

static int publish_part(const void *part, size_t size)
{
    return session_publish_part(peer->session, channel, bytes_of(part, size));
}

static void expect_published(const void *body, size_t size)
{
    peer_publish_destroy(&publish);
    peer_expect_publish(peer, channel, &publish);
    cr_assert_eq(publish.body.length, size, "%zu bytes instead of %zu", publish.body.length, size);
    cr_assert(size == 0 || memcmp(publish.body.data, body, size) == 0, "another body of %zu bytes", size);
}

static bool same(amqp_bytes_t found, const char *expected)
{
    return found.len == strlen(expected) && memcmp(found.bytes, expected, found.len) == 0;
}

/* --- In one ---------------------------------------------------------------------------------------------*/

Test(publish, is_mandatory_and_goes_where_it_should)
{
    cr_assert_eq(publish_body("hello", 5), 0);
    expect_published("hello", 5);
    cr_assert(same(publish.method->exchange, "events"));
    cr_assert(same(publish.method->routing_key, "order.new"));
    cr_assert(publish.method->mandatory);
    cr_assert_not(publish.method->immediate);
    peer_expect_nothing_sent(peer);
}

Test(publish, to_the_default_exchange)
{
    cr_assert_eq(
        session_publish(peer->session, channel, "", "orders.dead", no_properties, bytes_of_text("x")), 0);
    expect_published("x", 1);
    cr_assert_eq(publish.method->exchange.len, 0);
    cr_assert(same(publish.method->routing_key, "orders.dead"));
}

Test(publish, the_properties_go_as_they_are)
{
    struct buffer properties = {0};
    struct properties_draft draft = {.content_type = bytes_of_text("application/json"),
                                     .header_entries = bytes_of("\x03keyS\x00\x00\x00\x05value", 14),
                                     .delivery_mode = DELIVERY_MODE_PERSISTENT};
    cr_assert_eq(properties_write(&properties, &draft), 0);
    whippet_bytes encoded = bytes_of(buffer_begin(&properties), buffer_length(&properties));
    cr_assert_eq(session_publish(peer->session, channel, "e", "k", encoded, bytes_of_text("{}")), 0);
    expect_published("{}", 2);
    cr_assert(
        bytes_equal(encoded, bytes_of(publish.encoded_properties.data, publish.encoded_properties.length)));
    cr_assert(same(publish.properties->content_type, "application/json"));
    cr_assert_eq(publish.properties->headers.num_entries, 1);
    buffer_destroy(&properties);
}

Test(publish, bodies_of_every_size_are_split_by_the_frame_size)
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
        cr_assert_eq(publish_body(pattern, sizes[i]), 0);
        expect_published(pattern, sizes[i]);
        size_t frames = (sizes[i] + BODY_FRAME - 1) / BODY_FRAME;
        cr_assert_eq(publish.body_frames, frames, "%zu bytes in %zu frames", sizes[i], publish.body_frames);
        cr_assert_leq(publish.largest_frame, PEER_FRAME_MAX, "a frame of %zu bytes", publish.largest_frame);
    }
    peer_expect_nothing_sent(peer);
}

/* Properties of exactly this many bytes, headers with one long text. */
static whippet_bytes properties_of_size(struct wire *properties, size_t size)
{
    wire_clear(properties);
    wire_short(properties, 0x2000);
    size_t headers = wire_begin_long(properties);
    wire_entry(properties, "x", 'S');
    size_t text = wire_begin_long(properties);
    wire_fill(properties, 'y', size - properties->length);
    wire_end_long(properties, text);
    wire_end_long(properties, headers);
    return bytes_of(properties->data, properties->length);
}

Test(publish, properties_must_fit_a_frame)
{
    struct wire properties = {0};
    const size_t most = PEER_FRAME_MAX - WIRE_FRAME_OVERHEAD - 12; /* class, weight and body size */
    for (size_t size = most + 1; size < most + 3; size++) {
        whippet_bytes encoded = properties_of_size(&properties, size);
        cr_assert_eq(session_publish(peer->session, channel, "e", "k", encoded, bytes_of_text("x")),
                     WHIPPET_E_LIMIT);
        cr_assert_eq(session_publish_begin(peer->session, channel, "e", "k", encoded, 1), WHIPPET_E_LIMIT);
        peer_expect_nothing_sent(peer);
    }
    whippet_bytes encoded = properties_of_size(&properties, most);
    cr_assert_eq(encoded.len, most);
    cr_assert_eq(session_publish(peer->session, channel, "e", "k", encoded, bytes_of_text("x")), 0);
    expect_published("x", 1);
    cr_assert_eq(publish.largest_frame, PEER_FRAME_MAX);
    wire_destroy(&properties);
}

Test(publish, works_without_confirms)
{
    channel = peer_open_channel(peer);
    cr_assert_eq(publish_body("x", 1), 0);
    expect_published("x", 1);
}

Test(publish, goes_on_while_blocked)
{
    amqp_connection_blocked_t blocked = {.reason = amqp_cstring_bytes("low on memory")};
    cr_assert_not(session_is_blocked(peer->session));
    wire_method(&wire, 0, AMQP_CONNECTION_BLOCKED_METHOD, &blocked);
    feed();
    peer_expect_event(peer, "blocked low on memory");
    cr_assert(session_is_blocked(peer->session));
    cr_assert_eq(publish_body("x", 1), 0, "whether to wait is the owner's decision");
    wire_method(&wire, 0, AMQP_CONNECTION_UNBLOCKED_METHOD, &(amqp_connection_unblocked_t){0});
    feed();
    peer_expect_event(peer, "unblocked");
    cr_assert_not(session_is_blocked(peer->session));
}

/* --- In parts -------------------------------------------------------------------------------------------*/

Test(publish, in_parts_makes_the_same_body)
{
    static const size_t parts[] = {1, BODY_FRAME - 2, BODY_FRAME, 1, 3 * BODY_FRAME + 5, 100};
    size_t total = 0;
    for (size_t i = 0; i < 6; i++)
        total += parts[i];
    cr_assert_eq(publish_begin(total), 0);
    for (size_t i = 0, at = 0; i < 6; at += parts[i], i++)
        cr_assert_eq(publish_part(pattern + at, parts[i]), 0);
    expect_published(pattern, total);
    cr_assert_leq(publish.largest_frame, PEER_FRAME_MAX);
    peer_expect_nothing_sent(peer);
    cr_assert_eq(publish_body("next", 4), 0);
    expect_published("next", 4);
}

Test(publish, in_parts_with_an_empty_part)
{
    cr_assert_eq(publish_begin(2), 0);
    cr_assert_eq(publish_part("a", 1), 0);
    cr_assert_eq(publish_part(NULL, 0), 0);
    cr_assert_eq(publish_part("b", 1), 0);
    expect_published("ab", 2);
}

Test(publish, in_parts_with_an_empty_body_is_whole_at_once)
{
    cr_assert_eq(publish_begin(0), 0);
    expect_published("", 0);
    cr_assert_eq(publish_body("next", 4), 0);
    expect_published("next", 4);
}

Test(publish, a_part_beyond_the_announced_size_is_refused)
{
    cr_assert_eq(publish_begin(3), 0);
    cr_assert_eq(publish_part("abcd", 4), WHIPPET_E_INVALID);
    cr_assert_eq(publish_part("ab", 2), 0);
    cr_assert_eq(publish_part("cd", 2), WHIPPET_E_INVALID);
    cr_assert_eq(publish_part("c", 1), 0);
    expect_published("abc", 3);
    cr_assert_eq(publish_part("d", 1), WHIPPET_E_INVALID);
    peer_expect_nothing_sent(peer);
}

Test(publish, a_part_without_a_beginning_is_refused)
{
    cr_assert_eq(publish_part("a", 1), WHIPPET_E_INVALID);
    peer_expect_nothing_sent(peer);
}

Test(publish, nothing_else_goes_out_on_the_channel_between_parts)
{
    cr_assert_eq(publish_begin(2), 0);
    cr_assert_eq(publish_part("a", 1), 0);
    cr_assert_neq(publish_body("other", 5), 0);
    cr_assert_neq(publish_begin(5), 0);
    cr_assert_neq(session_qos(peer->session, channel, 1), 0);
    cr_assert_neq(session_queue_declare(peer->session, channel, &(struct queue_declaration){.queue = "q"}),
                  0);
    cr_assert_neq(session_ack(peer->session, channel, 1, false), 0);
    cr_assert_eq(publish_part("b", 1), 0);
    expect_published("ab", 2);
    peer_expect_nothing_sent(peer);
}

Test(publish, other_channels_may_send_between_parts)
{
    uint16_t other = peer_open_publisher(peer);
    cr_assert_eq(publish_begin(2), 0);
    cr_assert_eq(session_publish(peer->session, other, "", "q", no_properties, bytes_of_text("x")), 0);
    cr_assert_eq(publish_part("ab", 2), 0);
    struct peer_frame frame;
    unsigned found[8], frames = 0;
    while (peer_next_frame(peer, &frame) && frames < 8)
        found[frames++] = frame.channel * 10 + frame.type;
    const unsigned mine = 10u * channel, theirs = 10u * other;
    const unsigned expected[] = {mine + 1, mine + 2, theirs + 1, theirs + 2, theirs + 3, mine + 3};
    cr_assert_eq(frames, 6, "%u", frames);
    cr_assert_arr_eq(found, expected, sizeof expected);
}

Test(publish, a_channel_can_be_closed_between_parts)
{
    cr_assert_eq(publish_begin(2), 0);
    cr_assert_eq(publish_part("a", 1), 0);
    wire_channel_close(&wire, channel, 404, "NOT_FOUND - no exchange 'events'");
    feed();
    peer_expect_event(peer, "channel-closed %u code=404", channel);
    cr_assert_eq(publish_part("b", 1), WHIPPET_E_CLOSED);
}

Test(publish, a_session_can_be_closed_between_parts)
{
    cr_assert_eq(publish_begin(2), 0);
    session_close(peer->session, 200, "bye");
    cr_assert_eq(publish_part("ab", 2), WHIPPET_E_CLOSED);
}

/* --- Confirms -------------------------------------------------------------------------------------------*/

Test(publish, is_confirmed_one_by_one_and_in_bulk_and_refused)
{
    wire_ack(&wire, channel, 1, false);
    wire_ack(&wire, channel, 5, true);
    wire_nack(&wire, channel, 6, false);
    wire_nack(&wire, channel, 9, true);
    wire_ack(&wire, channel, UINT64_MAX, false);
    wire_ack(&wire, channel, 0, true);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(publish_body("x", 1), 0);
    feed();
    peer_expect_event(peer, "confirmed %u tag=1 multiple=0 nacked=0", channel);
    peer_expect_event(peer, "confirmed %u tag=5 multiple=1 nacked=0", channel);
    peer_expect_event(peer, "confirmed %u tag=6 multiple=0 nacked=1", channel);
    peer_expect_event(peer, "confirmed %u tag=9 multiple=1 nacked=1", channel);
    /* What is beyond what was published is the owner's to judge, or a violation; never a crash. */
}

Test(publish, a_confirm_where_none_was_asked_for_is_no_confirm)
{
    uint16_t plain = peer_open_channel(peer);
    wire_ack(&wire, plain, 1, false);
    feed();
    cr_assert_eq(peer_count_events(peer, "confirmed"), 0, "%s", peer_log(peer));
}

static void publish_again(struct peer *publishing, const char *event)
{
    if (strncmp(event, "confirmed", 9) == 0)
        cr_assert_eq(
            session_publish(publishing->session, channel, "", "q", no_properties, bytes_of_text("again")), 0);
}

Test(publish, can_follow_from_within_a_confirm)
{
    peer->react = publish_again;
    cr_assert_eq(publish_body("x", 1), 0);
    expect_published("x", 1);
    wire_ack(&wire, channel, 1, false);
    feed();
    expect_published("again", 5);
}

/* --- Returns --------------------------------------------------------------------------------------------*/

Test(publish, a_return_comes_before_its_confirm)
{
    struct wire properties = {0};
    wire_short(&properties, 0x0800);
    wire_octet(&properties, 7);
    cr_assert_eq(publish_body("lost", 4), 0);
    wire_return(&wire, channel, "events", "nowhere");
    wire_content(&wire, channel, &properties, "lost", 4, PEER_FRAME_MAX);
    wire_ack(&wire, channel, 1, false);
    feed();
    peer_expect_event(peer,
                      "returned %u code=312 text=NO_ROUTE tag=0 redelivered=0 headers=sound exchange=events "
                      "key=nowhere properties=3/%016llx body=4/%016llx",
                      channel, (unsigned long long)peer_hash(properties.data, properties.length),
                      (unsigned long long)peer_hash("lost", 4));
    peer_expect_event(peer, "confirmed %u tag=1", channel);
    peer_expect_no_event(peer);
    wire_destroy(&properties);
}

Test(publish, a_return_may_have_many_frames_or_no_body)
{
    cr_assert_eq(publish_body(pattern, sizeof pattern), 0);
    cr_assert_eq(publish_body("", 0), 0);
    wire_return(&wire, channel, "e", "k");
    wire_content(&wire, channel, NULL, pattern, sizeof pattern, PEER_FRAME_MAX);
    wire_return(&wire, channel, "e", "k");
    wire_content(&wire, channel, NULL, NULL, 0, PEER_FRAME_MAX);
    feed();
    cr_assert_eq(peer_count_events(peer, "returned"), 2, "%s", peer_log(peer));
}

Test(publish, a_return_to_a_consumers_channel_is_no_delivery)
{
    uint16_t both = peer_open_consumer(peer, 10);
    cr_assert_eq(session_publish(peer->session, both, "e", "k", no_properties, bytes_of(pattern, 50)), 0);
    wire_return(&wire, both, "e", "k");
    wire_content(&wire, both, NULL, pattern, 50, PEER_FRAME_MAX);
    feed();
    peer_expect_event(peer, "returned %u", both);
    peer_expect_no_event(peer);
}

static size_t largest_allocation;

static bool watch_sizes(size_t size)
{
    if (size > largest_allocation)
        largest_allocation = size;
    return size < (64u << 20);
}

/* A broker gone wrong must not make us take memory for what was never published, or crash. */
Test(publish, a_return_larger_than_anything_published_is_a_violation)
{
    static const uint64_t sizes[] = {5001,       1ull << 31, 1ull << 40,       1ull << 62,
                                     1ull << 63, UINT64_MAX, UINT64_MAX - 100, UINT64_MAX - 8};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        destroy();
        create();
        cr_assert_eq(publish_body(pattern, 5000), 0);
        peer_skip_sent(peer);
        largest_allocation = 0;
        memory_permit = watch_sizes;
        wire_return(&wire, channel, "e", "k");
        wire_header(&wire, channel, sizes[i], NULL, 0);
        wire_body(&wire, channel, pattern, BODY_FRAME);
        feed();
        memory_permit = NULL;
        cr_assert_lt(largest_allocation, 2 * PEER_FRAME_MAX, "an allocation of %zu bytes",
                     largest_allocation);
        peer_expect_violation(peer, 0, 0, "return");
    }
}

/* Nobody had all of it in memory when it was published, and nobody has to now. */
Test(publish, a_return_of_what_was_published_in_parts_comes_without_its_body)
{
    enum {
        PARTS = 100
    };
    cr_assert_eq(publish_begin(PARTS * BODY_FRAME), 0);
    for (int i = 0; i < PARTS; i++)
        cr_assert_eq(publish_part(pattern, BODY_FRAME), 0);
    peer_skip_sent(peer);
    wire_return(&wire, channel, "events", "order.new");
    wire_header(&wire, channel, PARTS * BODY_FRAME, NULL, 0);
    largest_allocation = 0;
    memory_permit = watch_sizes;
    for (int i = 0; i < PARTS; i++) {
        wire_body(&wire, channel, pattern, BODY_FRAME);
        feed();
    }
    memory_permit = NULL;
    cr_assert_lt(largest_allocation, 2 * PEER_FRAME_MAX, "an allocation of %zu bytes", largest_allocation);
    peer_expect_event(peer, "returned %u code=312", channel);
    cr_assert_not_null(strstr(peer_log(peer), "body=0/"), "%s", peer_log(peer));
}

Test(publish, a_return_within_a_return_is_a_violation)
{
    wire_return(&wire, channel, "e", "k");
    wire_return(&wire, channel, "e", "k");
    feed();
    peer_expect_violation(peer, 505, 0, NULL);
}
