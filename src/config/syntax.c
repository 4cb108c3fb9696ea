#include "syntax.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct cursor {
    const char *begin;
    const char *at;
    const char *end;
    const char *open[SYNTAX_MOST_NESTING]; /* the brackets we are in */
    size_t depth;
    struct syntax_fault *fault;
};

struct position syntax_position(const char *text, size_t offset)
{
    struct position position = {.line = 1, .column = 1};
    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n') {
            position.line++;
            position.column = 1;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
            position.column++;
        }
    }
    return position;
}

__attribute__((format(printf, 3, 4))) static bool fail(struct cursor *cursor, const char *at,
                                                       const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(cursor->fault->text, sizeof cursor->fault->text, format, arguments);
    va_end(arguments);
    cursor->fault->offset = (size_t)(at - cursor->begin);
    return false;
}

static bool is_digit(char character)
{
    return character >= '0' && character <= '9';
}

static bool is_letter(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           character == '_';
}

static char peek(const struct cursor *cursor)
{
    return *cursor->at;
}

static void skip_space(struct cursor *cursor)
{
    while (cursor->at < cursor->end && strchr(" \t\r\n", *cursor->at) != NULL)
        cursor->at++;
}

static bool starts_with(const struct cursor *cursor, const char *text)
{
    size_t length = strlen(text);
    return (size_t)(cursor->end - cursor->at) >= length && memcmp(cursor->at, text, length) == 0;
}

/* A word that other languages have and JSON has not: then what JSON has in its place. */
static bool fail_at_foreign_word(struct cursor *cursor)
{
    static const struct {
        const char *word;
        const char *advice;
    } foreign[] = {
        {"True", "JSON writes it true"},         {"TRUE", "JSON writes it true"},
        {"False", "JSON writes it false"},       {"FALSE", "JSON writes it false"},
        {"None", "JSON writes it null"},         {"NULL", "JSON writes it null"},
        {"undefined", "JSON has no such value"}, {"NaN", "JSON has no such number"},
        {"Infinity", "JSON has no such number"},
    };
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        if (starts_with(cursor, foreign[i].word)) {
            fail(cursor, cursor->at, "found %s; %s", foreign[i].word, foreign[i].advice);
            return true;
        }
    }
    return false;
}

static bool fail_at_end(struct cursor *cursor, const char *what)
{
    if (cursor->depth == 0)
        return fail(cursor, cursor->end, "expected %s, but the text ends here", what);
    const char *open = cursor->open[cursor->depth - 1];
    return fail(cursor, cursor->end, "expected %s, but the text ends here; the %c of line %d is not closed",
                what, *open, syntax_position(cursor->begin, (size_t)(open - cursor->begin)).line);
}

/* One character at most is shown of what stands there: it may be a piece of a password whose quotes went
 * wrong. */
static bool fail_expected(struct cursor *cursor, const char *what)
{
    char found = peek(cursor);
    if (cursor->at >= cursor->end)
        return fail_at_end(cursor, what);
    if (found == '#' || starts_with(cursor, "//") || starts_with(cursor, "/*"))
        return fail(cursor, cursor->at, "a comment begins here, but JSON has none; remove it");
    if (found == '\'')
        return fail(cursor, cursor->at, "expected %s, found a single quote; JSON has only double quotes",
                    what);
    if (found == '"')
        return fail(cursor, cursor->at, "expected %s, found a double quote", what);
    if (fail_at_foreign_word(cursor))
        return false;
    if (found > ' ' && found < 0x7f)
        return fail(cursor, cursor->at, "expected %s, found %c", what, found);
    return fail(cursor, cursor->at, "expected %s, found a character that has no place here (byte 0x%02x)",
                what, (unsigned)(unsigned char)found);
}

/* Four hexadecimal digits, or -1. */
static int32_t read_hex(const char *at, const char *end)
{
    int32_t code = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *digit = at[i] != '\0' ? strchr(digits, at[i]) : NULL;
        if (digit == NULL)
            return -1;
        code = code * 16 + (int32_t)((digit - digits) % 16);
    }
    return code;
}

/* At the backslash of \uXXXX. */
static bool check_unicode_escape(struct cursor *cursor)
{
    const char *begin = cursor->at;
    int32_t code = read_hex(begin + 2, cursor->end);
    if (code < 0)
        return fail(cursor, begin, "\\u takes four hexadecimal digits");
    if (code == 0)
        return fail(cursor, begin, "\\u0000 is not supported in a string");
    cursor->at += 6;
    if (code < 0xd800 || code > 0xdfff)
        return true;
    int32_t low = starts_with(cursor, "\\u") ? read_hex(cursor->at + 2, cursor->end) : -1;
    if (code > 0xdbff || low < 0xdc00 || low > 0xdfff)
        return fail(cursor, begin, "half of a surrogate pair; write \\ud83d\\ude00, or the character itself");
    cursor->at += 6;
    return true;
}

static bool check_escape(struct cursor *cursor)
{
    char letter = cursor->at[1];
    if (letter == 'u')
        return check_unicode_escape(cursor);
    if (letter == '\0' || strchr("\"\\/bfnrt", letter) == NULL)
        return fail(cursor, cursor->at,
                    "a backslash that escapes nothing; a backslash itself is written \\\\");
    cursor->at += 2;
    return true;
}

