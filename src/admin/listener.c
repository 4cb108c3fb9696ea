#include "listener.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 128
};

static uint16_t port_of(int descriptor)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    if (getsockname(descriptor, (struct sockaddr *)&address, &size) != 0)
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static int listen_on(const struct addrinfo *address)
{
    static const int yes = 1;
    int descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return -1;
    /* Else a worker that is started again would wait for the old one's connections to be forgotten. */
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(descriptor, address->ai_addr, address->ai_addrlen) == 0 && listen(descriptor, BACKLOG) == 0)
        return descriptor;
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

static const char *advice(int error)
{
    switch (error) {
    case EADDRINUSE: return "; another process has it: choose another port, or \"off\"";
    case EACCES: return "; ports below 1024 take special rights";
    case EADDRNOTAVAIL: return "; this machine does not have that address";
    default: return "";
    }
}

int listener_open(const char *host, uint16_t port, uint16_t *bound, struct whippet_failure *failure)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *addresses;
    bool is_ipv6 = strchr(host, ':') != NULL;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    int error = getaddrinfo(host, service, &hints, &addresses);
    if (error != 0) {
        failure_set(failure, WHIPPET_E_INVALID, "%s: %s", host, gai_strerror(error));
        return -1;
    }
    int descriptor = listen_on(addresses);
    int reason = errno;
    freeaddrinfo(addresses);
    if (descriptor < 0)
        failure_set(failure, WHIPPET_E_SYSTEM, "cannot listen on %s%s%s:%u: %s%s", is_ipv6 ? "[" : "", host,
                    is_ipv6 ? "]" : "", port, strerror(reason), advice(reason));
    else
        *bound = port_of(descriptor);
    return descriptor;
}

bool listener_is_loopback(int descriptor)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    if (getsockname(descriptor, (struct sockaddr *)&address, &size) != 0)
        return false;
    if (address.ss_family == AF_INET6) {
        const struct in6_addr *wide = &((struct sockaddr_in6 *)&address)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(wide) ||
               (IN6_IS_ADDR_V4MAPPED(wide) && wide->s6_addr[12] == IN_LOOPBACKNET);
    }
    return ntohl(((struct sockaddr_in *)&address)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}
