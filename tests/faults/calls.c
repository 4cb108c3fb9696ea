/* Two ways in. What our own objects call is wrapped by the linker (-Wl,--wrap: tests/faults/CMakeLists.txt).
 * What libev calls is found here first, before libc's, because this is the program. */
#include "calls.h"
#include <base/memory.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAILS(call, error)                                                                                   \
    {                                                                                                        \
        call, EFFECT_FAILS, error, #error                                                                    \
    }
#define SHORT(call)                                                                                          \
    {                                                                                                        \
        call, EFFECT_SHORT, 0, "short"                                                                       \
    }
#define ENDS(call)                                                                                           \
    {                                                                                                        \
        call, EFFECT_ENDS, 0, "the end"                                                                      \
    }

const struct fault FAULTS[] = {
    FAILS("memory", ENOMEM),
    FAILS("socket", EMFILE),
    FAILS("connect", ECONNREFUSED),
    FAILS("connect", EADDRNOTAVAIL),
    FAILS("getsockopt", ENOBUFS),
    FAILS("setsockopt", ENOBUFS),
    FAILS("recv", EINTR),
    FAILS("recv", EAGAIN),
    FAILS("recv", ECONNRESET),
    SHORT("recv"),
    ENDS("recv"),
    FAILS("send", EINTR),
    FAILS("send", EAGAIN),
    FAILS("send", EPIPE),
    SHORT("send"),
    FAILS("read", EINTR),
    FAILS("read", EIO),
    SHORT("read"),
    ENDS("read"),
    FAILS("pread", EIO),
    ENDS("pread"),
    FAILS("write", EINTR),
    FAILS("write", ENOSPC),
    FAILS("write", EPIPE),
    SHORT("write"),
    FAILS("open", EMFILE),
    FAILS("open", EACCES),
    FAILS("fcntl", EMFILE),
    FAILS("stat", EACCES),
    FAILS("fstat", EIO),
    FAILS("access", EACCES),
    FAILS("mmap", ENOMEM),
    FAILS("mprotect", ENOMEM),
    FAILS("madvise", EINVAL),
    FAILS("memfd_create", EMFILE),
    FAILS("pthread_create", EAGAIN),
    FAILS("getaddrinfo", EAI_AGAIN),
    FAILS("getaddrinfo", EAI_MEMORY),
    FAILS("epoll_create1", EMFILE),
    FAILS("epoll_ctl", ENOMEM),
    FAILS("epoll_wait", EINTR),
    FAILS("eventfd", EMFILE),
    FAILS("pipe2", EMFILE),
    FAILS("posix_spawnp", EAGAIN),
    FAILS("posix_spawn", EAGAIN),
    FAILS("posix_spawn", ENOENT),
    FAILS("socketpair", EMFILE),
    FAILS("ftruncate", ENOSPC),
    FAILS("sendmsg", EAGAIN),
    FAILS("sendmsg", EINTR),
    FAILS("sendmsg", EPIPE),
    SHORT("sendmsg"),
    FAILS("bind", EADDRINUSE),
    FAILS("listen", EADDRINUSE),
    FAILS("pidfd_open", EMFILE),
    FAILS("waitpid", EINTR),
    {0},
};

static atomic_long made_here;

static struct {
    const struct fault *fault;
    long from, until;
    atomic_long *made;
} armed = {.made = &made_here};

static _Thread_local bool is_shielded;

static const struct fault *strikes(const char *call)
{
    const struct fault *fault = armed.fault;
    if (fault == NULL || is_shielded || strcmp(fault->call, call) != 0)
        return NULL;
    long number = atomic_fetch_add(armed.made, 1) + 1;
    if (number < armed.from || number >= armed.until)
        return NULL;
    errno = fault->error;
    return fault;
}

static bool permit(size_t size)
{
    (void)size;
    return strikes("memory") == NULL;
}

void calls_arm(const struct fault *fault, long from, long count)
{
    armed.fault = fault;
    armed.from = from;
    armed.until = from + count;
    if (fault != NULL)
        atomic_store(armed.made, 0);
    memory_permit = fault != NULL && strcmp(fault->call, "memory") == 0 ? permit : NULL;
}

void calls_count_in(atomic_long *made)
{
    armed.made = made;
}

const struct fault *fault_find(const char *call, const char *name)
{
    for (const struct fault *fault = FAULTS; fault->call != NULL; fault++)
        if (strcmp(fault->call, call) == 0 && strcmp(fault->name, name) == 0)
            return fault;
    return NULL;
}

void calls_shield(bool shielded)
{
    is_shielded = shielded;
}

/* --- What our objects call ------------------------------------------------------------------------------*/

/* A call that says -1 with errno, or whatever `failed` is. */
#define WRAP(type, name, parameters, arguments, failed)                                                      \
    type __real_##name parameters;                                                                           \
    type __wrap_##name parameters;                                                                           \
    type __wrap_##name parameters                                                                            \
    {                                                                                                        \
        return strikes(#name) != NULL ? failed : __real_##name arguments;                                    \
    }

WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1)
WRAP(int, connect, (int descriptor, const struct sockaddr *address, socklen_t size),
     (descriptor, address, size), -1)
WRAP(int, getsockopt, (int descriptor, int level, int name, void *value, socklen_t *size),
     (descriptor, level, name, value, size), -1)
WRAP(int, setsockopt, (int descriptor, int level, int name, const void *value, socklen_t size),
     (descriptor, level, name, value, size), -1)
