/* What a dead letter carries; rabbitmq-c reads it. */
#include "../../src/worker/worker_internal.h"
#include <base/bytes.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <random_table.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wire.h>

static struct worker worker;
static struct subscription subscription;
static struct queue_config config;
static struct delivery delivery;
static struct buffer copy;
static amqp_pool_t pool;
static amqp_basic_properties_t *decoded;
static struct wire entries; /* of the original's headers */

static void open_all(void)
{
    snprintf(worker.host, sizeof worker.host, "node-7");
    config = (struct queue_config){.name = "orders", .processor = "postgres", .dead_letter = "orders.dead"};
    subscription = (struct subscription){.worker = &worker, .config = &config};
    delivery = (struct delivery){.subscription = &subscription};
    delivery.message.attempt = 5;
    buffer_init(&copy);
    init_amqp_pool(&pool, 4096);
}

static void close_all(void)
{
    memory_permit = NULL;
    message_destroy(delivery.message.content);
    buffer_destroy(&copy);
    empty_amqp_pool(&pool);
    wire_destroy(&entries);
}

TestSuite(dead_letter, .init = open_all, .fini = close_all);

static void make_original(whippet_bytes properties)
{
    message_destroy(delivery.message.content);
    delivery.message.content =
        message_create(bytes_of_text("events"), bytes_of_text("order.new"), properties, 0);
    cr_assert_not_null(delivery.message.content);
}

/* An original with nothing but `entries` as headers. */
static void make_original_with_headers(void)
{
    struct wire properties = {0};
    wire_properties_with_headers(&properties, &entries);
    make_original(bytes_of(properties.data, properties.length));
    wire_destroy(&properties);
}

static void make_original_of(const struct properties_draft *draft)
{
    struct buffer properties;
    buffer_init(&properties);
    cr_assert_eq(properties_write(&properties, draft), 0);
    make_original(bytes_of(buffer_begin(&properties), buffer_length(&properties)));
    buffer_destroy(&properties);
}

static void make_copy(const char *reason, bool with_original_headers)
{
    buffer_clear(&copy);
    int error = dead_letter_properties(&delivery, reason, with_original_headers, &copy);
    cr_assert_eq(error, 0, "%s", whippet_error_text(error));
    amqp_bytes_t bytes = {.len = buffer_length(&copy), .bytes = buffer_begin(&copy)};
    cr_assert_eq(amqp_decode_properties(WIRE_BASIC_CLASS, &pool, bytes, (void **)&decoded), 0,
                 "rabbitmq-c can't decode the copy");
    cr_assert_eq(properties_check(bytes_of(bytes.bytes, bytes.len)), PROPERTIES_SOUND);
}

static const amqp_field_value_t *find(const char *name)
{
    const amqp_field_value_t *found = NULL;
    for (int i = 0; i < decoded->headers.num_entries; i++) {
        const amqp_table_entry_t *entry = &decoded->headers.entries[i];
        if (entry->key.len != strlen(name) || memcmp(entry->key.bytes, name, entry->key.len) != 0)
            continue;
        cr_assert_null(found, "%s is there twice", name);
        found = &entry->value;
    }
    return found;
}

static void assert_text(const char *name, const char *expected)
{
    const amqp_field_value_t *value = find(name);
    cr_assert_not_null(value, "there is no %s", name);
    cr_assert_eq(value->kind, AMQP_FIELD_KIND_UTF8, "%s is of the type %c", name, value->kind);
    cr_assert(value->value.bytes.len == strlen(expected) &&
                  memcmp(value->value.bytes.bytes, expected, strlen(expected)) == 0,
              "%s is \"%.*s\"", name, (int)value->value.bytes.len, (char *)value->value.bytes.bytes);
}

static void assert_absent(const char *name)
{
    cr_assert_null(find(name), "%s is there", name);
}

/* --- Ours -----------------------------------------------------------------------------------------------*/

Test(dead_letter, says_what_happened_where_and_when)
{
    make_original((whippet_bytes){"\0\0", 2});
    delivery.reason = (char *)(uintptr_t) "no such customer";
    make_copy("retry-exhausted", true);
    assert_text("whippet-reason", "retry-exhausted");
    assert_text("whippet-error", "no such customer");
    assert_text("whippet-queue", "orders");
    assert_text("whippet-exchange", "events");
    assert_text("whippet-routing-key", "order.new");
    assert_text("whippet-processor", "postgres");
    assert_text("whippet-host", "node-7");
    const amqp_field_value_t *attempts = find("whippet-attempts");
    cr_assert_not_null(attempts);
    cr_assert_eq(attempts->kind, AMQP_FIELD_KIND_I64);
    cr_assert_eq(attempts->value.i64, 5);
    const amqp_field_value_t *at = find("whippet-failed-at");
    cr_assert_not_null(at);
    int year, month, day, hour, minute;
    double second;
    char text[64], zone;
    snprintf(text, sizeof text, "%.*s", (int)at->value.bytes.len, (char *)at->value.bytes.bytes);
    cr_assert_eq(
        sscanf(text, "%4d-%2d-%2dT%2d:%2d:%lf%c", &year, &month, &day, &hour, &minute, &second, &zone), 7,
        "not RFC 3339: %s", text);
    cr_assert_eq(zone, 'Z');
    cr_assert_eq(decoded->headers.num_entries, 9, "%d headers", decoded->headers.num_entries);
}

