/* What can be told about a plugin's file before it is loaded. */
#ifndef WORKER_PLUGIN_FILE_H
#define WORKER_PLUGIN_FILE_H

#include <base/failure.h>

/* Whether the open file, found at `path`, is a whole shared object for this machine: the dynamic loader says
 * less about one that is not, and may crash on one that was cut short. 0; SYSTEM when it cannot be read,
 * INVALID when it is something else. */
int plugin_file_check(const char *path, int descriptor, struct whippet_failure *failure);

#endif
