/* traceparent and tracestate, by the cases of W3C's own test suite (https://github.com/w3c/trace-context). */
#include <base/bytes.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <trace/context.h>

#define SOUND "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static bool is_read(const char *text)
{
    struct trace_context context;
    return trace_parent_read(bytes_of_text(text), &context);
}

Test(trace_parent, is_read_and_written_again_as_it_was)
{
    struct trace_context context;
    char written[TRACE_PARENT_SIZE];
    cr_assert(trace_parent_read(bytes_of_text(SOUND), &context));
    cr_assert_eq(context.trace_high, 0x0af7651916cd43dd);
    cr_assert_eq(context.trace_low, 0x8448eb211c80319c);
    cr_assert_eq(context.span, 0xb7ad6b7169203331);
    cr_assert(trace_context_is_set(&context) && trace_context_is_sampled(&context));
    trace_parent_write(&context, written);
    cr_assert_str_eq(written, SOUND);
}

Test(trace_parent, keeps_the_flags_that_are_known)
{
    struct trace_context context;
    char written[TRACE_PARENT_SIZE];
    cr_assert(trace_parent_read(bytes_of_text("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fe"),
                                &context));
    cr_assert_not(trace_context_is_sampled(&context));
    trace_parent_write(&context, written);
    cr_assert_str_eq(written, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02");
}

Test(trace_parent, of_a_later_version_is_read_as_far_as_it_is_known)
{
    cr_expect(is_read("cc-12345678901234567890123456789012-1234567890123456-01"));
    cr_expect(
        is_read("cc-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-like"));
    cr_expect_not(
        is_read("cc-12345678901234567890123456789012-1234567890123456-01.what-the-future-will-not-be-like"));
}

Test(trace_parent, is_ignored_when_it_is_wrong)
{
    static const char *const TEXTS[] = {
        "",
        "00",
        SOUND "-",
        SOUND "-what-the-future-will-be-like",
        SOUND "0",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ",
        "000-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        ".0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "0.-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01",
        "00-.2345678901234567890123456789012-1234567890123456-01",
        "00-1234567890123456789012345678901.-1234567890123456-01",
        "00-12345678901234567890123456789012-.234567890123456-01",
        "00-12345678901234567890123456789012-123456789012345.-01",
        "00-12345678901234567890123456789012-1234567890123456-.0",
        "00-12345678901234567890123456789012-1234567890123456-0.",
        "00-12345678901234567890123456789012-1234567890123456-0A",
        "00-1234567890123456789012345678901-1234567890123456-001",
        "00-12345678901234567890123456789012-123456789012345-001",
        "00-12345678901234567890123456789012-1234567890123456-1",
        "00_12345678901234567890123456789012-1234567890123456-01",
        "00-12345678901234567890123456789012_1234567890123456-01",
        "00-12345678901234567890123456789012-1234567890123456_01",
    };
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++)
        cr_expect_not(is_read(TEXTS[i]), "\"%s\"", TEXTS[i]);
}

Test(trace_id, is_never_the_same)
{
    uint64_t first = trace_id_make(), second = trace_id_make();
    cr_assert(first != 0 && second != 0 && first != second);
}

/* --- tracestate -----------------------------------------------------------------------------------------*/

static bool is_sound(const char *text)
{
    return trace_state_is_sound(bytes_of_text(text));
}

Test(trace_state, is_sound_as_the_standard_has_it)
{
    char longest[600];
    cr_expect(is_sound("foo=1,bar=2"));
    cr_expect(is_sound("foo=1 \t , \t bar=2, \t baz=3"));
    cr_expect(is_sound("foo=1,,bar=2,"), "empty members are allowed");
    cr_expect(is_sound("foo=1,foo=1"), "a member that stands twice is passed on");
    cr_expect(is_sound("fw529a3039@dt=FfSe*/-_~!#$%&'()+:;<>?@[\\]^`{|}"));
    cr_expect(is_sound("0tenant@vendor=x"));
    cr_expect(is_sound("a= leading and inner spaces"));
    snprintf(longest, sizeof longest, "a%0255d=%0256d", 0, 0);
    cr_expect(is_sound(longest), "256 bytes each are allowed");
}

Test(trace_state, is_not_passed_on_when_it_is_wrong)
{
    static const char *const TEXTS[] = {
        "",
        " ",
        ",",
        "foo",
        "foo=",
        "=1",
        "foo =1",
        "FOO=1",
        "foo.bar=1",
        "0foo=1",
        "foo@=1",
        "@foo=1",
        "foo@@bar=1",
        "foo@b@r=1",
        "foo@0bar=1",
        "foo=bar=baz",
        "foo=\x01",
        "foo=\xff",
        "foo=1;bar=2,x",
        "foo=1,bar",
        "a@thisistoolongsystem=1",
    };
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++)
        cr_expect_not(is_sound(TEXTS[i]), "\"%s\"", TEXTS[i]);
}

Test(trace_state, has_32_members_at_most_and_limits_for_each)
{
    char text[1200] = "";
    for (int i = 0; i < 32; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "k%d=%d,", i, i);
    cr_expect(is_sound(text));
    strcat(text, "one=more");
    cr_expect_not(is_sound(text));
    snprintf(text, sizeof text, "a%0256d=1", 0);
    cr_expect_not(is_sound(text), "a key of 257 bytes");
    snprintf(text, sizeof text, "a=%0257d", 0);
    cr_expect_not(is_sound(text), "a value of 257 bytes");
    cr_expect_not(trace_state_is_sound(bytes_of("a\0b=1", 5)), "a NUL in a key");
}
