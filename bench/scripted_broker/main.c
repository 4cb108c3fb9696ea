/* A broker that is never the limit: it speaks just enough AMQP 0-9-1 to be consumed from, and delivers the
 * same message again and again, as fast as the prefetch window allows, in writes of up to 512 deliveries.
 *
 *     scripted_broker COUNT SIZE
 *
 * Listens on a loopback port that the kernel picks, prints it on the first line, delivers COUNT messages of
 * SIZE bytes to the first consumer, checks every acknowledgement (none twice, none of what was not
 * delivered), and ends when all connections are closed again, with one line of JSON. Exit status 1, with a
 * reason, for what it does not understand. */
#include "../measure.h"
#include "session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    HEARTBEAT_EVERY = HEARTBEAT / 4, /* seconds */
    MOST_CONNECTIONS = 16,
};

struct connection {
    int descriptor; /* -1: none */
    struct session session;
};

struct broker {
    int epoll;
    int listener;
    int timer;
    size_t connected;
    bool served; /* somebody has connected */
    struct connection connections[MOST_CONNECTIONS];
    struct stream stream;
};

static void watch(struct broker *broker, int descriptor, uint32_t events, void *owner, int operation)
{
    struct epoll_event event = {.events = events, .data.ptr = owner};
    if (epoll_ctl(broker->epoll, operation, descriptor, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
}

static void connection_close(struct broker *broker, struct connection *connection)
{
    close(connection->descriptor);
    connection->descriptor = -1;
    broker->connected--;
}

/* Writes without waiting. Returns how many bytes went; that the connection has ended shows when it is read.
 */
static size_t connection_write(const struct connection *connection, const unsigned char *data, size_t length)
{
    ssize_t written = send(connection->descriptor, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return written < 0 ? 0 : (size_t)written;
}

static void connection_write_pending(struct broker *broker, struct connection *connection)
{
    struct stream *stream = &broker->stream;
    size_t pending = stream->pending;
    stream->pending -= connection_write(connection, stream->batch + stream->pending_end - pending, pending);
    uint32_t events = stream->pending > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN;
    watch(broker, connection->descriptor, events, connection, EPOLL_CTL_MOD);
}

static void connection_write_replies(struct connection *connection)
{
    struct session *session = &connection->session;
    if (connection_write(connection, session->replies, session->reply_length) != session->reply_length)
        fail("the client does not read its replies");
    session->reply_length = 0;
}

/* Replies go out between batches of deliveries, never inside one. */
static void connection_flush(struct broker *broker, struct connection *connection)
{
    struct session *session = &connection->session;
    struct stream *stream = &broker->stream;
    if (session->consuming && stream->pending > 0)
        connection_write_pending(broker, connection);
    if (session->consuming && stream->pending > 0)
        return;
    if (session->reply_length > 0)
        connection_write_replies(connection);
    if (session->closing) {
        connection_close(broker, connection);
        return;
    }
    while (session->consuming && stream->pending == 0 && stream_prepare(stream)) {
        if (stream->first == 0)
            stream->first = measure_now();
        connection_write_pending(broker, connection);
    }
}

static void connection_read(struct broker *broker, struct connection *connection)
{
    struct session *session = &connection->session;
    ssize_t received = recv(connection->descriptor, session->input + session->filled,
                            INPUT_SIZE - session->filled, MSG_DONTWAIT);
    if (received < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (received <= 0) {
        connection_close(broker, connection);
        return;
    }
    session->filled += (size_t)received;
    session_answer(session);
    connection_flush(broker, connection);
}

static void broker_accept(struct broker *broker)
{
    struct connection *connection = broker->connections;
    int descriptor = accept(broker->listener, NULL, NULL), on = 1;
    if (descriptor < 0)
        return;
    while (connection < broker->connections + MOST_CONNECTIONS && connection->descriptor >= 0)
        connection++;
    if (connection == broker->connections + MOST_CONNECTIONS)
        fail("more than %d connections", MOST_CONNECTIONS);
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection->descriptor = descriptor;
    session_init(&connection->session, &broker->stream);
    broker->connected++;
    broker->served = true;
    watch(broker, descriptor, EPOLLIN, connection, EPOLL_CTL_ADD);
}

static void broker_beat(struct broker *broker)
{
    uint64_t expirations;
    if (read(broker->timer, &expirations, sizeof expirations) != (ssize_t)sizeof expirations)
        return;
    for (size_t index = 0; index < MOST_CONNECTIONS; index++) {
        struct connection *connection = &broker->connections[index];
        if (connection->descriptor < 0 || !connection->session.greeted)
            continue;
        session_beat(&connection->session);
        connection_flush(broker, connection);
    }
}

static void broker_listen(struct broker *broker)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    struct itimerspec every = {{HEARTBEAT_EVERY, 0}, {HEARTBEAT_EVERY, 0}};
    broker->epoll = epoll_create1(0);
    broker->listener = socket(AF_INET, SOCK_STREAM, 0);
    broker->timer = timerfd_create(CLOCK_MONOTONIC, 0);
    if (broker->epoll < 0 || broker->timer < 0 || broker->listener < 0 ||
        timerfd_settime(broker->timer, 0, &every, NULL) < 0 ||
        bind(broker->listener, (struct sockaddr *)&address, length) < 0 || listen(broker->listener, 16) < 0 ||
        getsockname(broker->listener, (struct sockaddr *)&address, &length) < 0)
        fail("cannot listen: %s", strerror(errno));
    watch(broker, broker->listener, EPOLLIN, &broker->listener, EPOLL_CTL_ADD);
    watch(broker, broker->timer, EPOLLIN, &broker->timer, EPOLL_CTL_ADD);
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
}

static void broker_turn(struct broker *broker)
{
    struct epoll_event events[MOST_CONNECTIONS];
    int count = epoll_wait(broker->epoll, events, MOST_CONNECTIONS, -1);
    for (int index = 0; index < count; index++) {
        struct connection *connection = events[index].data.ptr;
        if (events[index].data.ptr == &broker->listener)
            broker_accept(broker);
        else if (events[index].data.ptr == &broker->timer)
            broker_beat(broker);
        else if (connection->descriptor >= 0 && (events[index].events & ~(uint32_t)EPOLLOUT))
            connection_read(broker, connection);
        else if (connection->descriptor >= 0)
            connection_flush(broker, connection);
    }
}

static void broker_report(const struct stream *stream)
{
    printf("{\"delivered\": %" PRIu64 ", \"settled\": %" PRIu64 ", \"returned\": %" PRIu64
           ", \"acks\": %" PRIu64 ", \"subscribed\": %.6f, \"first\": %.6f, \"seconds\": %.6f}\n",
           stream->delivered, stream->settled, stream->returned, stream->acks, stream->subscribed,
           stream->first, stream->last > 0 ? stream->last - stream->first : 0.0);
}

static uint64_t parse_number(const char *text, const char *name, uint64_t most)
{
    char *end;
    unsigned long long number = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || number > most)
        fail("%s: expected a whole number up to %" PRIu64 ", found '%s'", name, most, text);
    return number;
}

int main(int argc, char **argv)
{
    static struct broker broker;
    if (argc != 3) {
        fprintf(stderr, "usage: scripted_broker COUNT SIZE\n");
        return 64;
    }
    stream_init(&broker.stream, parse_number(argv[1], "COUNT", UINT32_MAX),
                parse_number(argv[2], "SIZE", FRAME_MAX - FRAME_OVERHEAD));
    for (size_t index = 0; index < MOST_CONNECTIONS; index++)
        broker.connections[index].descriptor = -1;
    broker_listen(&broker);
    while (!broker.served || broker.connected > 0)
        broker_turn(&broker);
    broker_report(&broker.stream);
    stream_destroy(&broker.stream);
    return 0;
}
