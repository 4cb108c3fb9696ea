#include "plugin_copy.h"
#include "plugin_path.h"
#include "settings_value.h"
#include <base/list.h>
#include <base/memory.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <worker/plugin.h>

/* A plugin as it is kept here. Comes first in it: what others hold is a pointer to `plugin`. */
struct loaded {
    struct plugin plugin;
    struct plugin_copy copy;
    void *handle;        /* dlopen's */
    unsigned references; /* unloaded at 0 */
    struct list link;
};

/* Every plugin that is loaded, so that one file is one plugin for as long as its contents stay the same. */
static struct list all = {.next = &all, .previous = &all};

/* What the first release of this ABI had; members were only added since. */
static const uint32_t smallest_size = offsetof(whippet_processor, teardown) + sizeof(void (*)(void *));

/* Reads nothing but these two before they are known to fit. */
static int check_layout(const char *path, const whippet_processor *found, struct whippet_failure *failure)
{
    if (found->abi != WHIPPET_ABI)
        return failure_set(failure, WHIPPET_E_INVALID,
                           "%s is built for ABI %u, this whippet has ABI %u: rebuild it with its headers",
                           path, found->abi, WHIPPET_ABI);
    if (found->size < smallest_size)
        return failure_set(failure, WHIPPET_E_INVALID,
                           "%s has a descriptor of %u bytes, ABI %u has at least %u: rebuild it with "
                           "WHIPPET_PROCESSOR(...)",
                           path, found->size, WHIPPET_ABI, smallest_size);
    return 0;
}

static bool run_is_known(const char *run)
{
    return run == NULL || strcmp(run, "loop") == 0 || strcmp(run, "thread") == 0 ||
           strcmp(run, "process") == 0;
}

static int check_contents(const char *path, const whippet_processor *descriptor, const char *expected_name,
                          struct whippet_failure *failure)
{
    const char *name = descriptor->name;
    if (name == NULL || *name == '\0')
        return failure_set(failure, WHIPPET_E_INVALID,
                           "%s does not say its name: add .name = \"...\" to WHIPPET_PROCESSOR", path);
    if (descriptor->process == NULL)
        return failure_set(failure, WHIPPET_E_INVALID,
                           "%s has no process function: add .process = ... to WHIPPET_PROCESSOR", path);
    if (expected_name != NULL && strcmp(name, expected_name) != 0)
        return failure_set(failure, WHIPPET_E_INVALID,
                           "%s calls itself \"%s\": give the file the same name, or load it by its path",
                           path, name);
    if (!run_is_known(descriptor->run))
        return failure_set(failure, WHIPPET_E_INVALID,
                           "%s wishes to run as \"%s\": it has to be \"loop\", \"thread\" or \"process\"",
                           path, descriptor->run);
    struct whippet_failure reason;
    if (options_check(descriptor->options, &reason) != 0)
        return failure_set(failure, WHIPPET_E_INVALID, "%s: %s", path, reason.text);
    return 0;
}

/* Copies as much of it as both sides know. */
static int copy_descriptor(const char *path, const whippet_processor *found, whippet_processor *descriptor,
                           struct whippet_failure *failure)
{
    int error = check_layout(path, found, failure);
    if (error == 0)
        memcpy(descriptor, found, found->size < sizeof *descriptor ? found->size : sizeof *descriptor);
    return error;
}

/* Finds the descriptor behind `handle`. */
static int read_descriptor(const char *path, void *handle, whippet_processor *descriptor,
                           struct whippet_failure *failure)
{
    const whippet_processor *found = dlsym(handle, WHIPPET_PROCESSOR_SYMBOL);
    if (found == NULL)
        return failure_set(failure, WHIPPET_E_INVALID,
                           "%s is not a processor: it exports no %s, which WHIPPET_PROCESSOR(...) defines",
                           path, WHIPPET_PROCESSOR_SYMBOL);
    return copy_descriptor(path, found, descriptor, failure);
}

/* Fills `loaded` in from its copy. The handle is set as soon as there is one. */
static int loaded_open(struct loaded *loaded, struct whippet_failure *failure)
{
    const char *path = loaded->plugin.path;
    loaded->handle = plugin_copy_load(&loaded->copy, path, failure);
    return loaded->handle != NULL ? read_descriptor(path, loaded->handle, &loaded->plugin.descriptor, failure)
                                  : failure->error;
}

static void loaded_destroy(struct loaded *loaded)
{
    list_remove(&loaded->link);
    if (loaded->handle != NULL)
        dlclose(loaded->handle);
    plugin_copy_close(&loaded->copy);
    memory_free(loaded->plugin.path);
    memory_free(loaded);
}

