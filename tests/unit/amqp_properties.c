/* Basic properties, against rabbitmq-c's encoder and decoder. */
#include "../support/peer.h"
#include "../support/random_table.h"
#include <amqp/properties.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <stdlib.h>

static struct wire wire;
static struct wire headers;
static struct buffer buffer;
static amqp_pool_t pool;

static void create(void)
{
    init_amqp_pool(&pool, 4096);
}

static void destroy(void)
{
    memory_permit = NULL;
    wire_destroy(&wire);
    wire_destroy(&headers);
    buffer_destroy(&buffer);
    empty_amqp_pool(&pool);
}

TestSuite(properties, .init = create, .fini = destroy);

static whippet_bytes encoded(void)
{
    return bytes_of(wire.data, wire.length);
}

static whippet_bytes written(void)
{
    return bytes_of(buffer_begin(&buffer), buffer_length(&buffer));
}

static amqp_bytes_t for_rabbitmq_c(whippet_bytes bytes)
{
    return (amqp_bytes_t){.len = bytes.len, .bytes = (void *)(uintptr_t)bytes.data};
}

static amqp_basic_properties_t *decode_with_rabbitmq_c(whippet_bytes bytes)
{
    void *decoded = NULL;
    int result = amqp_decode_properties(WIRE_BASIC_CLASS, &pool, for_rabbitmq_c(bytes), &decoded);
    return result == 0 ? decoded : NULL;
}

/* The check and every read, on a copy of exactly that size, so that the sanitizer sees one read too many. */
static enum properties_check check_exactly(const void *data, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);
    cr_assert_not_null(copy);
    if (size > 0)
        memcpy(copy, data, size);
    enum properties_check found = properties_check(bytes_of(copy, size));
    for (enum property property = 0; found != PROPERTIES_MALFORMED && property < PROPERTY_COUNT; property++) {
        whippet_bytes value = properties_get(bytes_of(copy, size), property);
        (void)peer_hash(value.data, value.len);
    }
    free(copy);
    return found;
}

static void expect_text(whippet_bytes properties, enum property property, amqp_flags_t present,
                        amqp_bytes_t expected)
{
    whippet_bytes found = properties_get(properties, property);
    cr_assert_eq(found.data != NULL, present != 0, "property %d is %s", property,
                 present ? "lost" : "invented");
    if (present != 0)
        cr_assert(bytes_equal(found, bytes_of(expected.bytes, expected.len)), "property %d differs: %.*s",
                  property, (int)found.len, (const char *)found.data);
}

static uint64_t number(whippet_bytes value)
{
    uint64_t found = 0;
    for (size_t i = 0; i < value.len; i++)
        found = found << 8 | ((const uint8_t *)value.data)[i];
    return found;
}

static void expect_number(whippet_bytes properties, enum property property, amqp_flags_t present, size_t size,
                          uint64_t expected)
{
    whippet_bytes found = properties_get(properties, property);
    cr_assert_eq(found.data != NULL, present != 0, "property %d is %s", property,
                 present ? "lost" : "invented");
    if (present == 0)
        return;
    cr_assert_eq(found.len, size, "property %d has %zu bytes", property, found.len);
    cr_assert_eq(number(found), expected, "property %d is %llu", property, (unsigned long long)number(found));
}

