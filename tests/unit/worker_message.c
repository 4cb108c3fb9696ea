/* What processors read of a message. */
#include <amqp/message.h>
#include <base/bytes.h>
#include <criterion/criterion.h>
#include <string.h>
#include <wire.h>
#include <worker/message.h>

static struct buffer properties;
static whippet_message message;

static void make(whippet_bytes encoded, enum properties_check headers)
{
    struct message *content = message_create(bytes_of_text("events"), bytes_of_text("order.new"), encoded, 5);
    cr_assert_not_null(content);
    memcpy(message_body_storage(content), "h\0llo", 5);
    content->headers = headers;
    message = (whippet_message){.content = content, .queue = "orders", .attempt = 2, .attempts = 5};
}

static void make_from(const struct properties_draft *draft)
{
    cr_assert_eq(properties_write(&properties, draft), 0);
    make(bytes_of(buffer_begin(&properties), buffer_length(&properties)), PROPERTIES_SOUND);
}

static void open_all(void)
{
    buffer_init(&properties);
    message = (whippet_message){0};
}

static void close_all(void)
{
    buffer_destroy(&properties);
    message_destroy(message.content);
}

TestSuite(message, .init = open_all, .fini = close_all);

#define assert_bytes(found, text)                                                                            \
    do {                                                                                                     \
        whippet_bytes bytes_ = (found);                                                                      \
        cr_assert(bytes_.data != NULL && bytes_equal_text(bytes_, text), "found \"%.*s\"", (int)bytes_.len,  \
                  (const char *)bytes_.data);                                                                \
    } while (0)
#define assert_absent(found) cr_assert((found).data == NULL && (found).len == 0, #found " is there")

Test(message, shows_where_it_came_from_and_which_attempt_this_is)
{
    make((whippet_bytes){"\0\0", 2}, PROPERTIES_SOUND);
    message.content->redelivered = true;
    assert_bytes(whippet_exchange(&message), "events");
    assert_bytes(whippet_routing_key(&message), "order.new");
    assert_bytes(whippet_queue(&message), "orders");
    cr_assert(whippet_redelivered(&message));
    cr_assert_eq(whippet_attempt(&message), 2);
    cr_assert_eq(whippet_attempts(&message), 5);
}

Test(message, shows_the_body_byte_for_byte)
{
    make((whippet_bytes){"\0\0", 2}, PROPERTIES_SOUND);
    whippet_bytes body = whippet_body(&message);
    cr_assert_eq(body.len, 5);
    cr_assert(memcmp(body.data, "h\0llo", 5) == 0);
}

Test(message, shows_every_property)
{
    make_from(&(struct properties_draft){.content_type = bytes_of_text("text/plain"),
                                         .content_encoding = bytes_of_text("identity"),
                                         .delivery_mode = 2,
                                         .priority = 9,
                                         .correlation_id = bytes_of_text("c"),
                                         .reply_to = bytes_of_text("r"),
                                         .expiration = bytes_of_text("60000"),
                                         .message_id = bytes_of_text("m-1"),
                                         .timestamp = UINT64_C(0x123456789AB),
                                         .type = bytes_of_text("t"),
                                         .user_id = bytes_of_text("guest"),
                                         .app_id = bytes_of_text("shop")});
    assert_bytes(whippet_content_type(&message), "text/plain");
    assert_bytes(whippet_content_encoding(&message), "identity");
    assert_bytes(whippet_correlation_id(&message), "c");
    assert_bytes(whippet_reply_to(&message), "r");
    assert_bytes(whippet_expiration(&message), "60000");
    assert_bytes(whippet_message_id(&message), "m-1");
    assert_bytes(whippet_type(&message), "t");
    assert_bytes(whippet_user_id(&message), "guest");
    assert_bytes(whippet_app_id(&message), "shop");
    cr_assert(whippet_persistent(&message));
    cr_assert_eq(whippet_priority(&message), 9);
    cr_assert_eq(whippet_timestamp(&message), UINT64_C(0x123456789AB));
}

Test(message, shows_absent_properties_as_absent)
{
    make((whippet_bytes){"\0\0", 2}, PROPERTIES_SOUND);
    assert_absent(whippet_content_type(&message));
    assert_absent(whippet_content_encoding(&message));
    assert_absent(whippet_message_id(&message));
    assert_absent(whippet_correlation_id(&message));
    assert_absent(whippet_reply_to(&message));
    assert_absent(whippet_type(&message));
    assert_absent(whippet_user_id(&message));
    assert_absent(whippet_app_id(&message));
    assert_absent(whippet_expiration(&message));
    cr_assert_eq(whippet_timestamp(&message), 0);
    cr_assert_eq(whippet_priority(&message), 0);
    cr_assert_not(whippet_persistent(&message));
    cr_assert_eq(whippet_delivery_count(&message), 0);
    cr_assert_eq(whippet_header(&message, "any").kind, WHIPPET_VALUE_ABSENT);
}

