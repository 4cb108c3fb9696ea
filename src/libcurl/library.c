#include <base/memory.h>
#include <dlfcn.h>
#include <libcurl/library.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

static const char LIBRARY[] = "libcurl.so.4";

static struct curl_library library;
static atomic_bool is_loaded;

/* A function's address as POSIX has it from dlsym, without the cast that C forbids. */
static bool find(void *handle, const char *name, void *function)
{
    void *address = dlsym(handle, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

static void *allocate_array(size_t count, size_t size)
{
    return size == 0 || count <= SIZE_MAX / size ? memory_allocate_zeroed(count * size) : NULL;
}

/* 0 or an error with the failure filled. */
static int load(struct whippet_failure *failure)
{
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    bool found = handle != NULL;
#define CURL_FIND(result, name, parameters) found = found && find(handle, "curl_" #name, &library.name);
    CURL_FUNCTIONS(CURL_FIND)
#undef CURL_FIND
    if (!found)
        return failure_set(failure, WHIPPET_E_UNAVAILABLE,
                           "libcurl, which speaks HTTP, can't be loaded: %s; install it (Debian's package "
                           "libcurl4)",
                           dlerror());
    CURLcode code = library.global_init_mem(CURL_GLOBAL_ALL, memory_allocate, memory_free, memory_resize,
                                            memory_copy_text, allocate_array);
    if (code != CURLE_OK)
        return failure_set(failure, WHIPPET_E_MEMORY, "libcurl can't begin: %s", library.easy_strerror(code));
    return 0;
}

const struct curl_library *curl_library_load(struct whippet_failure *failure)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&mutex);
    if (!is_loaded)
        is_loaded = load(failure) == 0;
    pthread_mutex_unlock(&mutex);
    return is_loaded ? &library : NULL;
}

bool curl_library_is_loaded(void)
{
    return is_loaded;
}