static bool check_string(struct cursor *cursor)
{
    const char *quote = cursor->at++;
    while (cursor->at < cursor->end) {
        char character = *cursor->at;
        if (character == '"') {
            cursor->at++;
            return true;
        }
        if (character == '\n' || character == '\r')
            return fail(cursor, quote,
                        "the string that begins here is not closed on its line; a line break within one "
                        "is written \\n");
        if ((unsigned char)character < 0x20)
            return fail(cursor, cursor->at, "a control character within a string; it is written \\u%04x",
                        (unsigned)character);
        if (character != '\\')
            cursor->at++;
        else if (!check_escape(cursor))
            return false;
    }
    return fail(cursor, quote, "the string that begins here is never closed");
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

size_t syntax_number_length(const char *text, size_t length)
{
    const char *end = text + length;
    const char *at = text;
    if (at < end && *at == '-')
        at++;
    const char *whole = at;
    at = at < end && *at == '0' ? at + 1 : skip_digits(at, end);
    if (at == whole)
        return 0;
    if (at < end && *at == '.') {
        const char *fraction = at + 1;
        at = skip_digits(fraction, end);
        if (at == fraction)
            return 0;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        const char *exponent = at + 1;
        if (exponent < end && (*exponent == '+' || *exponent == '-'))
            exponent++;
        at = skip_digits(exponent, end);
        if (at == exponent)
            return 0;
    }
    return (size_t)(at - text);
}

static bool check_number(struct cursor *cursor)
{
    const char *begin = cursor->at;
    size_t length = syntax_number_length(begin, (size_t)(cursor->end - begin));
    cursor->at += length;
    if (length > 0 && is_letter(peek(cursor)))
        return fail(cursor, begin,
                    "a number is followed by a letter; a value with a unit is written in quotes: \"3s\"");
    if (length == 0 || is_digit(peek(cursor)) || peek(cursor) == '.')
        return fail(cursor, begin,
                    "a number that JSON does not have: 0.5 and 10 are right, .5 and 010 and +1 are not");
    if (length > SYNTAX_LONGEST_NUMBER)
        return fail(cursor, begin, "a number of more than %d characters", SYNTAX_LONGEST_NUMBER);
    return true;
}

static bool check_word(struct cursor *cursor)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t length = strlen(words[i]);
        if (!starts_with(cursor, words[i]))
            continue;
        const char *after = cursor->at + length;
        if (after < cursor->end && (is_letter(*after) || is_digit(*after)))
            break;
        cursor->at = after;
        return true;
    }
    return fail_expected(cursor, "a value (a text takes double quotes)");
}

static bool check_value(struct cursor *cursor);

static bool check_key(struct cursor *cursor)
{
    if (peek(cursor) != '"')
        return fail_expected(cursor, "a key in double quotes");
    if (!check_string(cursor))
        return false;
    skip_space(cursor);
    if (peek(cursor) != ':')
        return fail_expected(cursor, "a colon after the key");
    cursor->at++;
    return true;
}

/* What stands between two brackets, the cursor being at the first: entries with commas between them. */
static bool check_entries(struct cursor *cursor, char closing)
{
    bool is_object = closing == '}';
    cursor->at++;
    skip_space(cursor);
    if (peek(cursor) == closing) {
        cursor->at++;
        return true;
    }
    for (;;) {
        if (is_object && !check_key(cursor))
            return false;
        if (!check_value(cursor))
            return false;
        skip_space(cursor);
        if (peek(cursor) == closing) {
            cursor->at++;
            return true;
        }
        if (peek(cursor) != ',')
            return fail_expected(cursor, is_object ? "a comma or }" : "a comma or ]");
        const char *comma = cursor->at++;
        skip_space(cursor);
        if (peek(cursor) == closing)
            return fail(cursor, comma, "a comma after the last entry, where JSON has none; remove it");
    }
}

static bool check_nested(struct cursor *cursor, char closing)
{
    if (cursor->depth == SYNTAX_MOST_NESTING)
        return fail(cursor, cursor->at, "nested deeper than %d levels", SYNTAX_MOST_NESTING);
    cursor->open[cursor->depth++] = cursor->at;
    if (!check_entries(cursor, closing))
        return false;
    cursor->depth--;
    return true;
}

static bool check_value(struct cursor *cursor)
{
    skip_space(cursor);
    char first = peek(cursor);
    if (first == '{')
        return check_nested(cursor, '}');
    if (first == '[')
        return check_nested(cursor, ']');
    if (first == '"')
        return check_string(cursor);
    if (is_digit(first) || (first != '\0' && strchr("-+.", first) != NULL))
        return check_number(cursor);
    return check_word(cursor);
}

bool syntax_check(const char *text, size_t length, struct syntax_fault *fault)
{
    struct cursor cursor = {.begin = text, .at = text, .end = text + length, .fault = fault};
    if (!check_value(&cursor))
        return false;
    skip_space(&cursor);
    if (cursor.at < cursor.end)
        return fail_expected(&cursor, "nothing more after the end of the configuration");
    return true;
}
