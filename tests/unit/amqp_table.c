/* Field tables, against rabbitmq-c's decoder and a recursive reference of our own. */
#include "../support/peer.h"
#include "../support/random_table.h"
#include <amqp/table.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

static struct wire wire;
static struct buffer buffer;

static void destroy(void)
{
    memory_permit = NULL;
    wire_destroy(&wire);
    buffer_destroy(&buffer);
}

TestSuite(table, .fini = destroy);

static whippet_bytes entries(void)
{
    return bytes_of(wire.data, wire.length);
}

static whippet_bytes written(void)
{
    return bytes_of(buffer_begin(&buffer), buffer_length(&buffer));
}

/* The check, on a copy of exactly that size, so that the sanitizer sees one read too many. */
static enum table_check check_exactly(const void *data, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);
    cr_assert_not_null(copy);
    if (size > 0)
        memcpy(copy, data, size);
    enum table_check found = table_check(bytes_of(copy, size));
    /* Must stop by itself in anything. */
    whippet_bytes rest = bytes_of(copy, size), name, raw;
    whippet_value value;
    while (table_next(&rest, &name, &value, &raw))
        cr_assert_gt(raw.len, 0, "an entry of no bytes");
    free(copy);
    return found;
}

static whippet_value only_value(whippet_bytes table)
{
    whippet_bytes name;
    whippet_value value;
    cr_assert(table_next(&table, &name, &value, NULL), "there is no entry");
    cr_assert(bytes_equal_text(name, "n"), "another name: %.*s", (int)name.len, (const char *)name.data);
    cr_assert_eq(table.len, 0, "%zu bytes behind the entry", table.len);
    return value;
}

/* The wire as a table with one entry of this type, whose value is these bytes. */
static whippet_value read_back(char type, const void *value, size_t size)
{
    wire_clear(&wire);
    wire_entry(&wire, "n", type);
    wire_raw(&wire, value, size);
    cr_assert_eq(check_exactly(wire.data, wire.length), TABLE_SOUND, "type %c", type);
    whippet_value found = only_value(entries());
    cr_assert_eq(found.type, type, "type %c became %c", type, found.type);
    return found;
}

static void expect_integer(char type, const void *value, size_t size, int64_t expected)
{
    whippet_value found = read_back(type, value, size);
    cr_assert_eq(found.kind, WHIPPET_VALUE_INTEGER, "type %c has kind %d", type, found.kind);
    cr_assert_eq(found.integer, expected, "type %c: %lld instead of %lld", type, (long long)found.integer,
                 (long long)expected);
}

Test(table, an_empty_table_is_sound_and_has_no_entry)
{
    whippet_bytes rest = {0}, name;
    whippet_value value;
    cr_assert_eq(table_check(rest), TABLE_SOUND);
    cr_assert_not(table_next(&rest, &name, &value, NULL));
    cr_assert_not(array_next(&rest, &value));
    cr_assert_eq(table_find(rest, bytes_of_text("x")).kind, WHIPPET_VALUE_ABSENT);
}

Test(table, reads_signed_integers_with_their_sign)
{
    expect_integer('b', "\x80", 1, -128);
    expect_integer('s', "\x80\x00", 2, -32768);
    expect_integer('I', "\x80\x00\x00\x00", 4, INT32_MIN);
    expect_integer('l', "\x80\x00\x00\x00\x00\x00\x00\x00", 8, INT64_MIN);
    expect_integer('l', "\x01\x02\x03\x04\x05\x06\x07\x08", 8, 0x0102030405060708);
}

Test(table, reads_unsigned_integers_without_a_sign)
{
    expect_integer('B', "\xff", 1, 255);
    expect_integer('u', "\xff\xfe", 2, 65534);
    expect_integer('i', "\xff\xff\xff\xfe", 4, 4294967294);
}