static void expect_like(whippet_bytes properties, const amqp_basic_properties_t *theirs)
{
    amqp_flags_t flags = theirs->_flags;
    expect_text(properties, PROPERTY_CONTENT_TYPE, flags & AMQP_BASIC_CONTENT_TYPE_FLAG,
                theirs->content_type);
    expect_text(properties, PROPERTY_CONTENT_ENCODING, flags & AMQP_BASIC_CONTENT_ENCODING_FLAG,
                theirs->content_encoding);
    expect_number(properties, PROPERTY_DELIVERY_MODE, flags & AMQP_BASIC_DELIVERY_MODE_FLAG, 1,
                  theirs->delivery_mode);
    expect_number(properties, PROPERTY_PRIORITY, flags & AMQP_BASIC_PRIORITY_FLAG, 1, theirs->priority);
    expect_text(properties, PROPERTY_CORRELATION_ID, flags & AMQP_BASIC_CORRELATION_ID_FLAG,
                theirs->correlation_id);
    expect_text(properties, PROPERTY_REPLY_TO, flags & AMQP_BASIC_REPLY_TO_FLAG, theirs->reply_to);
    expect_text(properties, PROPERTY_EXPIRATION, flags & AMQP_BASIC_EXPIRATION_FLAG, theirs->expiration);
    expect_text(properties, PROPERTY_MESSAGE_ID, flags & AMQP_BASIC_MESSAGE_ID_FLAG, theirs->message_id);
    expect_number(properties, PROPERTY_TIMESTAMP, flags & AMQP_BASIC_TIMESTAMP_FLAG, 8, theirs->timestamp);
    expect_text(properties, PROPERTY_TYPE, flags & AMQP_BASIC_TYPE_FLAG, theirs->type);
    expect_text(properties, PROPERTY_USER_ID, flags & AMQP_BASIC_USER_ID_FLAG, theirs->user_id);
    expect_text(properties, PROPERTY_APP_ID, flags & AMQP_BASIC_APP_ID_FLAG, theirs->app_id);
    expect_text(properties, PROPERTY_CLUSTER_ID, flags & AMQP_BASIC_CLUSTER_ID_FLAG, theirs->cluster_id);
    cr_assert_eq(properties_get(properties, PROPERTY_HEADERS).data != NULL,
                 (flags & AMQP_BASIC_HEADERS_FLAG) != 0);
}

static amqp_bytes_t random_text(uint64_t *seed)
{
    static const size_t lengths[] = {0, 1, 7, 36, 254, 255};
    amqp_bytes_t text;
    amqp_pool_alloc_bytes(&pool, lengths[peer_random_below(seed, 6)], &text);
    for (size_t i = 0; i < text.len; i++)
        ((char *)text.bytes)[i] = (char)peer_random(seed);
    return text;
}

/* Headers of every type, decoded by rabbitmq-c, so that its encoder can write them. */
static amqp_table_t random_headers(uint64_t *seed)
{
    amqp_table_t table;
    size_t offset = 0;
    wire_clear(&headers);
    size_t begun = wire_begin_long(&headers);
    random_table_entries(&headers, seed, 5);
    wire_end_long(&headers, begun);
    amqp_bytes_t bytes;
    amqp_pool_alloc_bytes(&pool, headers.length, &bytes);
    memcpy(bytes.bytes, headers.data, headers.length);
    cr_assert_eq(amqp_decode_table(bytes, &pool, &table, &offset), 0);
    return table;
}

static amqp_basic_properties_t random_properties(uint64_t *seed)
{
    amqp_basic_properties_t properties = {
        ._flags = (amqp_flags_t)(peer_random(seed) & 0xFFFC),
        .content_type = random_text(seed),
        .content_encoding = random_text(seed),
        .headers = random_headers(seed),
        .delivery_mode = (uint8_t)peer_random(seed),
        .priority = (uint8_t)peer_random(seed),
        .correlation_id = random_text(seed),
        .reply_to = random_text(seed),
        .expiration = random_text(seed),
        .message_id = random_text(seed),
        .timestamp = peer_random(seed),
        .type = random_text(seed),
        .user_id = random_text(seed),
        .app_id = random_text(seed),
        .cluster_id = random_text(seed),
    };
    return properties;
}

/* Into the wire. */
static void encode_with_rabbitmq_c(amqp_basic_properties_t *properties)
{
    static uint8_t room[65536];
    int size = amqp_encode_properties(WIRE_BASIC_CLASS, properties, (amqp_bytes_t){sizeof room, room});
    cr_assert_geq(size, 2, "rabbitmq-c can't encode: %d", size);
    wire_clear(&wire);
    wire_raw(&wire, room, (size_t)size);
}

static void expect_headers(whippet_bytes properties, const struct wire *expected)
{
    whippet_bytes found = properties_get(properties, PROPERTY_HEADERS);
    cr_assert(bytes_equal(found, bytes_of(expected->data, expected->length)),
              "%zu bytes of headers instead of %zu", found.len, expected->length);
}

