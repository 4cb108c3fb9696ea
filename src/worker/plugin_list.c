#include "plugin_path.h"
#include <base/memory.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <worker/plugin.h>

static const char extension[] = ".so";

/* What grows. `failed`: memory was short, so that something is missing. */
struct listing {
    struct plugin_listing *items;
    size_t count;
    bool failed;
};

static const char *base_name(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash != NULL ? slash + 1 : file;
}

static bool is_listed(const struct listing *listing, const char *name)
{
    for (size_t i = 0; i < listing->count; i++) {
        if (strcmp(base_name(listing->items[i].file), name) == 0)
            return true;
    }
    return false;
}

/* A new item for `file`, which it takes over; NULL when memory is short. */
static struct plugin_listing *listing_add(struct listing *listing, char *file)
{
    struct plugin_listing *items = NULL;
    if (file != NULL)
        items = memory_resize(listing->items, (listing->count + 1) * sizeof *items);
    if (items == NULL) {
        memory_free(file);
        listing->failed = true;
        return NULL;
    }
    listing->items = items;
    items[listing->count] = (struct plugin_listing){.file = file};
    return &items[listing->count++];
}

/* NULL when memory is short. */
static char *join(const char *folder, const char *file)
{
    size_t size = strlen(folder) + 1 + strlen(file) + 1;
    char *path = memory_allocate(size);
    if (path != NULL)
        snprintf(path, size, "%s/%s", folder, file);
    return path;
}

static void list_file(struct listing *listing, const char *folder, const char *file)
{
    char *name = memory_copy_span(file, strlen(file) - strlen(extension));
    struct plugin_listing *item = name != NULL ? listing_add(listing, join(folder, file)) : NULL;
    if (item != NULL)
        item->plugin = plugin_load_file(item->file, name, &item->failure);
    else
        listing->failed = true;
    memory_free(name);
}

static bool is_plugin_name(const char *file)
{
    size_t length = strlen(file);
    return file[0] != '.' && length > strlen(extension) &&
           strcmp(file + length - strlen(extension), extension) == 0;
}

static void list_unreadable(struct listing *listing, const char *folder, int error)
{
    struct plugin_listing *item = listing_add(listing, memory_copy_text(folder));
    if (item != NULL)
        failure_set(&item->failure, WHIPPET_E_SYSTEM, "cannot read the folder %s: %s", folder,
                    strerrordesc_np(error));
}

static void list_folder(struct listing *listing, const char *folder)
{
    DIR *directory = opendir(folder);
    if (directory == NULL) {
        if (errno != ENOENT)
            list_unreadable(listing, folder, errno);
        return;
    }
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (is_plugin_name(entry->d_name) && !is_listed(listing, entry->d_name))
            list_file(listing, folder, entry->d_name);
    }
    closedir(directory);
}

static int compare_by_name(const void *a, const void *b)
{
    const struct plugin_listing *left = a;
    const struct plugin_listing *right = b;
    return strcmp(base_name(left->file), base_name(right->file));
}

size_t plugin_list(const char *const *path, size_t path_count, struct plugin_listing **listings)
{
    struct listing listing = {0};
    for (size_t i = 0; i < path_count && !listing.failed; i++)
        list_folder(&listing, path[i]);
    if (listing.failed) {
        plugin_list_destroy(listing.items, listing.count);
        listing = (struct listing){0};
    }
    if (listing.count > 1)
        qsort(listing.items, listing.count, sizeof *listing.items, compare_by_name);
    *listings = listing.items;
    return listing.count;
}

void plugin_list_destroy(struct plugin_listing *listings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        plugin_unload(listings[i].plugin);
        memory_free(listings[i].file);
    }
    memory_free(listings);
}
