#include <async/resolve.h>
#include <errno.h>
#include <io/dial.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <whippet/task.h>

static void address_format(const struct addrinfo *address, char *text, size_t size)
{
    char host[64], service[8];
    if (getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, service, sizeof service,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(text, size, "?");
    else
        snprintf(text, size, address->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, service);
}

static int await_writable(whippet_task *task, void *arg)
{
    return whippet_wait_fd(task, *(int *)arg, WHIPPET_WRITABLE);
}

/* 0, or an error: SYSTEM with `*reason` an errno, or that of the await. */
static int connect_socket(whippet_task *task, int descriptor, const struct addrinfo *address, double seconds,
                          int *reason)
{
    if (connect(descriptor, address->ai_addr, address->ai_addrlen) == 0)
        return 0;
    *reason = errno;
    if (errno != EINPROGRESS)
        return WHIPPET_E_SYSTEM;
    int ready = isfinite(seconds) ? whippet_with_timeout(task, seconds, await_writable, &descriptor)
                                  : await_writable(task, &descriptor);
    if (ready < 0)
        return ready;
    socklen_t size = sizeof *reason;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, reason, &size) != 0)
        *reason = errno;
    return *reason == 0 ? 0 : WHIPPET_E_SYSTEM;
}

/* One address: the descriptor, or an error with the failure filled. */
static int dial_address(whippet_task *task, const char *host, const struct addrinfo *address, double seconds,
                        struct whippet_failure *failure)
{
    char text[80];
    int reason = 0;
    address_format(address, text, sizeof text);
    int descriptor =
        socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address->ai_protocol);
    if (descriptor < 0)
        return failure_set(failure, WHIPPET_E_SYSTEM, "connecting to %s (%s): no socket: %s", host, text,
                           strerror(errno));
    int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int error = connect_socket(task, descriptor, address, seconds, &reason);
    if (error == 0)
        return descriptor;
    close(descriptor);
    return failure_set(failure, error, "connecting to %s (%s): %s", host, text,
                       error == WHIPPET_E_SYSTEM ? strerror(reason) : whippet_error_text(error));
}

/* What each address answered, in turn: the last one may be of a kind that this machine has no route to. */
static void add_failure(struct whippet_failure *failure, const struct whippet_failure *one)
{
    if (failure->text[0] != '\0')
        failure_set(failure, one->error, "%s; %s", failure->text, one->text);
    else
        *failure = *one;
}

int dial(whippet_task *task, const char *host, uint16_t port, struct whippet_failure *failure)
{
    return dial_briefly(task, host, port, INFINITY, failure);
}

int dial_briefly(whippet_task *task, const char *host, uint16_t port, double seconds,
                 struct whippet_failure *failure)
{
    struct addrinfo *addresses;
    struct whippet_failure one;
    int result = resolve(task, host, port, &addresses, failure);
    if (result != 0)
        return result;
    int left = 0;
    failure->text[0] = '\0';
    for (const struct addrinfo *address = addresses; address != NULL; address = address->ai_next)
        left++;
    for (const struct addrinfo *address = addresses; address != NULL; address = address->ai_next) {
        result = dial_address(task, host, address, fmin(whippet_time_left(task) / left--, seconds), &one);
        if (result >= 0)
            break;
        add_failure(failure, &one);
        if (result == WHIPPET_E_CANCELLED)
            break;
    }
    freeaddrinfo(addresses);
    return result;
}