Test(properties, reads_random_ones_as_rabbitmq_c_wrote_them)
{
    uint64_t seed = 23;
    for (int round = 0; round < 1000; round++) {
        amqp_basic_properties_t theirs = random_properties(&seed);
        encode_with_rabbitmq_c(&theirs);
        cr_assert_eq(check_exactly(wire.data, wire.length), PROPERTIES_SOUND, "round %d", round);
        expect_like(encoded(), &theirs);
        if (theirs._flags & AMQP_BASIC_HEADERS_FLAG)
            cr_assert(bytes_equal(properties_get(encoded(), PROPERTY_HEADERS),
                                  bytes_of(headers.data + 4, headers.length - 4)));
        recycle_amqp_pool(&pool);
    }
}

Test(properties, an_empty_text_is_there_and_an_absent_one_is_not)
{
    wire_short(&wire, 0x8000);
    wire_octet(&wire, 0);
    cr_assert_eq(check_exactly(wire.data, wire.length), PROPERTIES_SOUND);
    whippet_bytes found = properties_get(encoded(), PROPERTY_CONTENT_TYPE);
    cr_assert_not_null(found.data);
    cr_assert_eq(found.len, 0);
    cr_assert_null(properties_get(encoded(), PROPERTY_CONTENT_ENCODING).data);
}

Test(properties, none_at_all_are_sound)
{
    cr_assert_eq(check_exactly("\0\0", 2), PROPERTIES_SOUND);
    for (enum property property = 0; property < PROPERTY_COUNT; property++)
        cr_assert_null(properties_get(bytes_of("\0\0", 2), property).data, "property %d", property);
}

/* --- Malformed ------------------------------------------------------------------------------------------*/

static void encode_everything(void)
{
    uint64_t seed = 29;
    amqp_basic_properties_t all = random_properties(&seed);
    all._flags = 0xFFFC;
    all.content_type = amqp_cstring_bytes("application/json");
    all.app_id = amqp_cstring_bytes("shop");
    encode_with_rabbitmq_c(&all);
}

Test(properties, cut_anywhere_they_are_malformed)
{
    encode_everything();
    for (size_t size = 0; size < wire.length; size++)
        cr_assert_eq(check_exactly(wire.data, size), PROPERTIES_MALFORMED, "cut at %zu of %zu", size,
                     wire.length);
    cr_assert_eq(check_exactly(wire.data, wire.length), PROPERTIES_SOUND);
}

Test(properties, with_bytes_left_over_they_are_malformed)
{
    encode_everything();
    wire_octet(&wire, 0);
    cr_assert_eq(check_exactly(wire.data, wire.length), PROPERTIES_MALFORMED);
}

Test(properties, the_basic_class_has_no_second_word_of_flags)
{
    wire_short(&wire, 0x0001);
    wire_short(&wire, 0x0000);
    cr_assert_eq(check_exactly(wire.data, wire.length), PROPERTIES_MALFORMED);
}

Test(properties, with_any_byte_changed_they_are_never_sound_where_rabbitmq_c_refuses)
{
    encode_everything();
    for (size_t at = 0; at < wire.length; at++) {
        uint8_t kept = wire.data[at];
        for (unsigned value = 0; value < 256; value++) {
            wire.data[at] = (uint8_t)value;
            if (check_exactly(wire.data, wire.length) == PROPERTIES_SOUND) {
                amqp_basic_properties_t *theirs = decode_with_rabbitmq_c(encoded());
                cr_assert_not_null(theirs, "byte %zu as %u: rabbitmq-c refuses it", at, value);
                expect_like(encoded(), theirs);
            }
        }
        wire.data[at] = kept;
        recycle_amqp_pool(&pool);
    }
}

/* Properties with headers between two texts; the headers' bytes are in `headers`. */
static void encode_around_headers(void)
{
    wire_clear(&wire);
    wire_short(&wire, 0x8000 | 0x2000 | 0x0008);
    wire_short_text(&wire, "text/plain");
    wire_long(&wire, (uint32_t)headers.length);
    wire_raw(&wire, headers.data, headers.length);
    wire_short_text(&wire, "shop");
}

