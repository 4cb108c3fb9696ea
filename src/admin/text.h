/* Text that grows: metrics, JSON, pages. When memory runs short it remembers that, so that one look at the
 * end does. */
#ifndef ADMIN_TEXT_H
#define ADMIN_TEXT_H

#include <base/buffer.h>
#include <stdbool.h>
#include <stdint.h>

struct text {
    struct buffer buffer;
    bool failed; /* memory was short: what there is is not whole */
};

void text_init(struct text *text);
void text_destroy(struct text *text);

/* Room for `size` more characters, for whoever writes them there himself: its address, or NULL when memory is
 * short. text_commit makes those count that were written. */
char *text_reserve(struct text *text, size_t size);
void text_commit(struct text *text, const char *end);

enum {
    DIGITS_MAX = 20 /* of a number of 64 bits */
};

/* Writes the digits, DIGITS_MAX at most, and returns their end. */
char *digits_put(char *at, uint64_t value);

void text_put(struct text *text, const char *value);
void text_put_unsigned(struct text *text, uint64_t value);
void text_put_double(struct text *text,
                     double value); /* the shortest that reads back the same; not NaN, not infinite */

/* --- JSON -------------------------------------------------------------------------------------------------
 *
 * Commas come by themselves: after an opening bracket there is none, before anything else there is. A name of
 * NULL is for members of a list. What is not UTF-8 in a value becomes U+FFFD. */

void json_open(struct text *text, const char *name, char bracket);      /* '{' or '[' */
void json_close(struct text *text, char bracket);                       /* '}' or ']' */
void json_text(struct text *text, const char *name, const char *value); /* NULL: null */
void json_unsigned(struct text *text, const char *name, uint64_t value);
void json_number(struct text *text, const char *name, double value);
void json_boolean(struct text *text, const char *name, bool value);
void json_null(struct text *text, const char *name);

#endif
