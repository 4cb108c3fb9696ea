/* The environment of a command: what the settings add, and the message's main properties. */
#ifndef EXEC_ENVIRONMENT_H
#define EXEC_ENVIRONMENT_H

#include <whippet/processor.h>

/* NAME=VALUE strings, NULL-terminated, of the names and values in `pairs` (alternating, NULL-terminated).
 * Freed with environment_destroy. NULL with the failure filled for a name that cannot be one, or when memory
 * is short. */
char **environment_create(const char *const *pairs, whippet_failure *failure);
void environment_destroy(char **environment);

/* `settings`, followed by the message's variables; the array belongs to the task. NULL when memory is short.
 */
const char *const *environment_for_message(whippet_task *task, const whippet_message *message,
                                           char *const *settings);

#endif
