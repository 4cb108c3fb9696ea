/* One pass over the text, without recursion: what stands open is a bit each. */
#include <base/bytes.h>
#include <base/json.h>
#include <base/utf8.h>
#include <stdint.h>
#include <string.h>

enum {
    HEX_DIGITS = 4,
    WORD_BITS = 64
};

struct checker {
    const uint8_t *at;
    const uint8_t *end;
    const char *problem; /* NULL: none so far */
    unsigned depth;
    uint64_t objects[JSON_DEPTH_LIMIT / WORD_BITS]; /* a bit for each level: 1 for an object */
};

static bool fail(struct checker *checker, const char *problem)
{
    checker->problem = problem;
    return false;
}

static int peek(const struct checker *checker)
{
    return checker->at < checker->end ? *checker->at : -1;
}

static void skip_space(struct checker *checker)
{
    while (peek(checker) == ' ' || peek(checker) == '\n' || peek(checker) == '\r' || peek(checker) == '\t')
        checker->at++;
}

static bool take(struct checker *checker, char wanted)
{
    if (peek(checker) != wanted)
        return false;
    checker->at++;
    return true;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* --- Numbers, words, strings ----------------------------------------------------------------------------*/

static bool take_digits(struct checker *checker)
{
    if (!is_digit(peek(checker)))
        return fail(checker, "expected a digit");
    while (is_digit(peek(checker)))
        checker->at++;
    return true;
}

static bool take_number(struct checker *checker)
{
    take(checker, '-');
    if (take(checker, '0')) {
        if (is_digit(peek(checker)))
            return fail(checker, "a number must not begin with 0");
    } else if (!take_digits(checker)) {
        return false;
    }
    if (take(checker, '.') && !take_digits(checker))
        return false;
    if (peek(checker) != 'e' && peek(checker) != 'E')
        return true;
    checker->at++;
    if (!take(checker, '-'))
        take(checker, '+');
    return take_digits(checker);
}

static bool take_word(struct checker *checker, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(checker->end - checker->at) < length || memcmp(checker->at, word, length) != 0)
        return fail(checker, "expected a value");
    checker->at += length;
    return true;
}

/* Four hexadecimal digits; -1 when they are not there. */
static int take_code_unit(struct checker *checker)
{
    int unit = 0;
    for (int i = 0; i < HEX_DIGITS; i++) {
        int c = peek(checker);
        int low = c | 0x20;
        if (!is_digit(c) && (low < 'a' || low > 'f'))
            return -1;
        unit = unit * 16 + (is_digit(c) ? c - '0' : low - 'a' + 10);
        checker->at++;
    }
    return unit;
}

/* After "\u". What UTF-8 can't hold is half a surrogate pair. */
static bool take_unicode_escape(struct checker *checker)
{
    const uint8_t *begin = checker->at - 2;
    int unit = take_code_unit(checker);
    if (unit < 0)
        return fail(checker, "expected four hexadecimal digits");
    if (unit < 0xd800 || unit > 0xdfff)
        return true;
    if (unit <= 0xdbff && take(checker, '\\') && take(checker, 'u')) {
        int low = take_code_unit(checker);
        if (low >= 0xdc00 && low <= 0xdfff)
            return true;
    }
    checker->at = begin;
    return fail(checker, "half a surrogate pair");
}

static bool take_escape(struct checker *checker)
{
    int c = peek(checker);
    if (c <= 0 || strchr("\"\\/bfnrtu", c) == NULL)
        return fail(checker, "an escape that JSON does not have");
    checker->at++;
    return c != 'u' || take_unicode_escape(checker);
}