static void make_with_headers(const struct wire *entries, enum properties_check check)
{
    struct wire encoded = {0};
    wire_properties_with_headers(&encoded, entries);
    make(bytes_of(encoded.data, encoded.length), check);
    wire_destroy(&encoded);
}

Test(message, finds_a_header_by_its_exact_name_and_the_first_of_several)
{
    struct wire entries = {0};
    wire_entry_text(&entries, "Name", "other case");
    wire_entry_text(&entries, "name", "first");
    wire_entry_text(&entries, "name", "second");
    make_with_headers(&entries, PROPERTIES_SOUND);
    wire_destroy(&entries);
    whippet_value value = whippet_header(&message, "name");
    cr_assert_eq(value.kind, WHIPPET_VALUE_TEXT);
    cr_assert_eq(value.type, 'S');
    assert_bytes(value.bytes, "first");
    cr_assert_eq(whippet_header(&message, "nam").kind, WHIPPET_VALUE_ABSENT);
    cr_assert_eq(whippet_header(&message, "").kind, WHIPPET_VALUE_ABSENT);
}

Test(message, counts_earlier_deliveries_as_the_broker_tells_them)
{
    struct wire entries = {0};
    wire_entry(&entries, "x-delivery-count", 'l');
    wire_longlong(&entries, 3);
    make_with_headers(&entries, PROPERTIES_SOUND);
    cr_assert_eq(whippet_delivery_count(&message), 3);
    message_destroy(message.content);
    wire_clear(&entries);
    wire_entry(&entries, "x-delivery-count", 'l');
    wire_longlong(&entries, UINT64_MAX);
    make_with_headers(&entries, PROPERTIES_SOUND);
    cr_assert_eq(whippet_delivery_count(&message), 0, "a count below zero is none");
    message_destroy(message.content);
    wire_clear(&entries);
    wire_entry_text(&entries, "x-delivery-count", "3");
    make_with_headers(&entries, PROPERTIES_SOUND);
    cr_assert_eq(whippet_delivery_count(&message), 0, "nor is a text");
    wire_destroy(&entries);
}

Test(message, iterates_over_headers_and_what_is_in_them)
{
    struct wire entries = {0};
    whippet_bytes name;
    whippet_value value;
    wire_entry_boolean(&entries, "flag", true);
    wire_entry(&entries, "list", 'A');
    size_t list = wire_begin_long(&entries);
    wire_entry_text(&entries, NULL, "one");
    wire_entry_text(&entries, NULL, "two");
    wire_end_long(&entries, list);
    make_with_headers(&entries, PROPERTIES_SOUND);
    wire_destroy(&entries);

    whippet_value headers = whippet_headers(&message);
    cr_assert(whippet_value_next(&headers, &name, &value));
    assert_bytes(name, "flag");
    cr_assert(value.kind == WHIPPET_VALUE_BOOLEAN && value.boolean);
    cr_assert(whippet_value_next(&headers, NULL, &value), "the name may be NULL");
    cr_assert_eq(value.kind, WHIPPET_VALUE_ARRAY);
    whippet_value items = value;
    cr_assert(whippet_value_next(&items, &name, &value));
    assert_absent(name);
    assert_bytes(value.bytes, "one");
    cr_assert(whippet_value_next(&items, NULL, &value));
    cr_assert_not(whippet_value_next(&items, &name, &value));
    cr_assert_not(whippet_value_next(&headers, &name, &value));
    cr_assert_not(whippet_value_next(&value, &name, &(whippet_value){0}), "a text has nothing in it");
}

Test(message, has_a_table_of_headers_even_where_there_are_none)
{
    whippet_value value;
    make((whippet_bytes){"\0\0", 2}, PROPERTIES_SOUND);
    whippet_value headers = whippet_headers(&message);
    cr_assert_eq(headers.kind, WHIPPET_VALUE_TABLE);
    cr_assert_not(whippet_value_next(&headers, NULL, &value));
}

Test(message, hides_headers_that_must_not_be_read)
{
    struct wire entries = {0};
    whippet_value value;
    wire_entry_text(&entries, "name", "value");
    make_with_headers(&entries, PROPERTIES_HEADERS_TOO_DEEP);
    wire_destroy(&entries);
    whippet_value headers = whippet_headers(&message);
    cr_assert_not(whippet_value_next(&headers, NULL, &value));
    cr_assert_eq(whippet_header(&message, "name").kind, WHIPPET_VALUE_ABSENT);
    cr_assert_eq(whippet_delivery_count(&message), 0);
}
