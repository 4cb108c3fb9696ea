#include "plugin_path.h"
#include <base/memory.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char extension[] = ".so";

bool plugin_names_file(const char *name)
{
    size_t length = strlen(name);
    return strchr(name, '/') != NULL ||
           (length >= sizeof extension && strcmp(name + length - strlen(extension), extension) == 0);
}

/* NULL when memory is short. */
static char *join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + 1 + strlen(name) + sizeof extension;
    char *file = memory_allocate(size);
    if (file != NULL)
        snprintf(file, size, "%s/%s%s", folder, name, extension);
    return file;
}

static void fail_not_found(const char *name, const char *const *path, size_t path_count,
                           struct whippet_failure *failure)
{
    char places[FAILURE_TEXT_SIZE] = "";
    size_t length = 0;
    for (size_t i = 0; i < path_count && length < sizeof places; i++)
        length += (size_t)snprintf(places + length, sizeof places - length, "%s%s/%s.so", i > 0 ? ", " : "",
                                   path[i], name);
    failure_set(
        failure, WHIPPET_E_INVALID,
        "there is no processor \"%s\"; see \"whippet processors\" for those there are. Looked for: %s", name,
        path_count > 0 ? places : "nothing, since no folders are given");
}

char *plugin_find(const char *name, const char *const *path, size_t path_count,
                  struct whippet_failure *failure)
{
    for (size_t i = 0; *name != '\0' && i < path_count; i++) {
        char *file = join(path[i], name);
        if (file == NULL) {
            failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
            return NULL;
        }
        if (access(file, F_OK) == 0)
            return file;
        memory_free(file);
    }
    fail_not_found(name, path, path_count, failure);
    return NULL;
}

char *plugin_canonical_path(const char *file, struct whippet_failure *failure)
{
    char path[PATH_MAX];
    if (realpath(file, path) == NULL) {
        failure_set(failure, WHIPPET_E_INVALID, "cannot open %s: %s", file, strerrordesc_np(errno));
        return NULL;
    }
    char *copy = memory_copy_text(path);
    if (copy == NULL)
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    return copy;
}

#ifndef WHIPPET_PROCESSOR_FOLDER
#error "define WHIPPET_PROCESSOR_FOLDER: the folder that processors are installed to"
#endif

/* Cuts the last part off a path. */
static void cut_last_part(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        *slash = '\0';
}

const char *const *plugin_default_path(size_t *count)
{
    static const char folder[] = "/processors";
    static char build_folder[PATH_MAX];
    static const char *folders[] = {"processors", build_folder, WHIPPET_PROCESSOR_FOLDER};
    ssize_t length = readlink("/proc/self/exe", build_folder, sizeof build_folder - sizeof folder);
    build_folder[length > 0 ? length : 0] = '\0';
    cut_last_part(build_folder);
    cut_last_part(build_folder);
    length = (ssize_t)strlen(build_folder);
    memcpy(build_folder + length, folder, sizeof folder);
    *count = sizeof folders / sizeof folders[0];
    return folders;
}
