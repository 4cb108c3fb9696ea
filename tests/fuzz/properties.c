/* Basic properties: checked, read, copied with other headers; what is sound rabbitmq-c must be able to read.
 */
#include "../support/wire.h"
#include "fuzz.h"
#include <amqp/properties.h>
#include <string.h>

static void compare_with_rabbitmq_c(whippet_bytes properties)
{
    amqp_pool_t pool;
    void *decoded = NULL;
    amqp_bytes_t encoded = {.len = properties.len, .bytes = (void *)(uintptr_t)properties.data};
    init_amqp_pool(&pool, 4096);
    FUZZ_PROMISE(amqp_decode_properties(WIRE_BASIC_CLASS, &pool, encoded, &decoded) == 0);
    FUZZ_PROMISE((((amqp_basic_properties_t *)decoded)->_flags & 0xFFFF) == read_u16(properties.data));
    empty_amqp_pool(&pool);
}

static void expect_same_but_headers(whippet_bytes copy, whippet_bytes original, unsigned left_out)
{
    for (enum property property = 0; property < PROPERTY_COUNT; property++) {
        whippet_bytes found = properties_get(copy, property), expected = properties_get(original, property);
        if (property == PROPERTY_HEADERS)
            continue;
        if ((left_out & 1u << property) != 0)
            FUZZ_PROMISE(found.data == NULL);
        else
            FUZZ_PROMISE((found.data == NULL) == (expected.data == NULL) && bytes_equal(found, expected));
    }
}

static void copy(whippet_bytes properties, unsigned leave_out)
{
    static const char entries[] = "\x01xS\x00\x00\x00\x01y";
    struct buffer out;
    buffer_init(&out);
    FUZZ_PROMISE(properties_copy(&out, properties, bytes_of(entries, 8), leave_out) == 0);
    whippet_bytes copied = bytes_of(buffer_begin(&out), buffer_length(&out));
    FUZZ_PROMISE(properties_check(copied) == PROPERTIES_SOUND);
    expect_same_but_headers(copied, properties, leave_out);
    buffer_destroy(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    whippet_bytes properties = bytes_of(data, size);
    enum properties_check found = properties_check(properties);
    if (found == PROPERTIES_MALFORMED)
        return 0;
    copy(properties, 0);
    copy(properties, data[size - 1] * 256u & ~(1u << PROPERTY_HEADERS));
    if (found == PROPERTIES_SOUND)
        compare_with_rabbitmq_c(properties);
    return 0;
}