static void expect_the_rest_is_readable(void)
{
    cr_assert(bytes_equal_text(properties_get(encoded(), PROPERTY_CONTENT_TYPE), "text/plain"));
    cr_assert(bytes_equal_text(properties_get(encoded(), PROPERTY_APP_ID), "shop"));
    expect_headers(encoded(), &headers);
}

Test(properties, headers_nested_too_deep_leave_the_rest_readable)
{
    static const size_t levels[] = {TABLE_DEPTH_LIMIT, TABLE_DEPTH_LIMIT + 1, 21000};
    for (size_t i = 0; i < 3; i++) {
        wire_clear(&headers);
        wire_nested_tables(&headers, levels[i]);
        encode_around_headers();
        cr_assert_eq(check_exactly(wire.data, wire.length),
                     i == 0 ? PROPERTIES_SOUND : PROPERTIES_HEADERS_TOO_DEEP, "%zu levels", levels[i]);
        expect_the_rest_is_readable();
    }
}

Test(properties, malformed_headers_leave_the_rest_readable)
{
    wire_entry(&headers, "x", 'Z');
    wire_fill(&headers, 0, 20);
    encode_around_headers();
    cr_assert_eq(check_exactly(wire.data, wire.length), PROPERTIES_HEADERS_MALFORMED);
    expect_the_rest_is_readable();
}

Test(properties, what_is_wrong_with_the_headers_does_not_hide_what_is_wrong_behind_them)
{
    wire_nested_tables(&headers, 100);
    encode_around_headers();
    cr_assert_eq(check_exactly(wire.data, wire.length - 1), PROPERTIES_MALFORMED);
    wire_clear(&headers);
    wire_entry(&headers, "x", 'Z');
    encode_around_headers();
    cr_assert_eq(check_exactly(wire.data, wire.length - 1), PROPERTIES_MALFORMED);
}

Test(properties, a_length_of_headers_that_does_not_fit_is_malformed)
{
    static const uint32_t lengths[] = {1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF};
    for (size_t i = 0; i < 5; i++) {
        wire_clear(&wire);
        wire_short(&wire, 0x2000);
        wire_long(&wire, lengths[i]);
        cr_assert_eq(check_exactly(wire.data, wire.length), PROPERTIES_MALFORMED, "length %x", lengths[i]);
    }
}

/* --- Written --------------------------------------------------------------------------------------------*/

Test(properties, what_is_written_rabbitmq_c_reads)
{
    uint64_t seed = 31;
    while (headers.length < 200)
        random_table_entries(&headers, &seed, 4);
    struct properties_draft draft = {
        .content_type = bytes_of_text("application/json"),
        .content_encoding = bytes_of_text("gzip"),
        .header_entries = bytes_of(headers.data, headers.length),
        .delivery_mode = DELIVERY_MODE_PERSISTENT,
        .priority = 9,
        .correlation_id = bytes_of_text("c-1"),
        .reply_to = bytes_of_text("amq.reply"),
        .expiration = bytes_of_text("60000"),
        .message_id = bytes_of_text("m-1"),
        .timestamp = 1700000000,
        .type = bytes_of_text("order"),
        .user_id = bytes_of_text("guest"),
        .app_id = bytes_of_text("shop"),
    };
    cr_assert_eq(properties_write(&buffer, &draft), 0);
    cr_assert_eq(check_exactly(written().data, written().len), PROPERTIES_SOUND);
    amqp_basic_properties_t *theirs = decode_with_rabbitmq_c(written());
    cr_assert_not_null(theirs);
    cr_assert_eq(theirs->_flags & 0xFFFF, 0xFFF8, "flags %x", theirs->_flags);
    expect_like(written(), theirs);
    expect_headers(written(), &headers);
    cr_assert(bytes_equal_text(properties_get(written(), PROPERTY_CONTENT_TYPE), "application/json"));
    cr_assert(bytes_equal_text(properties_get(written(), PROPERTY_APP_ID), "shop"));
    cr_assert_eq(theirs->delivery_mode, 2);
    cr_assert_eq(theirs->priority, 9);
    cr_assert_eq(theirs->timestamp, 1700000000);
}

Test(properties, an_empty_draft_writes_no_property)
{
    cr_assert_eq(properties_write(&buffer, &(struct properties_draft){0}), 0);
    cr_assert(bytes_equal(written(), bytes_of("\0\0", 2)), "%zu bytes", written().len);
}