Test(dead_letter, gives_the_reason_as_the_error_where_there_is_no_other)
{
    make_original((whippet_bytes){"\0\0", 2});
    make_copy("timeout", true);
    assert_text("whippet-error", "timeout");
}

Test(dead_letter, writes_nothing_that_starts_with_x)
{
    make_original((whippet_bytes){"\0\0", 2});
    make_copy("rejected", true);
    for (int i = 0; i < decoded->headers.num_entries; i++)
        cr_assert(strncmp(decoded->headers.entries[i].key.bytes, "x-", 2) != 0);
}

/* --- The original's -------------------------------------------------------------------------------------*/

Test(dead_letter, keeps_every_property_but_two_and_says_those_in_headers)
{
    make_original_of(&(struct properties_draft){.content_type = bytes_of_text("text/plain"),
                                                .content_encoding = bytes_of_text("gzip"),
                                                .delivery_mode = 2,
                                                .priority = 3,
                                                .correlation_id = bytes_of_text("c"),
                                                .reply_to = bytes_of_text("r"),
                                                .expiration = bytes_of_text("60000"),
                                                .message_id = bytes_of_text("m"),
                                                .timestamp = 1700000000,
                                                .type = bytes_of_text("t"),
                                                .user_id = bytes_of_text("alice"),
                                                .app_id = bytes_of_text("a")});
    make_copy("rejected", true);
    cr_assert_eq(decoded->_flags & AMQP_BASIC_EXPIRATION_FLAG, 0, "it would expire as a dead letter");
    cr_assert_eq(decoded->_flags & AMQP_BASIC_USER_ID_FLAG, 0, "the broker would refuse it");
    assert_text("whippet-expiration", "60000");
    assert_text("whippet-user-id", "alice");
    amqp_flags_t kept = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_CONTENT_ENCODING_FLAG |
                        AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_PRIORITY_FLAG |
                        AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_REPLY_TO_FLAG |
                        AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_TYPE_FLAG |
                        AMQP_BASIC_APP_ID_FLAG | AMQP_BASIC_HEADERS_FLAG;
    cr_assert_eq(decoded->_flags, kept, "flags %04x, not %04x", decoded->_flags, kept);
    cr_assert_eq(decoded->delivery_mode, 2);
    cr_assert_eq(decoded->priority, 3);
    cr_assert_eq(decoded->timestamp, 1700000000);
    cr_assert(memcmp(decoded->message_id.bytes, "m", 1) == 0);
}

/* Where the original's entries stand in the copy. */
static const void *place_of(const struct wire *original)
{
    whippet_bytes headers =
        properties_get(bytes_of(buffer_begin(&copy), buffer_length(&copy)), PROPERTY_HEADERS);
    return memmem(headers.data, headers.len, original->data, original->length);
}

Test(dead_letter, keeps_headers_byte_for_byte_in_their_order)
{
    wire_entry_text(&entries, "traceparent", "00-abc-def-01");
    wire_entry(&entries, "weird", 'D');
    wire_octet(&entries, 2);
    wire_long(&entries, 12345);
    wire_entry(&entries, "tiny", 'b');
    wire_octet(&entries, 0xFF);
    wire_entry_text(&entries, "", "no name");
    wire_entry_text(&entries, "twice", "a");
    wire_entry_text(&entries, "twice", "b");
    make_original_with_headers();
    make_copy("rejected", true);
    cr_assert_not_null(place_of(&entries), "they are not there as they were");
    assert_text("whippet-queue", "orders");
}

Test(dead_letter, keeps_headers_of_any_kind_byte_for_byte)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t state = seed * 0x9E3779B97F4A7C15u | 1;
        wire_clear(&entries);
        random_table_entries(&entries, &state, 4);
        make_original_with_headers();
        buffer_clear(&copy);
        cr_assert_eq(dead_letter_properties(&delivery, "rejected", true, &copy), 0);
        cr_assert(entries.length == 0 || place_of(&entries) != NULL,
                  "seed %llu: they are not there as they were", (unsigned long long)seed);
        cr_assert_eq(properties_check(bytes_of(buffer_begin(&copy), buffer_length(&copy))), PROPERTIES_SOUND);
    }
}

Test(dead_letter, leaves_the_originals_headers_out_when_asked_to)
{
    wire_entry_text(&entries, "big", "one");
    make_original_with_headers();
    make_copy("rejected", false);
    assert_absent("big");
    assert_text("whippet-reason", "rejected");
}

