#include "folders.h"
#include <worker/plugin.h>

bool folders_add(struct folders *folders, const char *path)
{
    if (folders->count == FOLDERS_MOST)
        return false;
    folders->paths[folders->count++] = path;
    return true;
}

void folders_complete(struct folders *folders)
{
    size_t count;
    const char *const *paths = plugin_default_path(&count);
    if (folders->count > 0)
        return;
    for (size_t i = 0; i < count; i++)
        folders_add(folders, paths[i]);
}