Test(properties, each_property_can_be_the_only_one)
{
    for (int which = 0; which < 12; which++) {
        whippet_bytes text = bytes_of_text("x");
        struct properties_draft draft = {0};
        switch (which) {
        case 0: draft.content_type = text; break;
        case 1: draft.content_encoding = text; break;
        case 2: draft.delivery_mode = 1; break;
        case 3: draft.priority = 255; break;
        case 4: draft.correlation_id = text; break;
        case 5: draft.reply_to = text; break;
        case 6: draft.expiration = text; break;
        case 7: draft.message_id = text; break;
        case 8: draft.timestamp = UINT64_MAX; break;
        case 9: draft.type = text; break;
        case 10: draft.user_id = text; break;
        default: draft.app_id = text; break;
        }
        buffer_clear(&buffer);
        cr_assert_eq(properties_write(&buffer, &draft), 0);
        amqp_basic_properties_t *theirs = decode_with_rabbitmq_c(written());
        cr_assert_not_null(theirs, "the %dth alone", which);
        expect_like(written(), theirs);
        int count = 0;
        for (enum property property = 0; property < PROPERTY_COUNT; property++)
            count += properties_get(written(), property).data != NULL;
        cr_assert_eq(count, 1, "the %dth alone makes %d", which, count);
    }
}

Test(properties, a_text_of_255_bytes_fits_and_one_of_256_is_invalid)
{
    char text[256];
    memset(text, 't', sizeof text);
    for (size_t length = 255; length <= 256; length++) {
        whippet_bytes value = bytes_of(text, length);
        struct properties_draft drafts[] = {
            {.content_type = value}, {.content_encoding = value}, {.correlation_id = value},
            {.reply_to = value},     {.expiration = value},       {.message_id = value},
            {.type = value},         {.user_id = value},          {.app_id = value},
        };
        for (size_t i = 0; i < sizeof drafts / sizeof *drafts; i++)
            cr_assert_eq(properties_write(&buffer, &drafts[i]), length == 255 ? 0 : WHIPPET_E_INVALID,
                         "the %zuth text with %zu bytes", i, length);
    }
}

Test(properties, are_appended_behind_what_is_in_the_buffer)
{
    cr_assert(buffer_append(&buffer, "before", 6));
    cr_assert_eq(properties_write(&buffer, &(struct properties_draft){.priority = 1}), 0);
    cr_assert(bytes_equal(written(), bytes_of("before\x08\x00\x01", 9)));
}

/* --- Copied ---------------------------------------------------------------------------------------------*/

static void expect_copied(whippet_bytes original, enum property property)
{
    whippet_bytes before = properties_get(original, property), after = properties_get(written(), property);
    cr_assert_eq(before.data == NULL, after.data == NULL, "property %d", property);
    cr_assert(bytes_equal(before, after), "property %d", property);
}

Test(properties, a_copy_differs_in_the_headers_alone)
{
    uint64_t seed = 37;
    for (int round = 0; round < 300; round++) {
        amqp_basic_properties_t theirs = random_properties(&seed);
        encode_with_rabbitmq_c(&theirs);
        wire_clear(&headers);
        random_table_entries(&headers, &seed, 3);
        buffer_clear(&buffer);
        cr_assert_eq(properties_copy(&buffer, encoded(), bytes_of(headers.data, headers.length), 0), 0);
        cr_assert_eq(check_exactly(written().data, written().len), PROPERTIES_SOUND, "round %d", round);
        expect_headers(written(), &headers);
        for (enum property property = 0; property < PROPERTY_COUNT; property++)
            if (property != PROPERTY_HEADERS)
                expect_copied(encoded(), property);
        recycle_amqp_pool(&pool);
    }
}

Test(properties, untouched_headers_are_copied_byte_for_byte)
{
    encode_everything();
    whippet_bytes rest = properties_get(encoded(), PROPERTY_HEADERS), name, raw;
    struct buffer kept = {0};
    whippet_value value;
    while (table_next(&rest, &name, &value, &raw))
        cr_assert(buffer_append(&kept, raw.data, raw.len));
    whippet_bytes entries = bytes_of(buffer_begin(&kept), buffer_length(&kept));
    cr_assert_eq(properties_copy(&buffer, encoded(), entries, 0), 0);
    buffer_destroy(&kept);
    cr_assert(bytes_equal(written(), encoded()), "%zu bytes instead of %zu", written().len, wire.length);
}