Test(table, reads_reals)
{
    whippet_value value = read_back('f', "\x3f\xc0\x00\x00", 4);
    cr_assert_eq(value.kind, WHIPPET_VALUE_REAL);
    cr_assert_eq(value.real, 1.5, "%g", value.real);
    value = read_back('d', "\xc0\x04\x00\x00\x00\x00\x00\x00", 8);
    cr_assert_eq(value.kind, WHIPPET_VALUE_REAL);
    cr_assert_eq(value.real, -2.5, "%g", value.real);
    value = read_back('d', "\x7f\xf8\x00\x00\x00\x00\x00\x00", 8);
    cr_assert(isnan(value.real), "%g", value.real);
}

Test(table, reads_the_types_that_are_no_numbers)
{
    cr_assert_eq(read_back('V', "", 0).kind, WHIPPET_VALUE_NULL);
    whippet_value value = read_back('t', "\x02", 1);
    cr_assert_eq(value.kind, WHIPPET_VALUE_BOOLEAN);
    cr_assert(value.boolean, "any octet but 0 is true");
    value = read_back('T', "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    cr_assert_eq(value.kind, WHIPPET_VALUE_TIMESTAMP);
    cr_assert_eq(value.timestamp, UINT64_MAX);
    value = read_back('D', "\x02\x00\x00\x01\x3a", 5);
    cr_assert_eq(value.kind, WHIPPET_VALUE_DECIMAL);
    cr_assert_eq(value.decimal.scale, 2);
    cr_assert_eq(value.decimal.unscaled, 314);
    value = read_back('S', "\x00\x00\x00\x03\x00\xff\x7f", 7);
    cr_assert_eq(value.kind, WHIPPET_VALUE_TEXT);
    cr_assert(bytes_equal(value.bytes, bytes_of("\x00\xff\x7f", 3)));
    value = read_back('x', "\x00\x00\x00\x02hi", 6);
    cr_assert_eq(value.kind, WHIPPET_VALUE_BINARY);
    cr_assert(bytes_equal_text(value.bytes, "hi"));
}

Test(table, reads_what_is_nested)
{
    wire_entry(&wire, "n", 'A');
    size_t array = wire_begin_long(&wire);
    wire_entry(&wire, NULL, 'F');
    size_t table = wire_begin_long(&wire);
    wire_entry_text(&wire, "deep", "down");
    wire_end_long(&wire, table);
    wire_entry_boolean(&wire, NULL, true);
    wire_end_long(&wire, array);

    whippet_value outer = only_value(entries()), item, after;
    cr_assert_eq(outer.kind, WHIPPET_VALUE_ARRAY);
    cr_assert(array_next(&outer.entries, &item));
    cr_assert_eq(item.kind, WHIPPET_VALUE_TABLE);
    cr_assert(bytes_equal_text(table_find(item.entries, bytes_of_text("deep")).bytes, "down"));
    cr_assert(array_next(&outer.entries, &after));
    cr_assert_eq(after.kind, WHIPPET_VALUE_BOOLEAN);
    cr_assert_not(array_next(&outer.entries, &after));
}

Test(table, finds_the_first_of_two_entries_of_one_name)
{
    wire_entry_text(&wire, "other", "no");
    wire_entry_text(&wire, "x", "first");
    wire_entry_text(&wire, "x", "second");
    cr_assert(bytes_equal_text(table_find(entries(), bytes_of_text("x")).bytes, "first"));
    cr_assert_eq(table_find(entries(), bytes_of_text("X")).kind, WHIPPET_VALUE_ABSENT,
                 "names differ by case");
    cr_assert_eq(table_find(entries(), bytes_of_text("othe")).kind, WHIPPET_VALUE_ABSENT);
}

Test(table, raw_entries_put_together_are_the_table)
{
    uint64_t seed = 7;
    while (wire.length < 2000)
        random_table_entries(&wire, &seed, 4);
    whippet_bytes rest = entries(), name, raw;
    whippet_value value;
    while (table_next(&rest, &name, &value, &raw))
        cr_assert(buffer_append(&buffer, raw.data, raw.len));
    cr_assert(bytes_equal(written(), entries()), "%zu bytes instead of %zu", written().len, wire.length);
}

/* The table that is looked at counts as the first level. */
static void expect_depth(size_t levels, enum table_check expected)
{
    wire_clear(&wire);
    wire_nested_tables(&wire, levels);
    cr_assert_eq(check_exactly(wire.data, wire.length), expected, "%zu tables", levels);
    wire_clear(&wire);
    wire_nested_arrays(&wire, levels);
    cr_assert_eq(check_exactly(wire.data, wire.length), expected, "%zu levels of arrays", levels);
}

Test(table, may_be_as_deep_as_the_limit_and_no_deeper)
{
    expect_depth(1, TABLE_SOUND);
    expect_depth(TABLE_DEPTH_LIMIT - 1, TABLE_SOUND);
    expect_depth(TABLE_DEPTH_LIMIT, TABLE_SOUND);
    expect_depth(TABLE_DEPTH_LIMIT + 1, TABLE_TOO_DEEP);
    expect_depth(1000, TABLE_TOO_DEEP);
}

Test(table, depth_is_counted_by_branch_not_in_sum)
{
    for (int i = 0; i < 100; i++) {
        wire_entry(&wire, "branch", 'F');
        size_t begun = wire_begin_long(&wire);
        wire_nested_tables(&wire, TABLE_DEPTH_LIMIT - 1);
        wire_end_long(&wire, begun);
    }
    cr_assert_eq(check_exactly(wire.data, wire.length), TABLE_SOUND);
}

static void *check_on_a_small_stack(void *found)
{
    *(enum table_check *)found = table_check(entries());
    return NULL;
}

Test(table, twenty_one_thousand_levels_cost_no_stack)
{
    wire_nested_tables(&wire, 21000);
    enum table_check found = TABLE_SOUND;
    pthread_attr_t attributes;
    pthread_t thread;
    cr_assert_eq(pthread_attr_init(&attributes), 0);
    cr_assert_eq(pthread_attr_setstacksize(&attributes, 64 << 10), 0);
    cr_assert_eq(pthread_create(&thread, &attributes, check_on_a_small_stack, &found), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attributes);
    cr_assert_eq(found, TABLE_TOO_DEEP, "%d", found);
}

Test(table, every_letter_that_is_no_type_is_malformed)
{
    for (unsigned letter = 0; letter < 256; letter++) {
        wire_clear(&wire);
        wire_short_text(&wire, "n");
        wire_octet(&wire, letter);
        wire_fill(&wire, 0, letter == 'V' ? 0 : 8);
        bool known = letter != 0 && strchr("VtbBsuIilLfdDTSxAF", (int)letter) != NULL;
        enum table_check found = check_exactly(wire.data, wire.length);
        if (!known)
            cr_assert_eq(found, TABLE_MALFORMED, "the letter %u is taken for %d", letter, found);
    }
}

static void expect_like_reference(const uint8_t *data, size_t size, const char *what, size_t which)
{
    int deepest;
    bool sound = reference_table_sound(data, size, &deepest);
    enum table_check found = check_exactly(data, size);
    if (sound && deepest <= TABLE_DEPTH_LIMIT)
        cr_assert_eq(found, TABLE_SOUND, "%s %zu: sound, found %d", what, which, found);
    else
        cr_assert_neq(found, TABLE_SOUND, "%s %zu: taken for sound", what, which);
}

Test(table, cut_anywhere_it_is_sound_only_at_an_entry)
{
    uint64_t seed = 11;
    while (wire.length < 1500)
        random_table_entries(&wire, &seed, 5);
    for (size_t size = 0; size <= wire.length; size++)
        expect_like_reference(wire.data, size, "cut at", size);
}

Test(table, with_any_byte_changed_it_is_judged_as_the_reference_judges)
{
    uint64_t seed = 13;
    while (wire.length < 400)
        random_table_entries(&wire, &seed, 4);
    for (size_t at = 0; at < wire.length; at++) {
        uint8_t kept = wire.data[at];
        for (unsigned value = 0; value < 256; value++) {
            wire.data[at] = (uint8_t)value;
            expect_like_reference(wire.data, wire.length, "changed at", at);
        }
        wire.data[at] = kept;
    }
}

Test(table, lengths_near_the_end_of_numbers_do_not_wrap)
{
    static const uint32_t lengths[] = {0x7FFFFFFF, 0x80000000, 0xFFFFFFF0,
                                       0xFFFFFFFB, 0xFFFFFFFE, 0xFFFFFFFF};
    for (const char *type = "SxAF"; *type != '\0'; type++)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            wire_clear(&wire);
            wire_entry(&wire, "n", *type);
            wire_long(&wire, lengths[i]);
            wire_fill(&wire, 0, 16);
            cr_assert_eq(check_exactly(wire.data, wire.length), TABLE_MALFORMED, "type %c, length %x", *type,
                         lengths[i]);
        }
}

