/* Whether a text is JSON as RFC 8259 has it, and where and why not. Stricter than cJSON, which lets pass what
 * other readers of the same file do not, and says nothing about the place. */
#ifndef CONFIG_SYNTAX_H
#define CONFIG_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

enum {
    SYNTAX_MOST_NESTING = 64,
    SYNTAX_LONGEST_NUMBER = 63, /* characters; cJSON reads no longer ones */
};

struct syntax_fault {
    size_t offset;  /* of the character that is wrong */
    char text[256]; /* what is wrong, and what to do */
};

/* `text` is UTF-8, has no NUL, and ends with one. False with the first fault there is. */
bool syntax_check(const char *text, size_t length, struct syntax_fault *fault);

/* How long the number is that `text` begins with, as JSON has them; 0 when there is none. */
size_t syntax_number_length(const char *text, size_t length);

/* Both from 1; the column in characters. */
struct position {
    int line;
    int column;
};
struct position syntax_position(const char *text, size_t offset);

#endif
