/* HTTP/1.0 is all that a question to the admin port takes: the end of the connection is the end of the
 * answer. */
#include "admin_client.h"
#include <base/clock.h>
#include <config/config.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_SIZE = 16 * 1024
};

/* --- Where ----------------------------------------------------------------------------------------------*/

static bool parse_url(const char *url, struct admin_address *address)
{
    static const char SCHEME[] = "http://";
    bool has_scheme = strncmp(url, SCHEME, strlen(SCHEME)) == 0;
    const char *host = has_scheme ? url + strlen(SCHEME) : url;
    bool in_brackets = *host == '[';
    host += in_brackets;
    size_t length = strcspn(host, in_brackets ? "]" : ":/");
    const char *port = host + length + (in_brackets && host[length] == ']');
    if (length == 0 || length >= sizeof address->host || *port++ != ':')
        return false;
    size_t digits = strspn(port, "0123456789");
    if (digits == 0 || digits > 5 || (port[digits] != '\0' && strcmp(port + digits, "/") != 0))
        return false;
    snprintf(address->host, sizeof address->host, "%.*s", (int)length, host);
    snprintf(address->port, sizeof address->port, "%.*s", (int)digits, port);
    return true;
}

int admin_address_parse(const char *url, struct admin_address *address, struct whippet_failure *failure)
{
    if (parse_url(url, address))
        return 0;
    return failure_set(failure, WHIPPET_E_INVALID,
                       "expected a URL such as http://127.0.0.1:9464, found \"%.100s\"", url);
}

/* Whoever listens on all addresses listens on loopback, too. */
static const char *reachable(const char *host)
{
    if (strcmp(host, "0.0.0.0") == 0)
        return "127.0.0.1";
    return strcmp(host, "::") == 0 ? "::1" : host;
}

static int take_listen(const struct listen_address *listen, const char *file, struct admin_address *address,
                       struct whippet_failure *failure)
{
    if (listen->host == NULL)
        return failure_set(failure, WHIPPET_E_INVALID, "%s: admin.listen is off: there is nobody to ask",
                           file);
    if (listen->port == 0)
        return failure_set(failure, WHIPPET_E_INVALID,
                           "%s: admin.listen leaves the port to the kernel: name the one in the worker's log "
                           "with --admin",
                           file);
    snprintf(address->host, sizeof address->host, "%s", reachable(listen->host));
    snprintf(address->port, sizeof address->port, "%u", listen->port);
    return 0;
}

int admin_address_find(const char *file, struct admin_address *address, struct whippet_failure *failure)
{
    struct config_errors errors;
    if (file == NULL && access(config_default_file(), F_OK) != 0)
        return admin_address_parse("http://127.0.0.1:9464", address, failure);
    struct config *config = config_load_faulty(file, &errors);
    int error;
    if (config == NULL)
        error = failure_set(failure, WHIPPET_E_INVALID, "%s can't be read: see \"whippet check\"",
                            file != NULL ? file : config_default_file());
    else
        error = take_listen(&config->admin_listen,
                            config->file != NULL ? config->file : config_default_file(), address, failure);
    config_destroy(config);
    config_errors_destroy(&errors);
    return error;
}

/* --- Asking ---------------------------------------------------------------------------------------------*/

static bool await(int descriptor, short events, double deadline)
{
    struct pollfd polled = {.fd = descriptor, .events = events};
    double left = deadline - clock_monotonic();
    return poll(&polled, 1, left > 0 ? (int)(left * 1000) + 1 : 0) > 0;
}

/* -1 with errno. */
static int connect_to(const struct addrinfo *target, double deadline)
{
    int error = ETIMEDOUT;
    socklen_t size = sizeof error;
    int descriptor = socket(target->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return -1;
    if (connect(descriptor, target->ai_addr, target->ai_addrlen) == 0)
        return descriptor;
    if (errno != EINPROGRESS)
        error = errno;
    else if (await(descriptor, POLLOUT, deadline))
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0)
        return descriptor;
    close(descriptor);
    errno = error;
    return -1;
}

