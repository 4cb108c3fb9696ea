#include <base/utf8.h>
#include <criterion/criterion.h>
#include <string.h>

static void assert_sequence(const char *text, size_t expected)
{
    size_t found = utf8_sequence(text, strlen(text));
    cr_assert_eq(found, expected, "\"%s\" (%02x) is %zu long, not %zu", text, (unsigned char)text[0], found,
                 expected);
}

Test(utf8, knows_sequences_of_every_length)
{
    assert_sequence("a", 1);
    assert_sequence("\xc2\x80", 2);
    assert_sequence("\xdf\xbf", 2);
    assert_sequence("\xe0\xa0\x80", 3);
    assert_sequence("\xed\x9f\xbf", 3);
    assert_sequence("\xef\xbf\xbf", 3);
    assert_sequence("\xf0\x90\x80\x80", 4);
    assert_sequence("\xf4\x8f\xbf\xbf", 4);
}

Test(utf8, refuses_what_is_not_valid)
{
    assert_sequence("\x80", 0);             /* a continuation alone */
    assert_sequence("\xc0\x80", 0);         /* NUL in two bytes */
    assert_sequence("\xc1\xbf", 0);         /* not the shortest */
    assert_sequence("\xe0\x9f\xbf", 0);     /* not the shortest */
    assert_sequence("\xed\xa0\x80", 0);     /* a surrogate */
    assert_sequence("\xf0\x8f\xbf\xbf", 0); /* not the shortest */
    assert_sequence("\xf4\x90\x80\x80", 0); /* above U+10FFFF */
    assert_sequence("\xf5\x80\x80\x80", 0);
    assert_sequence("\xff", 0);
    assert_sequence("\xc3(", 0);
    assert_sequence("\xe2\x82", 0); /* cut */
    cr_assert_eq(utf8_sequence("", 0), 0);
}

Test(utf8, never_cuts_a_sequence)
{
    const char *text = "a€b"; /* 1 + 3 + 1 bytes */
    const size_t expected[] = {0, 1, 1, 1, 4, 5, 5};
    for (size_t limit = 0; limit < 7; limit++) {
        size_t found = utf8_cut(text, 5, limit);
        cr_assert_eq(found, expected[limit], "cut to %zu at limit %zu", found, limit);
    }
}

Test(utf8, cuts_garbage_somewhere_near)
{
    size_t found = utf8_cut("\x80\x80\x80\x80\x80\x80\x80\x80", 8, 7);
    cr_assert(found >= 4 && found <= 7, "cut to %zu", found);
}

Test(utf8, tells_the_code_point_of_each_length)
{
    cr_assert_eq(utf8_code_point("A", 1), 0x41);
    cr_assert_eq(utf8_code_point("é", 2), 0xe9);
    cr_assert_eq(utf8_code_point("世", 3), 0x4e16);
    cr_assert_eq(utf8_code_point("🐇", 4), 0x1f407);
}