Test(dead_letter, leaves_out_what_is_the_brokers)
{
    wire_entry(&entries, "x-death", 'A');
    size_t list = wire_begin_long(&entries);
    wire_end_long(&entries, list);
    wire_entry(&entries, "x-delivery-count", 'l');
    wire_longlong(&entries, 7);
    wire_entry_text(&entries, "x-other", "stays");
    make_original_with_headers();
    make_copy("rejected", true);
    assert_absent("x-death");
    assert_absent("x-delivery-count");
    assert_text("x-other", "stays");
}

static void add_list(const char *name, const char *item)
{
    wire_entry(&entries, name, 'A');
    size_t list = wire_begin_long(&entries);
    wire_entry_text(&entries, NULL, item);
    wire_end_long(&entries, list);
}

Test(dead_letter, keeps_the_brokers_further_recipients_under_names_of_ours)
{
    add_list("CC", "audit");
    add_list("BCC", "secret");
    make_original_with_headers();
    make_copy("rejected", true);
    assert_absent("CC");
    assert_absent("BCC");
    const amqp_field_value_t *cc = find("whippet-cc"), *bcc = find("whippet-bcc");
    cr_assert(cc != NULL && cc->kind == AMQP_FIELD_KIND_ARRAY && cc->value.array.num_entries == 1);
    cr_assert(bcc != NULL && bcc->kind == AMQP_FIELD_KIND_ARRAY && bcc->value.array.num_entries == 1);
    cr_assert(memcmp(cc->value.array.entries[0].value.bytes.bytes, "audit", 5) == 0);
    cr_assert(memcmp(bcc->value.array.entries[0].value.bytes.bytes, "secret", 6) == 0);
}

Test(dead_letter, replaces_what_was_written_at_an_earlier_death)
{
    static const char *const OURS[] = {
        "whippet-reason",      "whippet-error",      "whippet-attempts",  "whippet-queue", "whippet-exchange",
        "whippet-routing-key", "whippet-processor",  "whippet-failed-at", "whippet-host",  "whippet-attempt",
        "whippet-user-id",     "whippet-expiration", "whippet-cc",        "whippet-bcc"};
    for (size_t i = 0; i < sizeof OURS / sizeof OURS[0]; i++)
        wire_entry_text(&entries, OURS[i], "old");
    wire_entry_text(&entries, "whippet-of-somebody-else", "stays");
    make_original_with_headers();
    make_copy("rejected", true);
    for (int i = 0; i < decoded->headers.num_entries; i++) {
        const amqp_table_entry_t *entry = &decoded->headers.entries[i];
        cr_assert(entry->value.kind != AMQP_FIELD_KIND_UTF8 || entry->value.value.bytes.len != 3 ||
                      memcmp(entry->value.value.bytes.bytes, "old", 3) != 0,
                  "%.*s is the old one", (int)entry->key.len, (char *)entry->key.bytes);
    }
    assert_text("whippet-reason", "rejected");
    assert_text("whippet-of-somebody-else", "stays");
    assert_absent("whippet-attempt");
    assert_absent("whippet-user-id");
}

Test(dead_letter, is_the_same_size_however_often_a_message_dies)
{
    wire_entry_text(&entries, "mine", "value");
    make_original_with_headers();
    make_copy("rejected", true);
    size_t size = buffer_length(&copy);
    for (int death = 0; death < 5; death++) {
        struct wire again = {0};
        wire_raw(&again, buffer_begin(&copy), buffer_length(&copy));
        make_original(bytes_of(again.data, again.length));
        wire_destroy(&again);
        make_copy("rejected", true);
        cr_assert_eq(buffer_length(&copy), size, "%zu bytes, and %zu at first", buffer_length(&copy), size);
    }
}

/* --- Without memory -------------------------------------------------------------------------------------*/

static unsigned allowed;

static bool up_to_allowed(size_t size)
{
    (void)size;
    return allowed > 0 && allowed-- > 0;
}

Test(dead_letter, says_so_when_any_allocation_fails)
{
    char long_text[2000];
    memset(long_text, 'l', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    wire_entry_text(&entries, "long", long_text);
    add_list("CC", "audit");
    make_original_with_headers();
    int error = WHIPPET_E_MEMORY;
    for (unsigned count = 0; error != 0; count++) {
        struct buffer fresh;
        buffer_init(&fresh);
        allowed = count;
        memory_permit = up_to_allowed;
        error = dead_letter_properties(&delivery, "rejected", true, &fresh);
        memory_permit = NULL;
        buffer_destroy(&fresh);
        cr_assert(error == 0 || error == WHIPPET_E_MEMORY, "%s", whippet_error_text(error));
        cr_assert(error != 0 || count >= 2);
        cr_assert_lt(count, 100);
    }
}