/* To the first of them that takes it, each with its share of the time: a name may stand for addresses at
 * which nobody listens, as "localhost" does where ::1 comes before 127.0.0.1. -1 with errno, that of the
 * last. */
static int connect_to_any(const struct addrinfo *targets, double deadline)
{
    int descriptor = -1, left = 0;
    for (const struct addrinfo *target = targets; target != NULL; target = target->ai_next)
        left++;
    for (const struct addrinfo *target = targets; target != NULL && descriptor < 0;
         target = target->ai_next) {
        double now = clock_monotonic();
        descriptor = connect_to(target, now + (deadline - now) / left--);
    }
    return descriptor;
}

static bool leads_to_loopback(int descriptor)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    if (getpeername(descriptor, (struct sockaddr *)&address, &size) != 0)
        return false;
    if (address.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&address)->sin6_addr);
    return ntohl(((struct sockaddr_in *)&address)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* A worker on loopback knows few names, and this machine may have another for it: there, none is said, as
 * HTTP/1.0 allows. */
static void write_request(int descriptor, const struct admin_address *address, const char *path,
                          char *request, size_t size)
{
    bool is_ipv6 = strchr(address->host, ':') != NULL;
    if (leads_to_loopback(descriptor))
        snprintf(request, size, "GET %s HTTP/1.0\r\n\r\n", path);
    else
        snprintf(request, size, "GET %s HTTP/1.0\r\nHost: %s%s%s:%s\r\n\r\n", path, is_ipv6 ? "[" : "",
                 address->host, is_ipv6 ? "]" : "", address->port);
}

/* The whole answer; false when it did not come in time, or memory is short. */
static bool exchange(int descriptor, const char *request, double deadline, struct buffer *answer)
{
    if (send(descriptor, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request))
        return false;
    while (await(descriptor, POLLIN, deadline)) {
        uint8_t *room = buffer_reserve(answer, READ_SIZE);
        ssize_t count = room != NULL ? recv(descriptor, room, READ_SIZE, 0) : -1;
        if (count <= 0)
            return count == 0;
        buffer_commit(answer, (size_t)count);
    }
    return false;
}

/* The status, with the head taken off; 0 when it is no HTTP. */
static int take_head(struct buffer *answer)
{
    int status = 0;
    char line[16]; /* up to the status; the answer itself has no NUL to end it */
    const char *text = (const char *)buffer_begin(answer);
    const char *end = text != NULL ? memmem(text, buffer_length(answer), "\r\n\r\n", 4) : NULL;
    if (end == NULL)
        return 0;
    snprintf(line, sizeof line, "%.*s", (int)(end - text), text);
    if (sscanf(line, "HTTP/1.%*1d %3d", &status) != 1)
        return 0;
    buffer_consume(answer, (size_t)(end - text) + 4);
    return status;
}

int admin_get(const struct admin_address *address, const char *path, double seconds, struct buffer *body,
              struct whippet_failure *failure)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *target;
    double deadline = clock_monotonic() + seconds;
    char request[512];
    int status = 0;
    int error = getaddrinfo(address->host, address->port, &hints, &target);
    if (error != 0) {
        failure_set(failure, WHIPPET_E_INVALID, "%s: %s", address->host, gai_strerror(error));
        return 0;
    }
    int descriptor = connect_to_any(target, deadline);
    int reason = errno;
    freeaddrinfo(target);
    if (descriptor < 0) {
        failure_set(failure, WHIPPET_E_UNAVAILABLE, "no connection to %s port %s: %s", address->host,
                    address->port, strerror(reason));
        return 0;
    }
    write_request(descriptor, address, path, request, sizeof request);
    if (exchange(descriptor, request, deadline, body))
        status = take_head(body);
    if (status == 0)
        failure_set(failure, WHIPPET_E_TIMEOUT, "no answer from %s port %s within %g s", address->host,
                    address->port, seconds);
    close(descriptor);
    return status;
}
