/* Processors as shared objects: finding, loading and checking them. */
#ifndef WORKER_PLUGIN_H
#define WORKER_PLUGIN_H

#include <base/failure.h>
#include <config/config.h>
#include <whippet/processor.h>

/* A loaded plugin. Reference-counted by plugin_load/plugin_unload: loading the same file twice gives the same
 * one, and loading it again after its contents changed gives another, beside the first. What is loaded does
 * not depend on the file any more: it may be replaced, overwritten or removed. */
struct plugin {
    whippet_processor descriptor; /* as much as the plugin's own size covers; the rest is zero */
    char *path;                   /* the file it came from */
};

/* Where processors are looked for when nobody says otherwise: "processors" in the current folder, the folder
 * of that name beside the program's own folder (a build tree), and the one they are installed to. Static. */
const char *const *plugin_default_path(size_t *count);

/* Looks for `name` as <folder>/<name>.so in each folder of `path`, and, when the name has a slash or ends in
 * ".so", as that very file; checks ABI and size before anything else of it is read. NULL with the failure
 * naming the file and the reason, or every place that was looked at. A plugin looked for by its name must
 * call itself by it. */
struct plugin *plugin_load(const char *name, const char *const *path, size_t path_count,
                           struct whippet_failure *failure);
void plugin_unload(struct plugin *plugin);

/* For a child process that is to run the very code that its parent has checked: the descriptor of the
 * parent's copy (the parent's own; -1 where it loaded the file itself), and how the child loads what it was
 * left. */
int plugin_descriptor(const struct plugin *plugin);
struct plugin *plugin_load_inherited(int descriptor, const char *path, struct whippet_failure *failure);

/* A processor that is linked into the program itself, as in its own tests: checked as one that was loaded,
 * and to be given to plugin_unload as well. NULL with the failure filled. */
struct plugin *plugin_adopt(const whippet_processor *descriptor, struct whippet_failure *failure);

/* Every plugin there is in the folders, sorted by name; those that cannot be loaded have a NULL plugin and a
 * reason. Of several files of one name only the one that plugin_load would find. 0 with `*listings` NULL also
 * when memory is short. */
struct plugin_listing {
    char *file;
    struct plugin *plugin; /* NULL: could not be loaded */
    struct whippet_failure failure;
};
size_t plugin_list(const char *const *path, size_t path_count, struct plugin_listing **listings);
void plugin_list_destroy(struct plugin_listing *listings, size_t count);

/* One processor at work for one queue: a plugin, its validated settings, and what its setup() returned. */
struct processor {
    struct plugin *plugin;
    whippet_settings *settings;
    void *state;
};

/* Checks `settings` (a JSON object or NULL) against the plugin's declared options: unknown names, wrong
 * types, missing ones, each as an error of `errors` under `path` ("queues[0].settings"). NULL when there was
 * any, or memory is short. */
whippet_settings *settings_check(const struct plugin *plugin, const struct cJSON *settings, const char *path,
                                 const struct config *config, struct config_errors *errors);
void settings_destroy(whippet_settings *settings);

/* The checked settings as bytes, for a process that has loaded the same plugin, and back. False, or NULL,
 * when memory is short or the bytes make no sense. */
struct buffer;
bool settings_write(const whippet_settings *settings, struct buffer *out);
whippet_settings *settings_read(const struct plugin *plugin, whippet_bytes in);

/* Calls setup(). Takes the plugin reference and the settings over when it succeeds: 0, or an error with the
 * failure filled in the processor's own words. */
int processor_setup(struct processor *processor, struct plugin *plugin, whippet_settings *settings,
                    struct whippet_failure *failure);
void processor_teardown(struct processor *processor); /* teardown(), then frees settings and plugin */

#endif
