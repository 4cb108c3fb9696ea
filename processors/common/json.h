/* Writes JSON into memory of exactly the size it needs, by going through the same calls twice: first to
 * count, then to write. So nothing ever grows, and memory can only be short before the first byte. */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <stdbool.h>
#include <whippet/message.h>
#include <whippet/types.h>

struct json {
    char *text;    /* what has been written; NULL while counting */
    size_t length; /* bytes written or counted */
    bool follows;  /* a value stands before the next one, so that a comma comes between */
};

/* '{' or '[', and their ends. */
void json_open(struct json *json, char bracket);
void json_close(struct json *json, char bracket);

/* The name of the member whose value comes next. */
void json_name(struct json *json, whippet_bytes name);

/* Whether it is text as json_text can write it without a loss: valid UTF-8. */
bool json_is_text(whippet_bytes bytes);

/* Values. Text becomes valid UTF-8: what is not, is replaced byte by byte with U+FFFD. Numbers that JSON does
 * not have (infinite, none) become null. */
void json_text(struct json *json, whippet_bytes text);
void json_base64(struct json *json, whippet_bytes data);
void json_integer(struct json *json, int64_t value);
void json_unsigned(struct json *json, uint64_t value);
void json_real(struct json *json, double value);
void json_boolean(struct json *json, bool value);
void json_null(struct json *json);
/* Seconds since 1970, as text: "2026-11-21T09:30:00Z". */
void json_timestamp(struct json *json, uint64_t seconds);
/* unscaled / 10^scale, with every digit. */
void json_decimal(struct json *json, uint32_t unscaled, unsigned scale);

/* A header's value. Tables become objects, arrays lists, binary data base64 text, timestamps text. */
void json_value(struct json *json, whippet_value value);

/* Calls write(json, subject) twice; it must do the same both times. The text belongs to the task; data is
 * NULL when memory is short. */
whippet_bytes json_make(whippet_task *task, void (*write)(struct json *json, const void *subject),
                        const void *subject);

#endif
