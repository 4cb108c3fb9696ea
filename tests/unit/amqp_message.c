/* The one allocation that a delivery lives in. */
#include "../support/peer.h"
#include <amqp/message.h>
#include <base/memory.h>
#include <criterion/criterion.h>

static void allow_everything(void)
{
    memory_permit = NULL;
}

TestSuite(message, .fini = allow_everything);

static struct message *create(size_t body_size)
{
    return message_create(bytes_of_text("events"), bytes_of_text("order.new"), bytes_of("\x08\x00\x05", 3),
                          body_size);
}

Test(message, keeps_copies_of_its_parts)
{
    char exchange[] = "events", key[] = "order.new", properties[] = "\x08\x00\x05";
    struct message *message =
        message_create(bytes_of(exchange, 6), bytes_of(key, 9), bytes_of(properties, 3), 4);
    cr_assert_not_null(message);
    memset(exchange, 0, sizeof exchange);
    memset(key, 0, sizeof key);
    memset(properties, 0, sizeof properties);
    memcpy(message_body_storage(message), "body", 4);
    cr_assert(bytes_equal_text(message->exchange, "events"));
    cr_assert(bytes_equal_text(message->routing_key, "order.new"));
    cr_assert(bytes_equal(message->properties, bytes_of("\x08\x00\x05", 3)));
    cr_assert(bytes_equal_text(message->body, "body"));
    message_destroy(message);
}

Test(message, begins_plain)
{
    struct message *message = create(0);
    cr_assert_eq(message->delivery_tag, 0);
    cr_assert_not(message->redelivered);
    cr_assert_eq(message->headers, PROPERTIES_SOUND);
    cr_assert_eq(message->body.len, 0);
    message_destroy(message);
}

Test(message, may_have_nothing_in_it)
{
    struct message *message = message_create((whippet_bytes){0}, (whippet_bytes){0}, (whippet_bytes){0}, 0);
    cr_assert_not_null(message);
    cr_assert_eq(
        message->exchange.len + message->routing_key.len + message->properties.len + message->body.len, 0);
    message_destroy(message);
}

Test(message, an_empty_body_is_there)
{
    struct message *message = create(0);
    cr_assert_not_null(message->body.data, "an absent value has no data; a message always has a body");
    message_destroy(message);
}

Test(message, has_room_for_its_body_to_the_last_byte)
{
    struct message *message = create(100000);
    cr_assert_not_null(message);
    memset(message_body_storage(message), 'b', 100000);
    cr_assert_eq(message->body.data, message_body_storage(message));
    cr_assert_eq(message->body.len, 100000);
    cr_assert(bytes_equal_text(message->routing_key, "order.new"),
              "the body was written over the routing key");
    message_destroy(message);
}

static size_t asked;

static bool count_bytes(size_t size)
{
    asked += size;
    return true;
}

Test(message, its_footprint_is_what_it_allocated)
{
    memory_permit = count_bytes;
    struct message *message = create(12345);
    cr_assert_not_null(message);
    cr_assert_eq(message_footprint(message), asked, "%zu, but took %zu", message_footprint(message), asked);
    message_destroy(message);
}

static bool refuse(size_t size)
{
    (void)size;
    return false;
}

Test(message, is_null_when_memory_is_short)
{
    memory_permit = refuse;
    cr_assert_null(create(10));
}

static bool refuse_large(size_t size)
{
    return size < (1u << 30);
}

Test(message, a_size_that_wraps_around_is_refused)
{
    memory_permit = refuse_large;
    for (size_t below = 0; below < 200; below++)
        cr_assert_null(create(SIZE_MAX - below), "a body of SIZE_MAX - %zu bytes", below);
}

Test(message, destroying_none_is_nothing)
{
    message_destroy(NULL);
}