Test(properties, a_copy_leaves_out_what_it_is_told_to)
{
    encode_everything();
    for (enum property left_out = 0; left_out < PROPERTY_COUNT; left_out++) {
        if (left_out == PROPERTY_HEADERS)
            continue;
        buffer_clear(&buffer);
        cr_assert_eq(properties_copy(&buffer, encoded(), (whippet_bytes){0}, 1u << left_out), 0);
        cr_assert_eq(check_exactly(written().data, written().len), PROPERTIES_SOUND, "without %d", left_out);
        for (enum property property = 0; property < PROPERTY_COUNT; property++)
            if (property == left_out)
                cr_assert_null(properties_get(written(), property).data, "%d is still there", property);
            else if (property != PROPERTY_HEADERS)
                expect_copied(encoded(), property);
    }
    unsigned everything = (1u << PROPERTY_COUNT) - 1;
    buffer_clear(&buffer);
    cr_assert_eq(properties_copy(&buffer, encoded(), (whippet_bytes){0}, everything), 0);
    cr_assert_eq(check_exactly(written().data, written().len), PROPERTIES_SOUND);
    cr_assert_null(properties_get(written(), PROPERTY_CLUSTER_ID).data);
}

Test(properties, a_copy_gives_headers_to_a_message_that_had_none)
{
    wire_entry_text(&headers, "whippet-reason", "rejected");
    cr_assert_eq(properties_copy(&buffer, bytes_of("\0\0", 2), bytes_of(headers.data, headers.length), 0), 0);
    cr_assert_eq(check_exactly(written().data, written().len), PROPERTIES_SOUND);
    expect_headers(written(), &headers);
}

Test(properties, headers_that_cannot_be_read_can_be_replaced)
{
    struct wire ours = {0};
    wire_entry_text(&ours, "whippet-reason", "rejected");
    for (int malformed = 0; malformed < 2; malformed++) {
        wire_clear(&headers);
        if (malformed)
            wire_entry(&headers, "x", 'Z');
        else
            wire_nested_tables(&headers, 21000);
        encode_around_headers();
        buffer_clear(&buffer);
        cr_assert_eq(properties_copy(&buffer, encoded(), bytes_of(ours.data, ours.length), 0), 0);
        cr_assert_eq(check_exactly(written().data, written().len), PROPERTIES_SOUND);
        expect_headers(written(), &ours);
        expect_copied(encoded(), PROPERTY_APP_ID);
    }
    wire_destroy(&ours);
}

/* --- Memory ---------------------------------------------------------------------------------------------*/

static size_t permitted;

static bool permit_some(size_t size)
{
    (void)size;
    return permitted > 0 && permitted-- > 0;
}

Test(properties, writing_and_copying_say_when_memory_is_short)
{
    struct properties_draft draft = {.content_type = bytes_of_text("text/plain")};
    wire_short(&wire, 0);
    memory_permit = permit_some;
    cr_assert_eq(properties_write(&buffer, &draft), WHIPPET_E_MEMORY);
    cr_assert_eq(properties_copy(&buffer, encoded(), (whippet_bytes){0}, 0), WHIPPET_E_MEMORY);
}

Test(properties, a_copy_can_fail_at_each_allocation)
{
    int failures = 0, result = WHIPPET_E_MEMORY;
    encode_everything();
    wire_clear(&headers);
    wire_fill(&headers, 'h', 3000);
    for (size_t count = 0; result != 0; count++) {
        buffer_destroy(&buffer);
        permitted = count;
        memory_permit = permit_some;
        result = properties_copy(&buffer, encoded(), bytes_of(headers.data, headers.length), 0);
        memory_permit = NULL;
        cr_assert(result == 0 || result == WHIPPET_E_MEMORY, "%d", result);
        failures += result != 0;
    }
    cr_assert_gt(failures, 0);
    expect_headers(written(), &headers);
}
