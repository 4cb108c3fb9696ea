/* A proxy that does to TCP connections what networks do. It takes connections on a loopback port of its own
 * and passes on what comes, both ways, until it is told otherwise:
 *
 *     chaos_proxy HOST PORT
 *
 * Its first line of output is the port it listens on. Then it reads commands from standard input, one a line,
 * and answers each with one line, "ok" unless said otherwise. It ends when standard input does.
 *
 *     delay MS           what comes is passed on so many milliseconds later
 *     throttle BYTES     so many bytes a second and direction of a connection at most; 0: no limit
 *     hold               passes nothing on, and loses nothing: a cable that is pulled out
 *     swallow WAY        takes bytes and drops them: a half-open connection. It never gets well again
 *     pass               the end of all of the above, for connections that have lost nothing
 *     cut                ends all connections (FIN both ways)
 *     reset              ends all connections (RST both ways)
 *     refuse             nobody listens any more
 *     hang               takes connections and says nothing on them
 *     accept             the end of refuse and hang
 *     corrupt WAY OFFSET flips the bits of the byte that comes as number OFFSET, counted from now, in one
 *                        connection's stream: that of whichever gets there first
 *     status             "open N accepted N up BYTES down BYTES swallowed BYTES corrupted N": connections now
 *                        and in all, bytes passed to the server and from it
 *
 * WAY is up (to the server), down (from it) or both. One thread and poll(2): a fault takes hold between two
 * reads, for all connections at once. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    LINKS = 256,
    BUFFER_SIZE = 64 * 1024,
    SEGMENTS = 64,
    LINE_SIZE = 128
};

enum way {
    UP,   /* from the client to the server */
    DOWN, /* from the server to the client */
    WAYS
};

/* What came in one read, and when it may go on. */
struct segment {
    size_t size;
    double due;
};

/* One direction of a connection. */
struct pipe {
    int from, to; /* descriptors, owned by the link */
    char bytes[BUFFER_SIZE];
    size_t size; /* bytes that wait, those of all segments */
    struct segment segments[SEGMENTS];
    size_t segment_count;
    double allowance; /* bytes that the throttle lets through now */
    double counted_at;
    bool ended; /* end of file was read; passed on once all bytes are */
    bool shut;  /* and it was passed on */
    bool lossy; /* has swallowed something, and does so for ever */
};

struct link {
    int client, server; /* server -1: the connection hangs */
    struct pipe pipes[WAYS];
};

static struct {
    struct sockaddr_in address, target;
    int listener;
    struct link *links[LINKS];
    size_t link_count;

    double delay;
    double throttle; /* bytes a second; 0: none */
    bool holds, hangs;
    bool swallows[WAYS];
    bool corrupts[WAYS];
    uint64_t corrupt_after[WAYS]; /* bytes */

    uint64_t accepted, passed[WAYS], swallowed, corrupted;
} proxy = {.listener = -1};

