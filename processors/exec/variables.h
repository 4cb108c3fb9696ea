/* The environment of a command: what the settings add, and the message's main properties. */
#ifndef EXEC_VARIABLES_H
#define EXEC_VARIABLES_H

#include <whippet/processor.h>

/* `settings`, followed by the message's variables; the array belongs to the task. NULL when memory is short.
 */
const char *const *variables_for_message(whippet_task *task, const whippet_message *message,
                                         char *const *settings);

#endif
