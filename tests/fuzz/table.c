/* Field tables: what is sound is read to its end, by rabbitmq-c too; what is not does no harm. */
#include "../support/wire.h"
#include "fuzz.h"
#include <amqp/table.h>
#include <string.h>

/* Only sound values are read, which are at most TABLE_DEPTH_LIMIT deep. Returns how many there are. */
static size_t read_value(const whippet_value *value)
{
    whippet_bytes rest = value->entries, name;
    whippet_value inner;
    size_t count = 1;
    if (value->kind == WHIPPET_VALUE_TABLE)
        while (table_next(&rest, &name, &inner, NULL))
            count += read_value(&inner);
    else if (value->kind == WHIPPET_VALUE_ARRAY)
        while (array_next(&rest, &inner))
            count += read_value(&inner);
    else
        return 1;
    FUZZ_PROMISE(rest.len == 0);
    return count;
}

static void read_table(whippet_bytes entries, bool sound)
{
    whippet_bytes rest = entries, name, raw;
    whippet_value value;
    size_t read = 0;
    while (table_next(&rest, &name, &value, &raw)) {
        FUZZ_PROMISE(raw.data == (const char *)entries.data + read);
        FUZZ_PROMISE(value.kind != WHIPPET_VALUE_ABSENT);
        read += raw.len;
        if (sound) {
            FUZZ_PROMISE(read_value(&value) > 0);
            FUZZ_PROMISE(table_find(entries, name).kind != WHIPPET_VALUE_ABSENT);
        }
    }
    FUZZ_PROMISE(!sound || read == entries.len);
}

static void compare_with_rabbitmq_c(whippet_bytes entries)
{
    struct wire wire = {0};
    amqp_pool_t pool;
    amqp_table_t table;
    size_t offset = 0;
    wire_long(&wire, (uint32_t)entries.len);
    wire_raw(&wire, entries.data, entries.len);
    init_amqp_pool(&pool, 4096);
    FUZZ_PROMISE(amqp_decode_table((amqp_bytes_t){wire.length, wire.data}, &pool, &table, &offset) == 0);
    FUZZ_PROMISE(offset == wire.length);
    empty_amqp_pool(&pool);
    wire_destroy(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    whippet_bytes entries = bytes_of(data, size);
    bool sound = table_check(entries) == TABLE_SOUND;
    /* table_find is quadratic here: a long table of tiny entries proves nothing that a short one does not. */
    if (size > 4096)
        return 0;
    read_table(entries, sound);
    if (sound)
        compare_with_rabbitmq_c(entries);
    return 0;
}