/* --- Against rabbitmq-c ---------------------------------------------------------------------------------*/

static void compare_value(const whippet_value *ours, const amqp_field_value_t *theirs);

static void compare_bytes(whippet_bytes ours, amqp_bytes_t theirs)
{
    cr_assert(bytes_equal(ours, bytes_of(theirs.bytes, theirs.len)), "%zu bytes, rabbitmq-c has %zu",
              ours.len, theirs.len);
}

static void compare_table(whippet_bytes ours, const amqp_table_t *theirs)
{
    whippet_bytes name;
    whippet_value value;
    for (int i = 0; i < theirs->num_entries; i++) {
        cr_assert(table_next(&ours, &name, &value, NULL), "%d entries, rabbitmq-c has %d", i,
                  theirs->num_entries);
        compare_bytes(name, theirs->entries[i].key);
        compare_value(&value, &theirs->entries[i].value);
    }
    cr_assert_not(table_next(&ours, &name, &value, NULL), "more than rabbitmq-c's %d entries",
                  theirs->num_entries);
}

static void compare_array(whippet_bytes ours, const amqp_array_t *theirs)
{
    whippet_value value;
    for (int i = 0; i < theirs->num_entries; i++) {
        cr_assert(array_next(&ours, &value), "%d items, rabbitmq-c has %d", i, theirs->num_entries);
        compare_value(&value, &theirs->entries[i]);
    }
    cr_assert_not(array_next(&ours, &value), "more than rabbitmq-c's %d items", theirs->num_entries);
}

