/* The floor: what consuming costs when nothing is done but splitting the bytes into frames, summing the
 * bodies and sending one ack for everything a read brought. No coroutines, no retry, no metrics, no
 * reconnecting.
 *
 *     bare URL QUEUE COUNT PREFETCH
 *
 * rabbitmq-c does the handshake; from basic.consume on the socket is read here. */
#include "../client.h"
#include "../measure.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    FRAME_OVERHEAD = 8, /* type, channel, size; and the end octet */
    BUFFER_SIZE = 256 * 1024,
};

struct reader {
    int descriptor;
    uint64_t count; /* messages to consume */
    uint64_t acked;
    struct measure measure;
    size_t filled;
    unsigned char buffer[BUFFER_SIZE];
};

static void reader_die(const char *what)
{
    fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* rabbitmq-c made the socket non-blocking. Here nothing is to be done but to wait for it. */
static void reader_take(struct reader *reader, int descriptor)
{
    reader->descriptor = descriptor;
    if (fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK) < 0)
        reader_die("fcntl");
}

static void reader_fill(struct reader *reader)
{
    ssize_t received =
        read(reader->descriptor, reader->buffer + reader->filled, BUFFER_SIZE - reader->filled);
    if (received <= 0)
        reader_die("read");
    reader->filled += (size_t)received;
}

/* Takes every whole frame. The bodies here fit one frame each, so a body frame is a message. */
static void reader_split(struct reader *reader)
{
    size_t at = 0;
    while (reader->filled - at >= FRAME_OVERHEAD) {
        uint32_t size;
        memcpy(&size, reader->buffer + at + 3, sizeof size);
        size = be32toh(size);
        if (reader->filled - at < size + FRAME_OVERHEAD)
            break;
        if (reader->buffer[at] == AMQP_FRAME_BODY)
            measure_message(&reader->measure, size);
        at += size + FRAME_OVERHEAD;
    }
    memmove(reader->buffer, reader->buffer + at, reader->filled - at);
    reader->filled -= at;
}

/* Delivery tags count the messages, from 1. */
static void reader_acknowledge(struct reader *reader)
{
    unsigned char frame[] = {AMQP_FRAME_METHOD,
                             0,
                             CLIENT_CHANNEL,
                             0,
                             0,
                             0,
                             13,
                             0,
                             60,
                             0,
                             80,
                             0,
                             0,
                             0,
                             0,
                             0,
                             0,
                             0,
                             0,
                             1 /* multiple */,
                             AMQP_FRAME_END};
    uint64_t tag = htobe64(reader->measure.messages);
    if (reader->acked == reader->measure.messages)
        return;
    memcpy(frame + 11, &tag, sizeof tag);
    if (write(reader->descriptor, frame, sizeof frame) != (ssize_t)sizeof frame)
        reader_die("write");
    reader->acked = reader->measure.messages;
}

int main(int argc, char **argv)
{
    static struct reader reader;
    if (argc != 5) {
        fprintf(stderr, "usage: bare URL QUEUE COUNT PREFETCH\n");
        return 64;
    }
    reader.count = client_parse_number(argv[3], "COUNT", 1, UINT32_MAX);
    amqp_connection_state_t connection = client_connect(argv[1]);
    client_set_prefetch(connection, (uint16_t)client_parse_number(argv[4], "PREFETCH", 1, UINT16_MAX));
    amqp_basic_consume_t consume = {.queue = amqp_cstring_bytes(argv[2])};
    client_check_status(amqp_send_method(connection, CLIENT_CHANNEL, AMQP_BASIC_CONSUME_METHOD, &consume),
                        "basic.consume");
    reader_take(&reader, amqp_get_sockfd(connection));
    while (reader.measure.messages < reader.count) {
        reader_fill(&reader);
        reader_split(&reader);
        reader_acknowledge(&reader);
    }
    measure_print(&reader.measure, "", stdout);
    client_close(connection);
    return 0;
}
