#include <dlfcn.h>
#include <management/curl_library.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

static const char LIBRARY[] = "libcurl.so.4";

/* A function's address as POSIX has it from dlsym, without the cast that C forbids. */
static bool find(void *handle, const char *name, void *function)
{
    void *address = dlsym(handle, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

static struct curl_library library;
static bool is_loaded;

static void load(struct whippet_failure *failure)
{
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    is_loaded = handle != NULL;
#define CURL_FIND(result, name, parameters)                                                                  \
    is_loaded = is_loaded && find(handle, "curl_" #name, &library.name);
    CURL_FUNCTIONS(CURL_FIND)
#undef CURL_FIND
    if (!is_loaded)
        failure_set(failure, WHIPPET_E_UNAVAILABLE,
                    "libcurl, which speaks HTTP, can't be loaded: %s; install it (Debian's package libcurl4)",
                    dlerror());
}

const struct curl_library *curl_library_load(struct whippet_failure *failure)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&mutex);
    if (!is_loaded)
        load(failure);
    bool loaded = is_loaded;
    pthread_mutex_unlock(&mutex);
    return loaded ? &library : NULL;
}