static int64_t integer_of(const amqp_field_value_t *value)
{
    switch (value->kind) {
    case AMQP_FIELD_KIND_I8: return value->value.i8;
    case AMQP_FIELD_KIND_U8: return value->value.u8;
    case AMQP_FIELD_KIND_I16: return value->value.i16;
    case AMQP_FIELD_KIND_U16: return value->value.u16;
    case AMQP_FIELD_KIND_I32: return value->value.i32;
    case AMQP_FIELD_KIND_U32: return value->value.u32;
    default: return value->value.i64;
    }
}

static bool same_real(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void compare_value(const whippet_value *ours, const amqp_field_value_t *theirs)
{
    cr_assert_eq(ours->type, theirs->kind, "type %c, rabbitmq-c has %c", ours->type, theirs->kind);
    switch (ours->kind) {
    case WHIPPET_VALUE_NULL: break;
    case WHIPPET_VALUE_BOOLEAN: cr_assert_eq(ours->boolean, theirs->value.boolean); break;
    case WHIPPET_VALUE_INTEGER:
        cr_assert_eq(ours->integer, integer_of(theirs), "type %c: %lld, rabbitmq-c has %lld", ours->type,
                     (long long)ours->integer, (long long)integer_of(theirs));
        break;
    case WHIPPET_VALUE_REAL:
        cr_assert(same_real(ours->real, ours->type == 'f' ? (double)theirs->value.f32 : theirs->value.f64));
        break;
    case WHIPPET_VALUE_DECIMAL:
        cr_assert_eq(ours->decimal.scale, theirs->value.decimal.decimals);
        cr_assert_eq(ours->decimal.unscaled, theirs->value.decimal.value);
        break;
    case WHIPPET_VALUE_TIMESTAMP: cr_assert_eq(ours->timestamp, theirs->value.u64); break;
    case WHIPPET_VALUE_TEXT:
    case WHIPPET_VALUE_BINARY: compare_bytes(ours->bytes, theirs->value.bytes); break;
    case WHIPPET_VALUE_ARRAY: compare_array(ours->entries, &theirs->value.array); break;
    case WHIPPET_VALUE_TABLE: compare_table(ours->entries, &theirs->value.table); break;
    default: cr_assert_fail("kind %d", ours->kind);
    }
}

static int decode_with_rabbitmq_c(amqp_pool_t *pool, const struct wire *table, amqp_table_t *decoded)
{
    size_t offset = 0;
    return amqp_decode_table((amqp_bytes_t){.len = table->length, .bytes = table->data}, pool, decoded,
                             &offset);
}

Test(table, reads_random_tables_as_rabbitmq_c_does)
{
    uint64_t seed = 17;
    for (int round = 0; round < 2000; round++) {
        amqp_pool_t pool;
        amqp_table_t theirs;
        wire_clear(&wire);
        size_t begun = wire_begin_long(&wire);
        random_table_entries(&wire, &seed, 6);
        wire_end_long(&wire, begun);
        whippet_bytes ours = bytes_of(wire.data + begun, wire.length - begun);

        init_amqp_pool(&pool, 4096);
        cr_assert_eq(decode_with_rabbitmq_c(&pool, &wire, &theirs), 0, "round %d", round);
        cr_assert_eq(check_exactly(ours.data, ours.len), TABLE_SOUND, "round %d", round);
        compare_table(ours, &theirs);
        empty_amqp_pool(&pool);
    }
}

Test(table, what_it_calls_sound_rabbitmq_c_reads_too)
{
    uint64_t seed = 19;
    for (int round = 0; round < 5000; round++) {
        amqp_pool_t pool;
        amqp_table_t theirs;
        wire_clear(&wire);
        size_t begun = wire_begin_long(&wire);
        random_table_entries(&wire, &seed, 4);
        wire_end_long(&wire, begun);
        for (size_t changes = wire.length > begun ? 3 : 0; changes > 0; changes--)
            wire.data[begun + peer_random_below(&seed, wire.length - begun)] = (uint8_t)peer_random(&seed);
        if (check_exactly(wire.data + begun, wire.length - begun) != TABLE_SOUND)
            continue;
        init_amqp_pool(&pool, 4096);
        cr_assert_eq(decode_with_rabbitmq_c(&pool, &wire, &theirs), 0, "round %d", round);
        compare_table(bytes_of(wire.data + begun, wire.length - begun), &theirs);
        empty_amqp_pool(&pool);
    }
}

/* --- Writing --------------------------------------------------------------------------------------------*/

static whippet_bytes name(const char *text)
{
    return bytes_of_text(text);
}

static bool write_one_of_each(void)
{
    return table_add_text(&buffer, name("text"), name("grün")) &&
           table_add_text(&buffer, name("empty"), (whippet_bytes){0}) &&
           table_add_integer(&buffer, name("least"), INT64_MIN) &&
           table_add_integer(&buffer, name("most"), INT64_MAX) &&
           table_add_real(&buffer, name("real"), -0.1) && table_add_boolean(&buffer, name("yes"), true) &&
           table_add_boolean(&buffer, name("no"), false) &&
           table_add_timestamp(&buffer, name("when"), 1700000000) && table_add_null(&buffer, name("nothing"));
}

Test(table, what_is_written_rabbitmq_c_reads)
{
    cr_assert(write_one_of_each());
    amqp_pool_t pool;
    amqp_table_t theirs;
    wire_long(&wire, (uint32_t)written().len);
    wire_raw(&wire, written().data, written().len);
    init_amqp_pool(&pool, 4096);
    cr_assert_eq(decode_with_rabbitmq_c(&pool, &wire, &theirs), 0);
    cr_assert_eq(theirs.num_entries, 9, "%d", theirs.num_entries);
    compare_table(written(), &theirs);
    cr_assert_eq(theirs.entries[2].value.value.i64, INT64_MIN);
    cr_assert_eq(theirs.entries[3].value.value.i64, INT64_MAX);
    cr_assert_eq(theirs.entries[4].value.value.f64, -0.1);
    cr_assert_eq(theirs.entries[5].value.value.boolean, 1);
    cr_assert_eq(theirs.entries[6].value.value.boolean, 0);
    cr_assert_eq(theirs.entries[7].value.value.u64, 1700000000);
    cr_assert_eq(theirs.entries[8].value.kind, AMQP_FIELD_KIND_VOID);
    empty_amqp_pool(&pool);
}

Test(table, a_table_and_an_array_are_written_around_their_contents)
{
    struct buffer inner = {0};
    whippet_value found, item;
    cr_assert(table_add_integer(&inner, (whippet_bytes){0}, 7));
    cr_assert(table_add_text(&inner, (whippet_bytes){0}, name("eight")));
    cr_assert(
        table_add_nested(&buffer, name("list"), 'A', bytes_of(buffer_begin(&inner), buffer_length(&inner))));
    cr_assert(table_add_nested(&buffer, name("none"), 'F', (whippet_bytes){0}));
    buffer_destroy(&inner);

    cr_assert_eq(table_check(written()), TABLE_SOUND);
    found = table_find(written(), name("list"));
    cr_assert_eq(found.kind, WHIPPET_VALUE_ARRAY);
    cr_assert(array_next(&found.entries, &item));
    cr_assert_eq(item.integer, 7);
    cr_assert(array_next(&found.entries, &item));
    cr_assert(bytes_equal_text(item.bytes, "eight"));
    cr_assert_not(array_next(&found.entries, &item));
    cr_assert_eq(table_find(written(), name("none")).kind, WHIPPET_VALUE_TABLE);
}

/* The entry "n", as it is written with a type that was read elsewhere. */
static whippet_value integer_as(char type, int64_t integer)
{
    buffer_clear(&buffer);
    cr_assert(table_add_integer_of(&buffer, name("n"), type, integer));
    cr_assert_eq(table_check(written()), TABLE_SOUND);
    return only_value(written());
}

static whippet_value real_as(char type, double real)
{
    buffer_clear(&buffer);
    cr_assert(table_add_real_of(&buffer, name("n"), type, real));
    cr_assert_eq(table_check(written()), TABLE_SOUND);
    return only_value(written());
}

Test(table, a_whole_number_keeps_its_type_as_long_as_that_holds_it)
{
    static const struct {
        char type;
        int64_t least, most;
    } types[] = {{'b', -128, 127},
                 {'B', 0, 255},
                 {'s', -32768, 32767},
                 {'u', 0, 65535},
                 {'I', INT32_MIN, INT32_MAX},
                 {'i', 0, UINT32_MAX}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const int64_t inside[] = {types[i].least, types[i].least + 1, 0, 1, 77, types[i].most};
        const int64_t outside[] = {types[i].least - 1, types[i].most + 1, INT64_MIN, INT64_MAX};
        for (size_t k = 0; k < sizeof inside / sizeof *inside; k++) {
            whippet_value value = integer_as(types[i].type, inside[k]);
            cr_assert_eq(value.type, types[i].type, "%c became %c", types[i].type, value.type);
            cr_assert_eq(value.integer, inside[k], "%c: %lld", types[i].type, (long long)value.integer);
        }
        for (size_t k = 0; k < sizeof outside / sizeof *outside; k++) {
            whippet_value value = integer_as(types[i].type, outside[k]);
            cr_assert_eq(value.type, 'l', "%c became %c", types[i].type, value.type);
            cr_assert_eq(value.integer, outside[k], "%c: %lld", types[i].type, (long long)value.integer);
        }
    }
}

Test(table, a_whole_number_of_no_such_type_has_64_bits)
{
    const char types[] = {'l', 'f', 'S', '\0'};
    for (size_t i = 0; i < sizeof types; i++) {
        cr_assert_eq(integer_as(types[i], -5).type, 'l');
        cr_assert_eq(integer_as(types[i], -5).integer, -5);
    }
    cr_assert_eq(integer_as('L', -5).type, 'L');
    cr_assert_eq(integer_as('L', -5).integer, -5, "2^64 - 5, as it is read");
}

Test(table, a_real_keeps_its_type_as_long_as_that_holds_it)
{
    const double floats[] = {0, 1.5, -2.25, (double)FLT_MAX, HUGE_VAL, -HUGE_VAL};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        cr_assert_eq(real_as('f', floats[i]).type, 'f');
        cr_assert_eq(real_as('f', floats[i]).real, floats[i]);
        cr_assert_eq(real_as('d', floats[i]).type, 'd');
        cr_assert_eq(real_as('d', floats[i]).real, floats[i]);
    }
    cr_assert_eq(real_as('f', NAN).type, 'f');
    cr_assert(isnan(real_as('f', NAN).real));
    const double doubles[] = {0.1, 1e300, -DBL_MAX};
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++) {
        cr_assert_eq(real_as('f', doubles[i]).type, 'd');
        cr_assert_eq(real_as('f', doubles[i]).real, doubles[i]);
    }
}

