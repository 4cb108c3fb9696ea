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
