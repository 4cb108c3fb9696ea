#include "curl_library.h"
#include <dlfcn.h>
#include <string.h>

static const char LIBRARY[] = "libcurl.so.4";

/* A function's address as POSIX has it from dlsym, without the cast that C forbids. */
static bool find(void *handle, const char *name, void *function)
{
    void *address = dlsym(handle, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

const struct curl_library *curl_library_load(struct whippet_failure *failure)
{
    static struct curl_library library;
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    bool found = handle != NULL;
#define CURL_FIND(result, name, parameters) found = found && find(handle, "curl_" #name, &library.name);
    CURL_FUNCTIONS(CURL_FIND)
#undef CURL_FIND
    if (found)
        return &library;
    failure_set(
        failure, WHIPPET_E_UNAVAILABLE,
        "libcurl, which asks the management API, can't be loaded: %s; install it (Debian's package libcurl4)",
        dlerror());
    return NULL;
}
