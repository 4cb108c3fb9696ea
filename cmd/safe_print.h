/* Printing what strangers wrote: nothing in it reaches a terminal as a command, and nothing forges a line. */
#ifndef CMD_SAFE_PRINT_H
#define CMD_SAFE_PRINT_H

#include <stdio.h>
#include <whippet/types.h>

/* Text in one line, at most `limit` bytes of it: UTF-8 as it is; control characters (C0, C1, and those that
 * turn the direction of writing) as \n, \t, \x1b or \u{9b}; bytes that are no UTF-8 as \xff. What was cut off
 * is told. */
void safe_print(FILE *stream, whippet_bytes text, size_t limit);

enum {
    SAFE_PIECE_SIZE = 16
};

/* The first character of `text`, which is not empty, as safe_print shows it: itself, or its escape, which is
 * ASCII. With a NUL, into `piece`. Returns how many bytes of `text` it stands for. */
size_t safe_piece(whippet_bytes text, char piece[SAFE_PIECE_SIZE]);

/* A body in indented lines: text as above, with its own line breaks; anything else as a hex dump. */
void safe_print_body(FILE *stream, whippet_bytes body, size_t limit);

/* As a JSON string; bytes that are no UTF-8 become U+FFFD. */
void safe_print_json(FILE *stream, whippet_bytes text);

/* A text that is JSON, which json_check has seen, in one line; control characters in its strings become
 * escapes of the same meaning. */
void safe_print_document(FILE *stream, whippet_bytes json);

/* The bytes in base64 as a JSON string. */
void safe_print_base64(FILE *stream, whippet_bytes bytes);

/* Whether it is UTF-8 without a NUL: a body that is text. */
bool safe_is_text(whippet_bytes bytes);

#endif
