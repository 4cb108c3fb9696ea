#include "curses_library.h"
#include <dlfcn.h>
#include <string.h>

static const char LIBRARY[] = "libncursesw.so.6";

/* A function's address as POSIX has it from dlsym, without the cast that C forbids. */
static bool find(void *handle, const char *name, void *function)
{
    void *address = dlsym(handle, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

const struct curses_library *curses_library_load(struct whippet_failure *failure)
{
    static struct curses_library library;
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    bool found = handle != NULL;
#define CURSES_FIND(result, name, parameters) found = found && find(handle, #name, &library.name);
    CURSES_FUNCTIONS(CURSES_FIND)
#undef CURSES_FIND
    if (found)
        return &library;
    failure_set(failure, WHIPPET_E_UNAVAILABLE,
                "ncurses, which draws on terminals, can't be loaded: %s; install it (Debian's package "
                "libncursesw6)",
                dlerror());
    return NULL;
}
