#include "postgres_library.h"
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

static const char LIBRARY[] = "libpq.so.5";

static struct postgres_library library;
static bool loaded;
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

/* A function's address as POSIX has it from dlsym, without the cast that C forbids. */
static bool find(void *handle, const char *name, void *function)
{
    void *address = dlsym(handle, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

static bool find_all(void)
{
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    bool found = handle != NULL;
#define POSTGRES_FIND(result, name, parameters) found = found && find(handle, "PQ" #name, &library.name);
    POSTGRES_FUNCTIONS(POSTGRES_FIND)
#undef POSTGRES_FIND
    return found;
}

const struct postgres_library *postgres_library_load(struct whippet_failure *failure)
{
    pthread_mutex_lock(&loading);
    loaded = loaded || find_all();
    if (!loaded)
        failure_set(failure, WHIPPET_E_UNAVAILABLE,
                    "libpq, which speaks with PostgreSQL, can't be loaded: %s; install it (Debian's package "
                    "libpq5)",
                    dlerror());
    const struct postgres_library *found = loaded ? &library : NULL;
    pthread_mutex_unlock(&loading);
    return found;
}
