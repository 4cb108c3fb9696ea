#include "../../src/admin/text.h"
#include <base/memory.h>
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static struct text text;

static void begin(void)
{
    text_init(&text);
}

static void end(void)
{
    text_destroy(&text);
}

TestSuite(text, .init = begin, .fini = end);

static void assert_is(const char *expected)
{
    size_t length = buffer_length(&text.buffer);
    cr_assert(!text.failed);
    cr_assert(length == strlen(expected) && memcmp(buffer_begin(&text.buffer), expected, length) == 0,
              "found %.*s\nexpected %s", (int)length, (const char *)buffer_begin(&text.buffer), expected);
}

Test(text, writes_whole_numbers_up_to_the_last)
{
    text_put_unsigned(&text, 0);
    text_put(&text, " ");
    text_put_unsigned(&text, UINT64_MAX);
    assert_is("0 18446744073709551615");
}

Test(text, writes_numbers_that_read_back_the_same)
{
    text_put_double(&text, 0.1);
    text_put(&text, " ");
    text_put_double(&text, 1795634757.8160357);
    text_put(&text, " ");
    text_put_double(&text, 3);
    assert_is("0.1 1795634757.8160357 3");
}

Test(text, sets_commas_in_json_by_itself)
{
    json_open(&text, NULL, '{');
    json_text(&text, "a", "x");
    json_open(&text, "list", '[');
    json_unsigned(&text, NULL, 1);
    json_number(&text, NULL, 0.5);
    json_open(&text, NULL, '{');
    json_close(&text, '}');
    json_close(&text, ']');
    json_boolean(&text, "yes", true);
    json_text(&text, "none", NULL);
    json_null(&text, "nothing");
    json_close(&text, '}');
    assert_is("{\"a\":\"x\",\"list\":[1,0.5,{}],\"yes\":true,\"none\":null,\"nothing\":null}");
}

Test(text, escapes_what_json_does_not_take_as_it_is)
{
    json_text(&text, NULL, "say \"\\\"\n\x01 \xc3\xa4 \xff");
    assert_is("\"say \\\"\\\\\\\"\\u000a\\u0001 \xc3\xa4 \xef\xbf\xbd\"");
}

static bool refuse(size_t size)
{
    (void)size;
    return false;
}

Test(text, remembers_that_memory_was_short)
{
    memory_permit = refuse;
    text_put(&text, "lost");
    memory_permit = NULL;
    text_put(&text, "not lost");
    cr_assert(text.failed);
}
