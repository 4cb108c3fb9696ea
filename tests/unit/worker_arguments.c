/* Arguments from JSON to AMQP, read back by rabbitmq-c. */
#include <base/memory.h>
#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wire.h>
#include <worker/arguments.h>

static struct buffer entries;
static amqp_pool_t pool;
static amqp_table_t table;
static cJSON *json;
static struct wire encoded; /* what `table` points into */

static void open_all(void)
{
    buffer_init(&entries);
    init_amqp_pool(&pool, 4096);
}

static void close_all(void)
{
    memory_permit = NULL;
    buffer_destroy(&entries);
    empty_amqp_pool(&pool);
    cJSON_Delete(json);
    wire_destroy(&encoded);
}

TestSuite(arguments, .init = open_all, .fini = close_all);

/* What rabbitmq-c makes of it. */
static void write_and_decode(const char *text)
{
    size_t offset = 0;
    json = cJSON_Parse(text);
    cr_assert_not_null(json, "no JSON: %s", text);
    cr_assert_eq(arguments_write(&entries, json), 0);
    wire_long(&encoded, (uint32_t)buffer_length(&entries));
    wire_raw(&encoded, buffer_begin(&entries), buffer_length(&entries));
    amqp_bytes_t bytes = {.len = encoded.length, .bytes = encoded.data};
    cr_assert_eq(amqp_decode_table(bytes, &pool, &table, &offset), 0, "rabbitmq-c can't decode %s", text);
    cr_assert_eq(offset, encoded.length);
    cr_assert_eq(table_check(bytes_of(buffer_begin(&entries), buffer_length(&entries))), TABLE_SOUND);
}

static const amqp_table_entry_t *entry(int index, const char *name, char kind)
{
    cr_assert_lt(index, table.num_entries, "%d entries", table.num_entries);
    const amqp_table_entry_t *found = &table.entries[index];
    cr_assert(found->key.len == strlen(name) && memcmp(found->key.bytes, name, found->key.len) == 0,
              "entry %d is \"%.*s\", not \"%s\"", index, (int)found->key.len, (char *)found->key.bytes, name);
    cr_assert_eq(found->value.kind, kind, "\"%s\" is of the type %c, not %c", name, found->value.kind, kind);
    return found;
}

Test(arguments, write_nothing_for_nothing)
{
    cr_assert_eq(arguments_write(&entries, NULL), 0);
    json = cJSON_Parse("{}");
    cr_assert_eq(arguments_write(&entries, json), 0);
    cr_assert_eq(buffer_length(&entries), 0);
}

Test(arguments, write_each_kind_of_value_in_its_order)
{
    write_and_decode(
        "{\"text\":\"lazy\",\"yes\":true,\"no\":false,\"whole\":-86400000,\"real\":0.5,\"none\":null}");
    amqp_bytes_t text = entry(0, "text", AMQP_FIELD_KIND_UTF8)->value.value.bytes;
    cr_assert(text.len == 4 && memcmp(text.bytes, "lazy", 4) == 0);
    cr_assert(entry(1, "yes", AMQP_FIELD_KIND_BOOLEAN)->value.value.boolean);
    cr_assert_not(entry(2, "no", AMQP_FIELD_KIND_BOOLEAN)->value.value.boolean);
    cr_assert_eq(entry(3, "whole", AMQP_FIELD_KIND_I64)->value.value.i64, -86400000);
    cr_assert_eq(entry(4, "real", AMQP_FIELD_KIND_F64)->value.value.f64, 0.5);
    entry(5, "none", AMQP_FIELD_KIND_VOID);
    cr_assert_eq(table.num_entries, 6);
}

Test(arguments, write_whole_numbers_as_such_up_to_2_to_the_53)
{
    write_and_decode("{\"a\":9007199254740992,\"b\":-9007199254740992,\"c\":1e300,\"d\":0,\"e\":2.0}");
    cr_assert_eq(entry(0, "a", AMQP_FIELD_KIND_I64)->value.value.i64, 9007199254740992);
    cr_assert_eq(entry(1, "b", AMQP_FIELD_KIND_I64)->value.value.i64, -9007199254740992);
    cr_assert_eq(entry(2, "c", AMQP_FIELD_KIND_F64)->value.value.f64, 1e300);
    cr_assert_eq(entry(3, "d", AMQP_FIELD_KIND_I64)->value.value.i64, 0);
    cr_assert_eq(entry(4, "e", AMQP_FIELD_KIND_I64)->value.value.i64, 2);
}

Test(arguments, write_lists_and_objects_inside_each_other)
{
    write_and_decode("{\"list\":[1,\"two\",{\"three\":[true]}],\"empty\":{},\"none\":[]}");
    amqp_array_t list = entry(0, "list", AMQP_FIELD_KIND_ARRAY)->value.value.array;
    cr_assert_eq(list.num_entries, 3);
    cr_assert_eq(list.entries[0].value.i64, 1);
    cr_assert_eq(list.entries[1].kind, AMQP_FIELD_KIND_UTF8);
    amqp_table_t inner = list.entries[2].value.table;
    cr_assert_eq(inner.num_entries, 1);
    cr_assert_eq(inner.entries[0].value.kind, AMQP_FIELD_KIND_ARRAY);
    cr_assert_eq(inner.entries[0].value.value.array.num_entries, 1);
    cr_assert_eq(entry(1, "empty", AMQP_FIELD_KIND_TABLE)->value.value.table.num_entries, 0);
    cr_assert_eq(entry(2, "none", AMQP_FIELD_KIND_ARRAY)->value.value.array.num_entries, 0);
}

Test(arguments, take_a_name_of_255_bytes_and_refuse_one_of_256)
{
    char name[257];
    memset(name, 'n', sizeof name);
    name[255] = '\0';
    json = cJSON_CreateObject();
    cJSON_AddTrueToObject(json, name);
    cr_assert_eq(arguments_write(&entries, json), 0);
    cJSON_Delete(json);
    name[255] = 'n';
    name[256] = '\0';
    json = cJSON_CreateObject();
    cJSON_AddTrueToObject(cJSON_AddObjectToObject(json, "nested"), name);
    cr_assert_eq(arguments_write(&entries, json), WHIPPET_E_INVALID);
}

static unsigned allowed;

static bool up_to_allowed(size_t size)
{
    (void)size;
    return allowed > 0 && allowed-- > 0;
}

Test(arguments, say_so_when_any_allocation_fails)
{
    json = cJSON_Parse("{\"a\":{\"b\":[{\"c\":\"d\"},2]},\"e\":1.5,\"f\":true,\"g\":null}");
    int error = WHIPPET_E_MEMORY;
    for (unsigned count = 0; error != 0; count++) {
        struct buffer fresh;
        buffer_init(&fresh);
        allowed = count;
        memory_permit = up_to_allowed;
        error = arguments_write(&fresh, json);
        memory_permit = NULL;
        buffer_destroy(&fresh);
        cr_assert(error == 0 || error == WHIPPET_E_MEMORY, "%s", whippet_error_text(error));
        cr_assert(error != 0 || count >= 3, "%u allocations did", count);
        cr_assert_lt(count, 100);
    }
}
