#include <base/memory.h>
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

static bool refuse(size_t size)
{
    (void)size;
    return false;
}

static size_t last_size;

static bool remember(size_t size)
{
    last_size = size;
    return true;
}

Test(memory, zeroed_memory_is_zero)
{
    unsigned char *memory = memory_allocate_zeroed(64);
    cr_assert_not_null(memory);
    for (size_t i = 0; i < 64; i++)
        cr_assert_eq(memory[i], 0, "byte %zu is %u", i, memory[i]);
    memory_free(memory);
}

Test(memory, resizing_keeps_the_content)
{
    char *memory = memory_allocate(4);
    cr_assert_not_null(memory);
    memcpy(memory, "abc", 4);
    memory = memory_resize(memory, 4096);
    cr_assert_str_eq(memory, "abc");
    memory_free(memory);
}

Test(memory, copies_text)
{
    char *copy = memory_copy_text("orders");
    cr_assert_str_eq(copy, "orders");
    memory_free(copy);
    cr_assert_null(memory_copy_text(NULL));
}

Test(memory, copies_a_span_and_ends_it_with_nul)
{
    char *copy = memory_copy_span("ab\0cd", 5);
    cr_assert_eq(memcmp(copy, "ab\0cd", 6), 0, "the copy differs");
    memory_free(copy);
    char *empty = memory_copy_span(NULL, 0);
    cr_assert_str_eq(empty, "");
    memory_free(empty);
}

Test(memory, a_span_too_long_for_its_nul_is_refused)
{
    cr_assert_null(memory_copy_span("", SIZE_MAX));
}

Test(memory, freeing_null_is_harmless)
{
    memory_free(NULL);
}

Test(memory, permit_is_told_the_size)
{
    memory_permit = remember;
    memory_free(memory_copy_text("four"));
    cr_assert_eq(last_size, 5, "told %zu", last_size);
}

Test(memory, every_way_to_allocate_fails_when_it_is_not_permitted)
{
    char *before = memory_allocate(8);
    memory_permit = refuse;
    cr_assert_null(memory_allocate(1));
    cr_assert_null(memory_allocate_zeroed(1));
    cr_assert_null(memory_resize(before, 16));
    cr_assert_null(memory_copy_text("x"));
    cr_assert_null(memory_copy_span("x", 1));
    memory_free(before);
}
