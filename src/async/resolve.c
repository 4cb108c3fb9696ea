#include <async/loop.h>
#include <async/resolve.h>
#include <base/memory.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Of its own in memory: a thread that hangs in getaddrinfo may outlive the task that asked. */
struct resolution {
    char *host;
    char service[8];
    int status; /* of getaddrinfo */
    int system_error;
    struct addrinfo *addresses;
};

static void resolution_run(void *arg)
{
    struct resolution *resolution = arg;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    resolution->status = getaddrinfo(resolution->host, resolution->service, &hints, &resolution->addresses);
    resolution->system_error = errno;
}

static void resolution_destroy(void *arg)
{
    struct resolution *resolution = arg;
    if (resolution->addresses != NULL)
        freeaddrinfo(resolution->addresses);
    memory_free(resolution->host);
    memory_free(resolution);
}

static struct resolution *resolution_create(const char *host, uint16_t port)
{
    struct resolution *resolution = memory_allocate_zeroed(sizeof *resolution);
    if (resolution == NULL)
        return NULL;
    resolution->host = memory_copy_text(host);
    if (resolution->host == NULL) {
        memory_free(resolution);
        return NULL;
    }
    snprintf(resolution->service, sizeof resolution->service, "%u", port);
    return resolution;
}

/* What it came to; 0 or the error. */
static int resolution_outcome(struct resolution *resolution, struct addrinfo **addresses,
                              struct whippet_failure *failure)
{
    if (resolution->status != 0)
        return failure_set(failure, WHIPPET_E_SYSTEM, "resolving %s: %s", resolution->host,
                           resolution->status == EAI_SYSTEM ? strerror(resolution->system_error)
                                                            : gai_strerror(resolution->status));
    if (resolution->addresses == NULL)
        return failure_set(failure, WHIPPET_E_SYSTEM, "resolving %s: it has no address", resolution->host);
    *addresses = resolution->addresses;
    resolution->addresses = NULL;
    return 0;
}

int resolve(whippet_task *task, const char *host, uint16_t port, struct addrinfo **addresses,
            struct whippet_failure *failure)
{
    struct resolution *resolution = resolution_create(host, port);
    if (resolution == NULL)
        return failure_set(failure, WHIPPET_E_MEMORY, "resolving %s: out of memory", host);
    int error = loop_offload(task, resolution_run, resolution, resolution_destroy);
    if (error != 0)
        failure_set(failure, error, "resolving %s: %s", host, whippet_error_text(error));
    if (error == WHIPPET_E_TIMEOUT || error == WHIPPET_E_CANCELLED)
        return error; /* the thread's now */
    if (error == 0)
        error = resolution_outcome(resolution, addresses, failure);
    resolution_destroy(resolution);
    return error;
}