static void fail(const char *what)
{
    fprintf(stderr, "chaos_proxy: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* --- Connections ----------------------------------------------------------------------------------------*/

/* Listens on the port of before, or on one that the kernel picks. */
static void listen_again(void)
{
    int yes = 1;
    socklen_t size = sizeof(proxy.address);

    if (proxy.listener >= 0)
        return;
    proxy.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(proxy.listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (proxy.listener < 0 || bind(proxy.listener, (struct sockaddr *)&proxy.address, size) != 0 ||
        listen(proxy.listener, SOMAXCONN) != 0 ||
        getsockname(proxy.listener, (struct sockaddr *)&proxy.address, &size) != 0)
        fail("listen");
}

static void stop_listening(void)
{
    if (proxy.listener >= 0)
        close(proxy.listener);
    proxy.listener = -1;
}

static void close_with(int descriptor, bool reset)
{
    struct linger abortive = {.l_onoff = 1, .l_linger = 0};

    if (descriptor < 0)
        return;
    if (reset)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &abortive, sizeof(abortive));
    close(descriptor);
}

static void link_end(size_t index, bool reset)
{
    struct link *link = proxy.links[index];

    close_with(link->client, reset);
    close_with(link->server, reset);
    free(link);
    proxy.links[index] = proxy.links[--proxy.link_count];
}

static void end_all(bool reset)
{
    while (proxy.link_count > 0)
        link_end(0, reset);
}

/* A connection to the server; -1: it is refused. */
static int reach_server(void)
{
    int yes = 1, server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (server < 0)
        fail("socket");
    if (connect(server, (struct sockaddr *)&proxy.target, sizeof(proxy.target)) != 0) {
        close(server);
        return -1;
    }
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    fcntl(server, F_SETFL, O_NONBLOCK);
    return server;
}

static void take_connection(void)
{
    int yes = 1, client = accept4(proxy.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct link *link;

    if (client < 0)
        return;
    proxy.accepted++;
    int server = proxy.hangs ? -1 : reach_server();
    if ((server < 0 && !proxy.hangs) || proxy.link_count == LINKS || !(link = calloc(1, sizeof(*link)))) {
        close_with(client, true);
        close_with(server, true);
        return;
    }
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    link->client = client;
    link->server = server;
    link->pipes[UP].from = link->pipes[DOWN].to = client;
    link->pipes[UP].to = link->pipes[DOWN].from = server;
    proxy.links[proxy.link_count++] = link;
}

/* --- Bytes ----------------------------------------------------------------------------------------------*/

static void corrupt(enum way way, char *bytes, size_t size)
{
    if (!proxy.corrupts[way])
        return;
    if (proxy.corrupt_after[way] >= size) {
        proxy.corrupt_after[way] -= size;
        return;
    }
    bytes[proxy.corrupt_after[way]] ^= (char)0xFF;
    proxy.corrupts[way] = false;
    proxy.corrupted++;
}

/* Whether there is room for another read, and nothing forbids one. */
static bool pipe_wants(const struct pipe *pipe)
{
    return !pipe->ended && !proxy.holds && pipe->size < BUFFER_SIZE && pipe->segment_count < SEGMENTS;
}

/* Of what is swallowed not even the end gets through, whether in good order or by a reset. */
static bool pipe_swallow(struct pipe *pipe, ssize_t count)
{
    if (count > 0)
        proxy.swallowed += (uint64_t)count;
    else
        pipe->ended = pipe->shut = true;
    return true;
}

/* False: the connection was reset. */
static bool pipe_take(struct pipe *pipe, enum way way)
{
    char *place = pipe->bytes + pipe->size;
    ssize_t count = read(pipe->from, place, BUFFER_SIZE - pipe->size);

    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    pipe->lossy |= proxy.swallows[way];
    if (pipe->lossy)
        return pipe_swallow(pipe, count);
    if (count < 0)
        return false;
    if (count == 0) {
        pipe->ended = true;
        return true;
    }
    corrupt(way, place, (size_t)count);
    pipe->size += (size_t)count;
    pipe->segments[pipe->segment_count++] = (struct segment){(size_t)count, now() + proxy.delay};
    return true;
}

/* How many bytes may go on at this moment. */
static size_t pipe_due(struct pipe *pipe, double moment)
{
    size_t due = 0;

    if (proxy.holds || pipe->lossy)
        return 0;
    for (size_t i = 0; i < pipe->segment_count && pipe->segments[i].due <= moment; i++)
        due += pipe->segments[i].size;
    if (proxy.throttle <= 0)
        return due;
    pipe->allowance += (moment - pipe->counted_at) * proxy.throttle;
    pipe->counted_at = moment;
    if (pipe->allowance > proxy.throttle / 4)
        pipe->allowance = proxy.throttle / 4;
    if (pipe->allowance < 1)
        return 0;
    return due < (size_t)pipe->allowance ? due : (size_t)pipe->allowance;
}

static void pipe_consume(struct pipe *pipe, size_t count)
{
    size_t whole = 0, left = count;

    while (whole < pipe->segment_count && pipe->segments[whole].size <= left)
        left -= pipe->segments[whole++].size;
    pipe->segment_count -= whole;
    memmove(pipe->segments, pipe->segments + whole, pipe->segment_count * sizeof(pipe->segments[0]));
    if (left > 0)
        pipe->segments[0].size -= left;
    pipe->size -= count;
    memmove(pipe->bytes, pipe->bytes + count, pipe->size);
}

/* False: the connection was reset. */
static bool pipe_give(struct pipe *pipe, enum way way, double moment)
{
    size_t due = pipe_due(pipe, moment);

    if (due > 0) {
        ssize_t count = send(pipe->to, pipe->bytes, due, MSG_NOSIGNAL);
        if (count < 0)
            return errno == EAGAIN || errno == EINTR;
        pipe->allowance -= (double)count;
        proxy.passed[way] += (uint64_t)count;
        pipe_consume(pipe, (size_t)count);
    }
    if (pipe->ended && !pipe->shut && pipe->size == 0 && !proxy.holds) {
        shutdown(pipe->to, SHUT_WR);
        pipe->shut = true;
    }
    return true;
}

/* --- Commands -------------------------------------------------------------------------------------------*/

static bool read_way(const char *text, bool ways[WAYS])
{
    ways[UP] = strcmp(text, "up") == 0 || strcmp(text, "both") == 0;
    ways[DOWN] = strcmp(text, "down") == 0 || strcmp(text, "both") == 0;
    return ways[UP] || ways[DOWN];
}

static bool command_corrupt(const char *way, const char *offset)
{
    bool ways[WAYS];

    if (!read_way(way, ways) || !*offset)
        return false;
    for (int i = 0; i < WAYS; i++) {
        if (ways[i]) {
            proxy.corrupts[i] = true;
            proxy.corrupt_after[i] = strtoull(offset, NULL, 10);
        }
    }
    return true;
}

static void pass(void)
{
    proxy.delay = 0;
    proxy.throttle = 0;
    proxy.holds = false;
    proxy.swallows[UP] = proxy.swallows[DOWN] = false;
}

static void refuse(bool hangs)
{
    proxy.hangs = hangs;
    if (hangs)
        listen_again();
    else
        stop_listening();
}

static bool set_limit(double *limit, const char *argument, double unit)
{
    *limit = strtod(argument, NULL) * unit;
    return *argument != '\0';
}

static bool obey(const char *verb, const char *first, const char *second)
{
    if (strcmp(verb, "delay") == 0)
        return set_limit(&proxy.delay, first, 1e-3);
    if (strcmp(verb, "throttle") == 0)
        return set_limit(&proxy.throttle, first, 1);
    if (strcmp(verb, "swallow") == 0)
        return read_way(first, proxy.swallows);
    if (strcmp(verb, "corrupt") == 0)
        return command_corrupt(first, second);
    if (strcmp(verb, "hold") == 0)
        proxy.holds = true;
    else if (strcmp(verb, "pass") == 0)
        pass();
    else if (strcmp(verb, "cut") == 0)
        end_all(false);
    else if (strcmp(verb, "reset") == 0)
        end_all(true);
    else if (strcmp(verb, "refuse") == 0 || strcmp(verb, "hang") == 0)
        refuse(strcmp(verb, "hang") == 0);
    else if (strcmp(verb, "accept") == 0) {
        proxy.hangs = false;
        listen_again();
    } else
        return false;
    return true;
}

static void answer(const char *line)
{
    char verb[LINE_SIZE] = "", first[LINE_SIZE] = "", second[LINE_SIZE] = "";

    sscanf(line, "%127s %127s %127s", verb, first, second);
    if (strcmp(verb, "status") == 0)
        printf("open %zu accepted %llu up %llu down %llu swallowed %llu corrupted %llu\n", proxy.link_count,
               (unsigned long long)proxy.accepted, (unsigned long long)proxy.passed[UP],
               (unsigned long long)proxy.passed[DOWN], (unsigned long long)proxy.swallowed,
               (unsigned long long)proxy.corrupted);
    else
        puts(obey(verb, first, second) ? "ok" : "what?");
    fflush(stdout);
}

/* Reads what there is of standard input; false at its end. */
static bool read_commands(void)
{
    static char line[LINE_SIZE];
    static size_t size;
    char *end;
    ssize_t count = read(STDIN_FILENO, line + size, sizeof(line) - 1 - size);

    if (count <= 0)
        return count < 0 && errno == EINTR;
    size += (size_t)count;
    while ((end = memchr(line, '\n', size)) != NULL) {
        *end++ = '\0';
        answer(line);
        size -= (size_t)(end - line);
        memmove(line, end, size);
    }
    return size < sizeof(line) - 1;
}

/* --- The loop -------------------------------------------------------------------------------------------*/

/* Whether there is something to give. */
static bool pipe_has(const struct pipe *pipe)
{
    return pipe->size > 0 && !pipe->lossy && !proxy.holds;
}

/* Whether that must wait for its time. */
static bool pipe_waits(const struct pipe *pipe)
{
    return pipe_has(pipe) && (proxy.throttle > 0 || pipe->segments[0].due > now());
}

static short wanted(const struct pipe *incoming, const struct pipe *outgoing)
{
    bool blocked = pipe_has(outgoing) && !pipe_waits(outgoing);

    return (short)((pipe_wants(incoming) ? POLLIN : 0) | (blocked ? POLLOUT : 0));
}

/* What each connection waits for: two entries each, after the two fixed ones. Returns the patience in ms. */
static int fill(struct pollfd *entries)
{
    int patience = -1;

    entries[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    entries[1] = (struct pollfd){.fd = proxy.listener, .events = POLLIN};
    for (size_t i = 0; i < proxy.link_count; i++) {
        const struct link *link = proxy.links[i];
        struct pollfd *pair = &entries[2 + 2 * i];
        pair[0] = (struct pollfd){.fd = -1};
        pair[1] = (struct pollfd){.fd = -1};
        if (link->server < 0)
            continue;
        pair[0].events = wanted(&link->pipes[UP], &link->pipes[DOWN]);
        pair[1].events = wanted(&link->pipes[DOWN], &link->pipes[UP]);
        /* poll tells of a hangup whether asked or not: whoever is not asked anything is left out. */
        pair[0].fd = pair[0].events ? link->client : -1;
        pair[1].fd = pair[1].events ? link->server : -1;
        if (pipe_waits(&link->pipes[UP]) || pipe_waits(&link->pipes[DOWN]))
            patience = 1;
    }
    return patience;
}

/* False: the connection is over. */
static bool serve(struct link *link, const struct pollfd *pair)
{
    double moment = now();

    if (link->server < 0)
        return true;
    for (int way = 0; way < WAYS; way++) {
        struct pipe *pipe = &link->pipes[way];
        if (pair[way].revents != 0 && pipe_wants(pipe) && !pipe_take(pipe, (enum way)way))
            return false;
        if (!pipe_give(pipe, (enum way)way, moment))
            return false;
    }
    return !link->pipes[UP].shut || !link->pipes[DOWN].shut;
}

static bool turn(void)
{
    static struct pollfd entries[2 + 2 * LINKS];
    size_t count = proxy.link_count;

    if (poll(entries, (nfds_t)(2 + 2 * count), fill(entries)) < 0 && errno != EINTR)
        fail("poll");
    /* From the last: the end of one puts the last in its place. */
    for (size_t i = count; i-- > 0;) {
        if (!serve(proxy.links[i], &entries[2 + 2 * i]))
            link_end(i, true);
    }
    if (entries[1].revents != 0)
        take_connection();
    return entries[0].revents == 0 || read_commands();
}

int main(int argc, char **argv)
{
    if (argc != 3 || inet_pton(AF_INET, argv[1], &proxy.target.sin_addr) != 1) {
        fprintf(stderr, "usage: chaos_proxy ADDRESS PORT\n");
        return 64;
    }
    proxy.target.sin_family = proxy.address.sin_family = AF_INET;
    proxy.target.sin_port = htons((uint16_t)atoi(argv[2]));
    proxy.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen_again();
    printf("%d\n", ntohs(proxy.address.sin_port));
    fflush(stdout);
    while (turn()) {
    }
    end_all(true);
    return 0;
}
