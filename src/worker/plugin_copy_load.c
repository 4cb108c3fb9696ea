/* From a plugin's copy to an object in memory. The loader knows objects by the names they were opened as, and
 * by inode: what is to be a new object needs a name that none of those in memory has. */
#include "plugin_copy.h"
#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME_SIZE = 2 * PATH_MAX,
    NAMES_TRIED = 256,
};

/* dlerror's text without the name in front, which the caller puts there. */
static const char *loader_reason(const char *name)
{
    const char *text = dlerror();
    size_t length = strlen(name);
    if (text == NULL)
        return "the dynamic loader gives no reason";
    if (strncmp(text, name, length) == 0 && strncmp(text + length, ": ", 2) == 0)
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

/* "/proc/self/fd///7": one of as many names as there are numbers of slashes, and never shorter than `path`,
 * which will take its place. */
static bool name_copy(char name[NAME_SIZE], int descriptor, const char *path, size_t number)
{
    static const char folder[] = "/proc/self/fd";
    size_t length = strlen(folder), slashes = strlen(path) + number + 1;
    if (length + slashes + sizeof "2147483647" > NAME_SIZE)
        return false;
    memcpy(name, folder, length);
    memset(name + length, '/', slashes);
    snprintf(name + length + slashes, NAME_SIZE - length - slashes, "%d", descriptor);
    return true;
}

/* "/usr/lib/././log.so" */
static bool name_file(char name[NAME_SIZE], const char *path, size_t number)
{
    const char *slash = strrchr(path, '/');
    size_t folder = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    if (strlen(path) + 2 * number >= NAME_SIZE)
        return false;
    memcpy(name, path, folder);
    for (size_t i = 0; i < number; i++)
        memcpy(name + folder + 2 * i, "./", 2);
    memcpy(name + folder + 2 * number, path + folder, strlen(path + folder) + 1);
    return true;
}

static bool is_in_memory(const char *name)
{
    void *handle = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
    if (handle != NULL)
        dlclose(handle);
    dlerror();
    return handle != NULL;
}

/* False when every one would give an object that is there already. */
static bool find_name(char name[NAME_SIZE], const struct plugin_copy *copy, const char *path)
{
    for (size_t number = 0; number < NAMES_TRIED; number++) {
        bool fits = copy->descriptor >= 0 ? name_copy(name, copy->descriptor, path, number)
                                          : name_file(name, path, number);
        if (!fits)
            return false;
        if (!is_in_memory(name))
            return true;
    }
    return false;
}

/* What the loader calls it, and so whoever asks the loader: debuggers, backtraces, dladdr. The name it was
 * opened as stays known beside it. */
static void give_name(void *handle, const char *opened_as, const char *path)
{
    struct link_map *map = NULL;
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && strcmp(map->l_name, opened_as) == 0 &&
        strlen(path) <= strlen(opened_as))
        memcpy(map->l_name, path, strlen(path) + 1);
}

void *plugin_copy_load(const struct plugin_copy *copy, const char *path, struct whippet_failure *failure)
{
    char name[NAME_SIZE];
    if (!find_name(name, copy, path)) {
        failure_set(
            failure, WHIPPET_E_INVALID,
            "cannot load %s: it was overwritten while its code is in use, and can't be loaded from a copy: "
            "put the new one there by renaming it (as install and mv do)",
            path);
        return NULL;
    }
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        const char *reason = loader_reason(name);
        failure_set(failure, WHIPPET_E_INVALID, "cannot load %s: %s%s", path, reason, loader_advice(reason));
        return NULL;
    }
    give_name(handle, name, path);
    return handle;
}
