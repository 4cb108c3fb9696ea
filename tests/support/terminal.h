/* A terminal with a program in it, as a person would see it: tmux without anybody attached. */
#ifndef TESTS_SUPPORT_TERMINAL_H
#define TESTS_SUPPORT_TERMINAL_H

#include <stdbool.h>

struct terminal;

/* Opens one of that size, and runs `command` in it, a line of shell. The terminal stays when that has ended.
 * There is one for each test. */
struct terminal *terminal_open(unsigned columns, unsigned rows, const char *command);

/* Ends whatever runs in it. */
void terminal_close(struct terminal *terminal);

/* Presses keys, by tmux's names: "q", "Down", "C-c". */
void terminal_press(struct terminal *terminal, const char *key);

void terminal_resize(struct terminal *terminal, unsigned columns, unsigned rows);

/* What it shows now; with `styles`, the escape sequences for them as well. The caller frees it. */
char *terminal_look(struct terminal *terminal, bool styles);

/* Whether it shows that text now. */
bool terminal_shows(struct terminal *terminal, const char *text);

/* Awaits that it shows the text; fails the test, and tells what it shows, when it does not within so many
 * seconds. */
void terminal_await(struct terminal *terminal, double seconds, const char *text);

#endif
