/* A message's body from the command line: a file, standard input, or plain text. */
#ifndef CMD_BODY_H
#define CMD_BODY_H

#include <stdbool.h>
#include <whippet/types.h>

/* Reads all of `file` ("-": standard input). The data is the caller's, to be freed with memory_free. False
 * after it said on standard error what is wrong. */
bool body_read(const char *file, whippet_bytes *body);

/* "NAME=VALUE" taken apart in place; false after it said on standard error what was expected. */
bool header_split(char *text, const char **name, const char **value);

#endif
