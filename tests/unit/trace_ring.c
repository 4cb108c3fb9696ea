#include "../../src/trace/span_ring.h"
#include <base/bytes.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>

static struct span_ring ring;

static void begin(void)
{
    cr_assert(span_ring_init(&ring));
}

static void end(void)
{
    span_ring_destroy(&ring);
}

TestSuite(span_ring, .init = begin, .fini = end);

static size_t push(uint64_t number)
{
    struct span span = {
        .context.span = number, .message_id = bytes_of_text("id"), .error = bytes_of_text("why")};
    return span_ring_push(&ring, &span);
}

Test(span_ring, gives_spans_in_their_order_with_their_texts)
{
    cr_assert_null(span_ring_peek(&ring, 0));
    cr_assert_eq(push(1), 1);
    cr_assert_eq(push(2), 2);
    const struct span *span = span_ring_peek(&ring, 1);
    cr_assert_eq(span->context.span, 2);
    cr_assert(bytes_equal_text(span->message_id, "id") && bytes_equal_text(span->error, "why"));
    cr_assert_null(span_ring_peek(&ring, 2));
    span_ring_release(&ring, 1);
    cr_assert_eq(span_ring_peek(&ring, 0)->context.span, 2);
}

Test(span_ring, takes_no_more_than_it_has_room_for)
{
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < SPAN_RING_SLOTS; i++)
            cr_assert_eq(push(i), i + 1);
        cr_assert_eq(push(0), 0, "it was full");
        span_ring_release(&ring, 1);
        cr_assert_eq(push(0), (size_t)SPAN_RING_SLOTS);
        span_ring_release(&ring, SPAN_RING_SLOTS);
    }
}

Test(span_ring, cuts_long_texts_between_characters)
{
    char text[400];
    memset(text, 'x', sizeof text);
    memcpy(text + SPAN_MESSAGE_ID_MAX - 1, "\xc3\xa9", 2);
    struct span span = {.message_id = bytes_of(text, sizeof text),
                        .destination = bytes_of(text, sizeof text),
                        .error = bytes_of(text, sizeof text)};
    cr_assert_eq(span_ring_push(&ring, &span), 1);
    const struct span *kept = span_ring_peek(&ring, 0);
    cr_assert_eq(kept->message_id.len, SPAN_MESSAGE_ID_MAX - 1);
    cr_assert_eq(kept->destination.len, (size_t)SPAN_DESTINATION_MAX);
    cr_assert_eq(kept->error.len, SPAN_ERROR_MAX - 1);
}

enum {
    MANY = 100000
};

static void *push_many(void *unused)
{
    for (uint64_t i = 1; i <= MANY; i++)
        while (push(i) == 0)
            sched_yield();
    return unused;
}

Test(span_ring, loses_and_doubles_nothing_between_two_threads)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, push_many, NULL), 0);
    for (uint64_t expected = 1; expected <= MANY;) {
        const struct span *span = span_ring_peek(&ring, 0);
        if (span == NULL) {
            sched_yield();
            continue;
        }
        cr_assert_eq(span->context.span, expected);
        cr_assert(bytes_equal_text(span->error, "why"));
        span_ring_release(&ring, 1);
        expected++;
    }
    pthread_join(thread, NULL);
}
