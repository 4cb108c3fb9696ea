/* Looking for the program of a command before it is needed. */
#ifndef COMMON_PROGRAM_H
#define COMMON_PROGRAM_H

#include <stdbool.h>
#include <whippet/processor.h>

/* Whether `program` can be run from `directory` ("": the worker's own): as a path when it has a slash, else
 * from PATH. False with the failure saying what is missing. */
bool program_check(const char *program, const char *directory, whippet_failure *failure);

#endif
