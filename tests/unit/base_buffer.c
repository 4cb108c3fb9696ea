#include <base/buffer.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct buffer buffer;

static void setup(void)
{
    buffer_init(&buffer);
}

static void teardown(void)
{
    memory_permit = NULL;
    buffer_destroy(&buffer);
}

TestSuite(buffer, .init = setup, .fini = teardown);

static bool refuse(size_t size)
{
    (void)size;
    return false;
}

static void assert_content(const char *expected)
{
    size_t length = strlen(expected);
    cr_assert_eq(buffer_length(&buffer), length, "holds %zu bytes, not %zu", buffer_length(&buffer), length);
    cr_assert_eq(memcmp(buffer_begin(&buffer), expected, length), 0, "holds \"%.*s\"", (int)length,
                 (const char *)buffer_begin(&buffer));
}

Test(buffer, is_empty_at_first)
{
    cr_assert_eq(buffer_length(&buffer), 0);
    cr_assert_null(buffer_begin(&buffer));
}

Test(buffer, gives_back_what_was_appended_in_order)
{
    cr_assert(buffer_append(&buffer, "one ", 4));
    cr_assert(buffer_append(&buffer, "two", 3));
    assert_content("one two");
    buffer_consume(&buffer, 4);
    assert_content("two");
}

Test(buffer, takes_nothing_from_an_empty_append)
{
    cr_assert(buffer_append(&buffer, NULL, 0));
    cr_assert_eq(buffer_length(&buffer), 0);
}

Test(buffer, counts_reserved_room_only_when_committed)
{
    uint8_t *room = buffer_reserve(&buffer, 100);
    cr_assert_not_null(room);
    cr_assert_eq(buffer_length(&buffer), 0);
    memcpy(room, "ab", 2);
    buffer_commit(&buffer, 2);
    assert_content("ab");
}

Test(buffer, reserving_nothing_gives_an_address)
{
    cr_assert_not_null(buffer_reserve(&buffer, 0));
}

Test(buffer, starts_over_when_all_was_consumed)
{
    cr_assert(buffer_append(&buffer, "abc", 3));
    buffer_consume(&buffer, 3);
    cr_assert_eq(buffer.start, 0);
    cr_assert_eq(buffer.end, 0);
}

Test(buffer, reuses_consumed_room_without_growing)
{
    char block[100];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 1000; i++) {
        cr_assert(buffer_append(&buffer, block, sizeof block));
        buffer_consume(&buffer, i == 0 ? 50 : sizeof block);
    }
    cr_assert_leq(buffer.capacity, 512, "grew to %zu", buffer.capacity);
}

Test(buffer, equals_a_model_over_random_steps)
{
    static uint8_t fed[400000];
    size_t appended = 0, consumed = 0;
    srand(7);
    for (size_t i = 0; i < sizeof fed; i++)
        fed[i] = (uint8_t)rand();
    while (appended < sizeof fed - 3000) {
        size_t size = (size_t)rand() % 3000;
        cr_assert(buffer_append(&buffer, fed + appended, size));
        appended += size;
        size_t taken = (size_t)rand() % (appended - consumed + 1);
        cr_assert_eq(buffer_length(&buffer), appended - consumed);
        cr_assert_eq(memcmp(buffer_begin(&buffer), fed + consumed, appended - consumed), 0, "differs at %zu",
                     consumed);
        buffer_consume(&buffer, taken);
        consumed += taken;
    }
}

Test(buffer, is_unchanged_when_memory_is_short)
{
    cr_assert(buffer_append(&buffer, "abc", 3));
    memory_permit = refuse;
    cr_assert_null(buffer_reserve(&buffer, 100000));
    char large[1000] = {0};
    cr_assert_not(buffer_append(&buffer, large, sizeof large));
    assert_content("abc");
}

Test(buffer, refuses_impossible_sizes)
{
    cr_assert_null(buffer_reserve(&buffer, SIZE_MAX));
    cr_assert(buffer_append(&buffer, "abc", 3));
    cr_assert_null(buffer_reserve(&buffer, SIZE_MAX - 1));
    assert_content("abc");
}

Test(buffer, clearing_keeps_the_memory)
{
    cr_assert(buffer_append(&buffer, "abc", 3));
    size_t capacity = buffer.capacity;
    buffer_clear(&buffer);
    cr_assert_eq(buffer_length(&buffer), 0);
    cr_assert_eq(buffer.capacity, capacity);
}

Test(buffer, trimming_gives_memory_back_only_when_empty)
{
    cr_assert_not_null(buffer_reserve(&buffer, 100000));
    buffer_commit(&buffer, 1);
    buffer_trim(&buffer, 4096);
    cr_assert_geq(buffer.capacity, 100000);
    buffer_consume(&buffer, 1);
    buffer_trim(&buffer, 4096);
    cr_assert_eq(buffer.capacity, 4096, "kept %zu", buffer.capacity);
    buffer_trim(&buffer, 0);
    cr_assert_eq(buffer.capacity, 0);
    cr_assert(buffer_append(&buffer, "works on", 8));
    assert_content("works on");
}

Test(buffer, trimming_without_memory_changes_nothing)
{
    cr_assert_not_null(buffer_reserve(&buffer, 100000));
    memory_permit = refuse;
    buffer_trim(&buffer, 4096);
    cr_assert_geq(buffer.capacity, 100000);
}
