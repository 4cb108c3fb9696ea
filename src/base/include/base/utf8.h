/* UTF-8 as RFC 3629 has it: shortest forms only, no surrogates, nothing above U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>

/* The length of the sequence that `text` begins with, 1 to 4; 0 when it is not valid, or cut by `length`. */
size_t utf8_sequence(const void *text, size_t length);

/* The code point of a valid sequence of `length` bytes. */
unsigned utf8_code_point(const void *text, size_t length);

/* At most `limit` of the `length` bytes of `text`, fewer where a sequence would be cut in two. */
size_t utf8_cut(const void *text, size_t length, size_t limit);

#endif