static bool take_string(struct checker *checker)
{
    if (!take(checker, '"'))
        return fail(checker, "expected a string");
    for (;;) {
        int c = peek(checker);
        if (c < 0)
            return fail(checker, "the string does not end");
        if (c < 0x20)
            return fail(checker, "a control character that is not escaped");
        size_t length = c < 0x80 ? 1 : utf8_sequence(checker->at, (size_t)(checker->end - checker->at));
        if (length == 0)
            return fail(checker, "not valid UTF-8");
        checker->at += length;
        if (c == '"')
            return true;
        if (c == '\\' && !take_escape(checker))
            return false;
    }
}

/* --- Structure ------------------------------------------------------------------------------------------*/

static bool in_object(const struct checker *checker)
{
    unsigned level = checker->depth - 1;
    return (checker->objects[level / WORD_BITS] >> (level % WORD_BITS) & 1) != 0;
}

static bool open_container(struct checker *checker, bool object)
{
    unsigned level = checker->depth;
    if (level == JSON_DEPTH_LIMIT)
        return fail(checker, "nested more than 512 deep");
    checker->at++;
    checker->depth++;
    uint64_t bit = UINT64_C(1) << (level % WORD_BITS);
    if (object)
        checker->objects[level / WORD_BITS] |= bit;
    else
        checker->objects[level / WORD_BITS] &= ~bit;
    return true;
}

static bool take_name(struct checker *checker)
{
    skip_space(checker);
    if (peek(checker) != '"')
        return fail(checker, "expected a name in quotes");
    if (!take_string(checker))
        return false;
    skip_space(checker);
    return take(checker, ':') || fail(checker, "expected ':'");
}

/* What comes after a value: ends what ends there. `*more`: another value is to come. */
static bool take_ends(struct checker *checker, bool *more)
{
    *more = false;
    while (checker->depth > 0) {
        skip_space(checker);
        bool object = in_object(checker);
        if (take(checker, ',')) {
            *more = true;
            return !object || take_name(checker);
        }
        if (!take(checker, object ? '}' : ']'))
            return fail(checker, object ? "expected ',' or '}'" : "expected ',' or ']'");
        checker->depth--;
    }
    return true;
}

/* Opens a container. `*empty`: it has ended already. */
static bool take_begin(struct checker *checker, bool *empty)
{
    bool object = peek(checker) == '{';
    if (!open_container(checker, object))
        return false;
    skip_space(checker);
    *empty = take(checker, object ? '}' : ']');
    if (*empty)
        checker->depth--;
    return *empty || !object || take_name(checker);
}

static bool take_scalar(struct checker *checker)
{
    int c = peek(checker);
    switch (c) {
    case '"': return take_string(checker);
    case 't': return take_word(checker, "true");
    case 'f': return take_word(checker, "false");
    case 'n': return take_word(checker, "null");
    default: return c == '-' || is_digit(c) ? take_number(checker) : fail(checker, "expected a value");
    }
}

static bool take_document(struct checker *checker)
{
    bool more = true;
    checker->at += json_mark_length(bytes_of(checker->at, (size_t)(checker->end - checker->at)));
    while (more) {
        skip_space(checker);
        bool begins = peek(checker) == '{' || peek(checker) == '[';
        bool whole = true;
        if (!(begins ? take_begin(checker, &whole) : take_scalar(checker)))
            return false;
        if (whole && !take_ends(checker, &more))
            return false;
    }
    skip_space(checker);
    return checker->at == checker->end || fail(checker, "expected nothing more after the value");
}

size_t json_mark_length(whippet_bytes text)
{
    static const char mark[] = "\xef\xbb\xbf";
    return bytes_start_with(text, mark) ? sizeof mark - 1 : 0;
}

bool json_check(whippet_bytes text, struct json_problem *problem)
{
    struct checker checker = {.at = text.data};
    if (text.len == 0) {
        *problem = (struct json_problem){.text = "empty"};
        return false;
    }
    checker.end = checker.at + text.len;
    if (take_document(&checker))
        return true;
    *problem = (struct json_problem){.text = checker.problem,
                                     .offset = (size_t)(checker.at - (const uint8_t *)text.data)};
    return false;
}
