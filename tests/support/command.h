/* Running programs from a test. */
#ifndef TESTS_SUPPORT_COMMAND_H
#define TESTS_SUPPORT_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Starts `arguments` (NULL-terminated, the first is the program) with the given descriptors as its standard
 * input, output and error; -1: /dev/null for input, the test's own for the others. The program is killed when
 * the test dies. Returns its process number, to be waited for. */
pid_t command_start(const char *const *arguments, int input, int output, int error);

/* Runs one to its end and keeps the first line of what it printed in `line` (may be NULL). Returns its exit
 * status, or 128 and the signal's number. */
int command_run(const char *const *arguments, char *line, size_t size);

/* Waits for one to end. Returns as command_run does. */
int command_wait(pid_t child);

/* The same without waiting: false while it runs. */
bool command_ended(pid_t child, int *status);

#endif
