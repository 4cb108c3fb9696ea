/**
 * @file
 * Reading JSON: a message's body, or any other text.
 *
 *     whippet_json_value order = whippet_json(message);
 *     if (order.kind == WHIPPET_JSON_ABSENT)
 *         return whippet_reject(task, "%s", whippet_json_error(task, message));
 *     whippet_json_value city = whippet_json_find(order, "customer.address[0].city");
 *
 * The text is checked once, from its beginning to its end; after that a value is a piece of it, and nothing
 * is copied or built. So a body costs no memory beyond itself, however it is made, every number keeps all its
 * digits, and a part can be sent on byte for byte (`raw`). Asking something of a value that is absent, or of
 * another kind, gives nothing, so that a chain of questions needs one test at its end.
 *
 * What counts as JSON: one value as RFC 8259 has it, in valid UTF-8, nested at most 512 deep; a byte order
 * mark in front is passed over; escapes must name characters (half a surrogate pair does not). Where a name
 * stands twice in an object, the last one counts, as in Python, JavaScript and PostgreSQL's jsonb;
 * whippet_json_next shows both.
 *
 * Nothing here suspends, also where it takes a task, for memory. */
#ifndef WHIPPET_JSON_H
#define WHIPPET_JSON_H

#include <whippet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a value is. */
enum whippet_json_kind {
    WHIPPET_JSON_ABSENT = 0, /**< there is no such value */
    WHIPPET_JSON_NULL,       /**< null */
    WHIPPET_JSON_BOOLEAN,    /**< true, false */
    WHIPPET_JSON_NUMBER,     /**< 12, -1.5e3 */
    WHIPPET_JSON_STRING,     /**< "text" */
    WHIPPET_JSON_ARRAY,      /**< [ … ] */
    WHIPPET_JSON_OBJECT,     /**< { … } */
};

/** A value, borrowed from the text that it stands in. */
typedef struct whippet_json_value {
    enum whippet_json_kind kind; /**< ABSENT: there is none, and `raw` is empty */
    whippet_bytes
        raw; /**< the value as it is written, quotes and brackets included, without the space around it */
} whippet_json_value;

/** The message's body; ABSENT when it is not JSON. Checked once for each message, however often it is asked
 * for and attempted; valid until process() returns. */
WHIPPET_API whippet_json_value whippet_json(const whippet_message *message);

/** Why the body is not JSON, and where: "the body is not JSON: expected ',' or '}' at line 3, column 7 (byte
 * 41)". Lines and columns count from 1, columns in bytes. The text belongs to the task. "" when the body is
 * JSON. */
WHIPPET_API const char *whippet_json_error(whippet_task *task, const whippet_message *message);

/** Any other text, such as what a command printed. ABSENT when it is not JSON: `*offset` (may be NULL) takes
 * how many bytes stand before the place, `*problem` (may be NULL) a static string, such as "expected a
 * value". */
WHIPPET_API whippet_json_value whippet_json_read(whippet_bytes text, size_t *offset, const char **problem);

/* --- Parts ---------------------------------------------------------------------------------------------*/

/** The member of an object. ABSENT when there is none, or it is no object. Looks through the object. */
WHIPPET_API whippet_json_value whippet_json_get(whippet_json_value object, const char *name);

/** The element of an array, counted from 0. Looks through the array: to see all, use whippet_json_next. */
WHIPPET_API whippet_json_value whippet_json_at(whippet_json_value array, size_t index);

/** The same by a path: names, with '.' between them, and indices in brackets: "customer.address[0].city",
 * "[2].id";
 * "" is the value itself. A name that holds '.', '[' or ']' is reached with whippet_json_get. ABSENT also for
 * what is no path. */
WHIPPET_API whippet_json_value whippet_json_find(whippet_json_value value, const char *path);

/** How many members or elements; 0 for all else. Looks through the value. */
WHIPPET_API size_t whippet_json_length(whippet_json_value value);

/** Takes the next part of an object or array: advances `*container`, which is a cursor of the caller's and
 * good for nothing else afterwards, and fills `*name` (a STRING; ABSENT for arrays; may be NULL) and
 * `*value`. False at the end, and for any other kind. */
WHIPPET_API bool whippet_json_next(whippet_json_value *container, whippet_json_value *name,
                                   whippet_json_value *value);

/* --- What a value is -----------------------------------------------------------------------------------*/

/** Each is false, and leaves `*out` as it is, when the value is of another kind or does not fit. */
WHIPPET_API bool whippet_json_boolean(whippet_json_value value, bool *out);

/** A number written without fraction and exponent, from -2^63 to 2^63 - 1: exactly. */
WHIPPET_API bool whippet_json_integer(whippet_json_value value, int64_t *out);

/** Any number: the double that is nearest to it, so that beyond 2^53 it may be another. False where that
 * would be infinite, or there is no memory for more digits than anybody writes. */
WHIPPET_API bool whippet_json_real(whippet_json_value value, double *out);

/** True for a string that stands for exactly this text. */
WHIPPET_API bool whippet_json_equals(whippet_json_value value, const char *text);

/** A string's text, UTF-8, escapes resolved: borrowed from the JSON where it has none, else memory of the
 * task's. It has no NUL at its end, and may hold NULs ("\u0000"). data is NULL when it is no string, or
 * memory is short. */
WHIPPET_API whippet_bytes whippet_json_text(whippet_task *task, whippet_json_value value);

/** The same for functions that want a C string: a copy in memory of the task's. NULL when it is no string,
 * when memory is short, and when it holds a NUL, where others would take it for shorter than it is. */
WHIPPET_API const char *whippet_json_string(whippet_task *task, whippet_json_value value);

#ifdef __cplusplus
}
#endif

#endif
