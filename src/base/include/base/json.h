/* Whether a text is JSON, and where it stops being so. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <whippet/json.h>

enum {
    JSON_DEPTH_LIMIT = 512 /* arrays and objects inside each other */
};

/* What is wrong, and where. */
struct json_problem {
    const char *text; /* a static string: "expected a value" */
    size_t offset;    /* bytes before the place */
};

/* True when `text` is one JSON value (RFC 8259) in valid UTF-8, with escapes that name characters, nested at
 * most JSON_DEPTH_LIMIT deep, and nothing but white space around it. Otherwise fills `problem`. Takes a
 * constant amount of stack and no memory, whatever the text is. */
bool json_check(whippet_bytes text, struct json_problem *problem);

/* The length of the byte order mark that `text` begins with, which is passed over (section 8.1); 0: none. */
size_t json_mark_length(whippet_bytes text);

/* The rest is for text that was checked. */

/* The value that the text is. */
whippet_json_value json_root(whippet_bytes text);

/* What a string, as it is written with its quotes, stands for: at most raw.len - 2 bytes into `out`. Returns
 * how many. */
size_t json_string_decode(whippet_bytes raw, char *out);

/* True when it stands for exactly `text`. */
bool json_string_equals(whippet_bytes raw, whippet_bytes text);

#endif