WRAP(int, stat, (const char *path, struct stat *status), (path, status), -1)
WRAP(int, fstat, (int descriptor, struct stat *status), (descriptor, status), -1)
WRAP(int, access, (const char *path, int mode), (path, mode), -1)
WRAP(void *, mmap, (void *at, size_t size, int protection, int flags, int descriptor, off_t offset),
     (at, size, protection, flags, descriptor, offset), MAP_FAILED)
WRAP(int, mprotect, (void *at, size_t size, int protection), (at, size, protection), -1)
WRAP(int, madvise, (void *at, size_t size, int advice), (at, size, advice), -1)
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1)
WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*function)(void *), void *arg),
     (thread, attributes, function, arg), armed.fault->error)
WRAP(int, getaddrinfo,
     (const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result),
     (node, service, hints, result), armed.fault->error)
WRAP(int, pipe2, (int ends[2], int flags), (ends, flags), -1)
WRAP(int, posix_spawnp,
     (pid_t * process, const char *file, const posix_spawn_file_actions_t *actions,
      const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[]),
     (process, file, actions, attributes, arguments, environment), armed.fault->error)
WRAP(int, posix_spawn,
     (pid_t * process, const char *file, const posix_spawn_file_actions_t *actions,
      const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[]),
     (process, file, actions, attributes, arguments, environment), armed.fault->error)
WRAP(int, socketpair, (int domain, int type, int protocol, int ends[2]), (domain, type, protocol, ends), -1)
WRAP(int, ftruncate, (int descriptor, off_t size), (descriptor, size), -1)
WRAP(int, bind, (int descriptor, const struct sockaddr *address, socklen_t size), (descriptor, address, size),
     -1)
WRAP(int, listen, (int descriptor, int backlog), (descriptor, backlog), -1)
WRAP(int, pidfd_open, (pid_t process, unsigned flags), (process, flags), -1)
WRAP(pid_t, waitpid, (pid_t process, int *status, int options), (process, status, options), -1)

/* Reading and writing also come off by halves. */
#define WRAP_TRANSFER(name, parameters, arguments)                                                           \
    ssize_t __real_##name parameters;                                                                        \
    ssize_t __wrap_##name parameters;                                                                        \
    ssize_t __wrap_##name parameters                                                                         \
    {                                                                                                        \
        const struct fault *fault = strikes(#name);                                                          \
        if (fault != NULL && fault->effect != EFFECT_SHORT)                                                  \
            return fault->effect == EFFECT_ENDS ? 0 : -1;                                                    \
        if (fault != NULL && size > 1)                                                                       \
            size = 1;                                                                                        \
        return __real_##name arguments;                                                                      \
    }

WRAP_TRANSFER(recv, (int descriptor, void *data, size_t size, int flags), (descriptor, data, size, flags))
WRAP_TRANSFER(send, (int descriptor, const void *data, size_t size, int flags),
              (descriptor, data, size, flags))
WRAP_TRANSFER(read, (int descriptor, void *data, size_t size), (descriptor, data, size))
WRAP_TRANSFER(pread, (int descriptor, void *data, size_t size, off_t offset),
              (descriptor, data, size, offset))
WRAP_TRANSFER(write, (int descriptor, const void *data, size_t size), (descriptor, data, size))

ssize_t __real_sendmsg(int descriptor, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int descriptor, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int descriptor, const struct msghdr *message, int flags)
{
    const struct fault *fault = strikes("sendmsg");
    if (fault == NULL)
        return __real_sendmsg(descriptor, message, flags);
    if (fault->effect != EFFECT_SHORT || message->msg_iovlen == 0 || message->msg_iov[0].iov_len == 0)
        return -1;
    struct iovec first = {message->msg_iov[0].iov_base, 1};
    struct msghdr shorter = {.msg_iov = &first, .msg_iovlen = 1};
    return __real_sendmsg(descriptor, &shorter, flags);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return strikes("open") != NULL ? -1 : __real_open(path, flags, mode);
}

int __real_fcntl(int descriptor, int command, ...);
int __wrap_fcntl(int descriptor, int command, ...);
int __wrap_fcntl(int descriptor, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return strikes("fcntl") != NULL ? -1 : __real_fcntl(descriptor, command, argument);
}

/* --- What libev calls -----------------------------------------------------------------------------------*/

#define BEFORE_LIBC __attribute__((visibility("default")))

static void *find_next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL)
        __builtin_trap();
    return function;
}

#define REPLACE(name, parameters, arguments)                                                                 \
    BEFORE_LIBC int name parameters                                                                          \
    {                                                                                                        \
        static int(*_Atomic next) parameters;                                                                \
        if (next == NULL)                                                                                    \
            next = find_next(#name);                                                                         \
        return strikes(#name) != NULL ? -1 : next arguments;                                                 \
    }

REPLACE(epoll_create1, (int flags), (flags))
REPLACE(eventfd, (unsigned value, int flags), (value, flags))

/* Not where libev watches its own eventfd: without that it can't go on, and ends the process by an assertion.
 */
static bool is_of_libev(int descriptor)
{
    char path[40], target[40] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(path, target, sizeof target - 1);
    return length > 0 && strstr(target, "eventfd") != NULL;
}

static int (*_Atomic next_epoll_ctl)(int, int, int, struct epoll_event *);

BEFORE_LIBC int epoll_ctl(int epoll, int operation, int descriptor, struct epoll_event *event)
{
    if (next_epoll_ctl == NULL)
        next_epoll_ctl = find_next("epoll_ctl");
    if (!is_of_libev(descriptor) && strikes("epoll_ctl") != NULL)
        return -1;
    return next_epoll_ctl(epoll, operation, descriptor, event);
}

REPLACE(epoll_wait, (int epoll, struct epoll_event *events, int count, int timeout),
        (epoll, events, count, timeout))