/* Without a reference, and not in the list yet. Takes `path` and the copy over. */
static struct loaded *loaded_create(char *path, struct plugin_copy *copy, struct whippet_failure *failure)
{
    struct loaded *loaded = memory_allocate_zeroed(sizeof *loaded);
    if (loaded == NULL) {
        memory_free(path);
        plugin_copy_close(copy);
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        return NULL;
    }
    list_init(&loaded->link);
    loaded->plugin.path = path;
    loaded->copy = *copy;
    if (loaded_open(loaded, failure) != 0) {
        loaded_destroy(loaded);
        return NULL;
    }
    return loaded;
}

/* The one that was loaded from this file as it is now; NULL: none. */
static struct loaded *find_untouched(const char *path, const struct plugin_identity *identity)
{
    list_each (link, &all) {
        struct loaded *loaded = list_entry(link, struct loaded, link);
        if (strcmp(loaded->plugin.path, path) == 0 && plugin_identity_equal(&loaded->copy.identity, identity))
            return loaded;
    }
    return NULL;
}

/* The one that was loaded from the same contents under this name, which is known by its new identity from now
 * on. */
static struct loaded *find_alike(const char *path, const struct plugin_copy *copy)
{
    list_each (link, &all) {
        struct loaded *loaded = list_entry(link, struct loaded, link);
        if (strcmp(loaded->plugin.path, path) == 0 && loaded->copy.identity.size == copy->identity.size &&
            loaded->copy.fingerprint == copy->fingerprint) {
            loaded->copy.identity = copy->identity;
            return loaded;
        }
    }
    return NULL;
}

/* Takes `path` over. */
static struct loaded *loaded_get(char *path, struct whippet_failure *failure)
{
    struct plugin_identity identity;
    struct plugin_copy copy;
    struct loaded *loaded = NULL;
    bool is_new = false;
    if (plugin_identity_read(path, &identity, failure) == 0) {
        loaded = find_untouched(path, &identity);
        is_new = loaded == NULL && plugin_copy_make(&copy, path, failure) == 0;
    }
    if (is_new && (loaded = find_alike(path, &copy)) == NULL)
        return loaded_create(path, &copy, failure);
    if (is_new)
        plugin_copy_close(&copy);
    memory_free(path);
    return loaded;
}

struct plugin *plugin_load_file(const char *file, const char *expected_name, struct whippet_failure *failure)
{
    char *path = plugin_canonical_path(file, failure);
    struct loaded *loaded = path != NULL ? loaded_get(path, failure) : NULL;
    if (loaded == NULL)
        return NULL;
    if (check_contents(file, &loaded->plugin.descriptor, expected_name, failure) != 0) {
        if (loaded->references == 0)
            loaded_destroy(loaded);
        return NULL;
    }
    if (loaded->references++ == 0)
        list_append(&all, &loaded->link);
    return &loaded->plugin;
}

int plugin_descriptor(const struct plugin *plugin)
{
    return ((const struct loaded *)plugin)->copy.descriptor;
}

struct plugin *plugin_load_inherited(int descriptor, const char *path, struct whippet_failure *failure)
{
    if (descriptor < 0)
        return plugin_load_file(path, NULL, failure);
    struct plugin_copy copy = {.descriptor = descriptor};
    char *own_path = memory_copy_text(path);
    if (own_path == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        return NULL;
    }
    struct loaded *loaded = loaded_create(own_path, &copy, failure);
    if (loaded == NULL)
        return NULL;
    loaded->references = 1;
    list_append(&all, &loaded->link);
    return &loaded->plugin;
}

struct plugin *plugin_load(const char *name, const char *const *path, size_t path_count,
                           struct whippet_failure *failure)
{
    bool is_file = plugin_names_file(name);
    char *file = is_file ? memory_copy_text(name) : plugin_find(name, path, path_count, failure);
    if (file == NULL) {
        if (is_file)
            failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        return NULL;
    }
    struct plugin *plugin = plugin_load_file(file, is_file ? NULL : name, failure);
    memory_free(file);
    return plugin;
}

struct plugin *plugin_adopt(const whippet_processor *descriptor, struct whippet_failure *failure)
{
    static const char origin[] = "the processor under test";
    struct loaded *loaded = memory_allocate_zeroed(sizeof *loaded);
    char *path = memory_copy_text(origin);
    if (loaded == NULL || path == NULL) {
        memory_free(loaded);
        memory_free(path);
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        return NULL;
    }
    list_init(&loaded->link);
    loaded->plugin.path = path;
    loaded->copy.descriptor = -1;
    loaded->references = 1;
    if (copy_descriptor(origin, descriptor, &loaded->plugin.descriptor, failure) != 0 ||
        check_contents(origin, &loaded->plugin.descriptor, NULL, failure) != 0) {
        loaded_destroy(loaded);
        return NULL;
    }
    return &loaded->plugin;
}

void plugin_unload(struct plugin *plugin)
{
    struct loaded *loaded = (struct loaded *)plugin;
    if (loaded != NULL && --loaded->references == 0)
        loaded_destroy(loaded);
}
