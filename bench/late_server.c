/* A web server that takes its time: it answers every request after the same pause, however many wait at once.
 * It is there to be faster than any client.
 *
 *     late_server COUNT MILLISECONDS    prints the port that it listens at, on loopback; answers COUNT
 * requests, and prints what it saw as a line of JSON
 *
 * Requests have a body with Content-Length; connections are kept. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 512,
    ROOM = 4096,     /* bytes of a request */
    PENDING = 65536, /* answers that wait, at most; a power of two */
};

static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct connection {
    int descriptor;
    unsigned waiting; /* requests without an answer */
    size_t filled;
    char request[ROOM + 1];
};

/* Answers fall due in the order in which their requests came, for all wait alike. */
struct pending {
    double due;
    struct connection *connection;
};

struct server {
    int epoll;
    int listener;
    double pause;
    struct pending pending[PENDING];
    uint64_t first, last; /* of those that wait: from `first` on, before `last` */
    uint64_t count;       /* to answer */
    uint64_t bytes;       /* of bodies */
    uint64_t most;        /* that waited at once */
    uint64_t connections;
    double began; /* the moment of the first request */
};

static void die(const char *what)
{
    fprintf(stderr, "late_server: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* --- Requests -------------------------------------------------------------------------------------------*/

/* The length of the whole request, 0 while it is not all there. */
static size_t request_length(const struct connection *connection, size_t *body)
{
    const char *end = strstr(connection->request, "\r\n\r\n");
    const char *field = end != NULL ? strcasestr(connection->request, "\r\nContent-Length:") : NULL;
    *body = field != NULL && field < end ? strtoul(strchr(field, ':') + 1, NULL, 10) : 0;
    size_t length = end != NULL ? (size_t)(end - connection->request) + strlen("\r\n\r\n") + *body : 0;
    return length <= connection->filled ? length : 0;
}

static void note_request(struct server *server, struct connection *connection, size_t body)
{
    double moment = now();
    connection->waiting++;
    if (server->last == 0)
        server->began = moment;
    server->pending[server->last++ % PENDING] = (struct pending){moment + server->pause, connection};
    server->bytes += body;
    if (server->last - server->first > server->most)
        server->most = server->last - server->first;
    if (server->most == PENDING) {
        errno = ENOBUFS;
        die("too many requests at once");
    }
}

static void end_connection(struct connection *connection)
{
    if (connection->waiting > 0) {
        fprintf(stderr, "late_server: a client has left before its answer\n");
        exit(1);
    }
    close(connection->descriptor);
    free(connection);
}

static void read_requests(struct server *server, struct connection *connection)
{
    size_t length, body;
    ssize_t count = recv(connection->descriptor, connection->request + connection->filled,
                         ROOM - connection->filled, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN)
        return;
    if (count <= 0) {
        end_connection(connection);
        return;
    }
    connection->filled += (size_t)count;
    connection->request[connection->filled] = '\0';
    while ((length = request_length(connection, &body)) > 0) {
        note_request(server, connection, body);
        connection->filled -= length;
        memmove(connection->request, connection->request + length, connection->filled + 1);
    }
}

/* --- Answers --------------------------------------------------------------------------------------------*/

static void answer_due(struct server *server)
{
    double moment = now();
    while (server->first < server->last && server->pending[server->first % PENDING].due <= moment) {
        struct connection *connection = server->pending[server->first++ % PENDING].connection;
        connection->waiting--;
        if (send(connection->descriptor, ANSWER, strlen(ANSWER), MSG_NOSIGNAL) != (ssize_t)strlen(ANSWER))
            die("send");
    }
}

/* Milliseconds until the next answer, rounded up; -1: there is none. */
static int patience(const struct server *server)
{
    if (server->first == server->last)
        return -1;
    double left = server->pending[server->first % PENDING].due - now();
    return left > 0 ? (int)(left * 1000) + 1 : 0;
}

/* --- Connections ----------------------------------------------------------------------------------------*/

static void listen_anywhere(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(server->listener, (struct sockaddr *)&address, size) < 0 ||
        listen(server->listener, SOMAXCONN) < 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &size) < 0 ||
        epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->listener, &event) < 0)
        die("listen");
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
}

static void accept_all(struct server *server)
{
    int descriptor;
    while ((descriptor = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = calloc(1, sizeof *connection);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (connection == NULL || epoll_ctl(server->epoll, EPOLL_CTL_ADD, descriptor, &event) < 0)
            die("epoll");
        connection->descriptor = descriptor;
        server->connections++;
    }
    if (errno != EAGAIN)
        die("accept");
}

static void turn(struct server *server)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(server->epoll, events, EVENTS, patience(server));
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == NULL)
            accept_all(server);
        else
            read_requests(server, events[i].data.ptr);
    }
    answer_due(server);
}

int main(int argc, char **argv)
{
    static struct server server;
    struct rlimit files;
    if (argc != 3) {
        fprintf(stderr, "usage: late_server COUNT MILLISECONDS\n");
        return 64;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    server.count = strtoul(argv[1], NULL, 10);
    server.pause = strtod(argv[2], NULL) / 1000;
    listen_anywhere(&server);
    while (server.first < server.count)
        turn(&server);
    printf("{\"requests\": %lu, \"bytes\": %lu, \"seconds\": %.6f, \"most\": %lu, \"connections\": %lu}\n",
           (unsigned long)server.first, (unsigned long)server.bytes, now() - server.began,
           (unsigned long)server.most, (unsigned long)server.connections);
    return 0;
}
