/* Writing JSON where the room is known to be there: each function writes at `at`, and returns where the next
 * goes. */
#ifndef TRACE_OTLP_TEXT_H
#define TRACE_OTLP_TEXT_H

#include <stdint.h>
#include <string.h>
#include <whippet/types.h>

enum {
    JSON_ESCAPED_MAX = 6, /* bytes that one byte of a string may take: "\u001f" */
    JSON_DIGITS_MAX = 20,
    JSON_ATTRIBUTE_OVERHEAD = 64, /* of an attribute, beside its name and value */
};

static inline char *put_span(char *at, const char *text, size_t length)
{
    memcpy(at, text, length);
    return at + length;
}

/* A string literal, without its NUL. */
#define PUT(at, literal) put_span(at, literal, sizeof(literal) - 1)

static inline char *put_text(char *at, const char *text)
{
    return put_span(at, text, strlen(text));
}

char *put_unsigned(char *at, uint64_t value);

/* 16 lower-case digits. */
char *put_id(char *at, uint64_t id);

/* The contents of a JSON string; what is not UTF-8 becomes U+FFFD. */
char *put_escaped(char *at, whippet_bytes text);

/* {"key":"name","value":{"stringValue":"value"}}, and the same for a whole number. `name` is written as it
 * is. */
char *put_text_attribute(char *at, const char *name, whippet_bytes value);
char *put_integer_attribute(char *at, const char *name, uint64_t value);

#endif