Test(table, names_may_have_255_bytes_and_none)
{
    char longest[256];
    memset(longest, 'n', sizeof longest);
    cr_assert(table_add_boolean(&buffer, bytes_of(longest, 255), true));
    cr_assert(table_add_boolean(&buffer, bytes_of("", 0), true), "an empty name is a name");
    cr_assert_eq(table_check(written()), TABLE_SOUND);
    cr_assert_eq(table_find(written(), bytes_of(longest, 255)).kind, WHIPPET_VALUE_BOOLEAN);
    cr_assert_eq(table_find(written(), bytes_of("", 0)).kind, WHIPPET_VALUE_BOOLEAN);
}

static size_t permitted;

static bool permit_some(size_t size)
{
    (void)size;
    return permitted > 0 && permitted-- > 0;
}

Test(table, writing_says_when_memory_is_short)
{
    memory_permit = permit_some;
    cr_assert_not(table_add_text(&buffer, name("n"), name("text")));
    cr_assert_not(table_add_integer(&buffer, name("n"), 1));
    cr_assert_not(table_add_real(&buffer, name("n"), 1));
    cr_assert_not(table_add_integer_of(&buffer, name("n"), 'b', 1));
    cr_assert_not(table_add_real_of(&buffer, name("n"), 'f', 1));
    cr_assert_not(table_add_boolean(&buffer, name("n"), true));
    cr_assert_not(table_add_timestamp(&buffer, name("n"), 1));
    cr_assert_not(table_add_null(&buffer, name("n")));
    cr_assert_not(table_add_nested(&buffer, name("n"), 'F', (whippet_bytes){0}));
    cr_assert_eq(buffer_length(&buffer), 0);
}
