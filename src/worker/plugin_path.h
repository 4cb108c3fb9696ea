/* Where plugins are looked for. */
#ifndef WORKER_PLUGIN_PATH_H
#define WORKER_PLUGIN_PATH_H

#include <base/failure.h>
#include <stdbool.h>
#include <stddef.h>
#include <worker/plugin.h>

/* Whether a processor's name is really the path of its file: it has a slash, or ends in ".so". */
bool plugin_names_file(const char *name);

/* The first folder's <name>.so that exists; the caller's, to be given to memory_free. NULL with the failure
 * naming every place that was looked at. */
char *plugin_find(const char *name, const char *const *path, size_t path_count,
                  struct whippet_failure *failure);

/* The one absolute path of a file that exists; the caller's. NULL with the failure filled. */
char *plugin_canonical_path(const char *file, struct whippet_failure *failure);

/* Loads that very file. `expected_name` is what it must call itself; NULL: anything. */
struct plugin *plugin_load_file(const char *file, const char *expected_name, struct whippet_failure *failure);

#endif
