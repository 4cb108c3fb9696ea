#include "plugin_file.h"
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
    void *handle;        /* dlopen's */
    unsigned references; /* unloaded at 0 */
    struct list link;
};

/* Every plugin that is loaded, so that one file is one plugin. */
static struct list all = {.next = &all, .previous = &all};

/* What the first release of this ABI had; members were only added since. */
static const uint32_t smallest_size = offsetof(whippet_processor, teardown) + sizeof(void (*)(void *));

/* dlerror's text without the path in front, which the caller names. */
static const char *loader_reason(const char *path)
{
    const char *text = dlerror();
    size_t length = strlen(path);
    if (text == NULL)
        return "the dynamic loader gives no reason";
    if (strncmp(text, path, length) == 0 && strncmp(text + length, ": ", 2) == 0)
        text += length + 2;
    return text;
}

static const char *loader_advice(const char *reason)
{
    if (strstr(reason, "undefined symbol: whippet_") != NULL)
        return " (this whippet does not offer it: is the plugin built for a newer one?)";
    if (strstr(reason, "undefined symbol") != NULL)
        return " (link the plugin with the library that has it)";
    if (strstr(reason, "cannot open shared object file") != NULL)
        return " (install the library that the plugin needs)";
    return "";
}

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
    struct whippet_failure reason;
    if (options_check(descriptor->options, &reason) != 0)
        return failure_set(failure, WHIPPET_E_INVALID, "%s: %s", path, reason.text);
    return 0;
}

/* Finds the descriptor behind `handle` and copies as much of it as both sides know. */
static int read_descriptor(const char *path, void *handle, whippet_processor *descriptor,
                           struct whippet_failure *failure)
{
    const whippet_processor *found = dlsym(handle, WHIPPET_PROCESSOR_SYMBOL);
    if (found == NULL)
        return failure_set(failure, WHIPPET_E_INVALID,
                           "%s is not a processor: it exports no %s, which WHIPPET_PROCESSOR(...) defines",
                           path, WHIPPET_PROCESSOR_SYMBOL);
    int error = check_layout(path, found, failure);
    if (error == 0)
        memcpy(descriptor, found, found->size < sizeof *descriptor ? found->size : sizeof *descriptor);
    return error;
}

static struct loaded *loaded_find(const char *path)
{
    list_each (link, &all) {
        struct loaded *loaded = list_entry(link, struct loaded, link);
        if (strcmp(loaded->plugin.path, path) == 0)
            return loaded;
    }
    return NULL;
}

/* Fills `loaded` in from the file at loaded->plugin.path. The handle is set as soon as there is one. */
static int loaded_open(struct loaded *loaded, struct whippet_failure *failure)
{
    const char *path = loaded->plugin.path;
    int error = plugin_file_check(path, failure);
    if (error != 0)
        return error;
    loaded->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (loaded->handle == NULL) {
        const char *reason = loader_reason(path);
        return failure_set(failure, WHIPPET_E_INVALID, "cannot load %s: %s%s", path, reason,
                           loader_advice(reason));
    }
    return read_descriptor(path, loaded->handle, &loaded->plugin.descriptor, failure);
}

static void loaded_destroy(struct loaded *loaded)
{
    list_remove(&loaded->link);
    if (loaded->handle != NULL)
        dlclose(loaded->handle);
    memory_free(loaded->plugin.path);
    memory_free(loaded);
}

/* Without a reference, and not in the list yet. Takes `path` over. */
static struct loaded *loaded_create(char *path, struct whippet_failure *failure)
{
    struct loaded *loaded = memory_allocate_zeroed(sizeof *loaded);
    if (loaded == NULL) {
        memory_free(path);
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        return NULL;
    }
    list_init(&loaded->link);
    loaded->plugin.path = path;
    if (loaded_open(loaded, failure) != 0) {
        loaded_destroy(loaded);
        return NULL;
    }
    return loaded;
}

struct plugin *plugin_load_file(const char *file, const char *expected_name, struct whippet_failure *failure)
{
    char *path = plugin_canonical_path(file, failure);
    if (path == NULL)
        return NULL;
    struct loaded *loaded = loaded_find(path);
    if (loaded != NULL)
        memory_free(path);
    else
        loaded = loaded_create(path, failure);
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

void plugin_unload(struct plugin *plugin)
{
    struct loaded *loaded = (struct loaded *)plugin;
    if (loaded != NULL && --loaded->references == 0)
        loaded_destroy(loaded);
}
