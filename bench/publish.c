/* Publishes transient messages to a queue through the default exchange.
 *
 *     publish URL QUEUE COUNT SIZE [RATE]
 *
 * Without RATE: as fast as the broker confirms them, and ends when it has confirmed all. With RATE: so many a
 * second, evenly spaced. Each body begins with the moment of its publishing, in nanoseconds of the monotonic
 * clock. */
#include "client.h"
#include "measure.h"

#include <stdbool.h>

enum {
    WINDOW = 1000,     /* unconfirmed messages at most */
    SMALLEST_BODY = 8, /* the moment */
};

struct publisher {
    amqp_connection_state_t connection;
    amqp_bytes_t queue;
    amqp_bytes_t body;
    amqp_basic_properties_t properties;
};

static void publisher_send(struct publisher *publisher)
{
    uint64_t moment = measure_nanoseconds();
    memcpy(publisher->body.bytes, &moment, sizeof moment);
    client_check_status(amqp_basic_publish(publisher->connection, CLIENT_CHANNEL, amqp_empty_bytes,
                                           publisher->queue, false, false, &publisher->properties,
                                           publisher->body),
                        "basic.publish");
}

/* Reads confirms until one of them covers `tag`. */
static void publisher_await_confirm(struct publisher *publisher, uint64_t tag)
{
    uint64_t confirmed = 0;
    while (confirmed < tag) {
        amqp_frame_t frame;
        amqp_maybe_release_buffers(publisher->connection);
        client_check_status(amqp_simple_wait_frame(publisher->connection, &frame), "confirm");
        if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD) {
            fprintf(stderr, "confirm: the broker sent %s\n", amqp_method_name(frame.payload.method.id));
            exit(1);
        }
        const amqp_basic_ack_t *ack = frame.payload.method.decoded;
        if (ack->delivery_tag > confirmed)
            confirmed = ack->delivery_tag;
    }
}

/* Confirms come in order here: one queue, all transient. So the last one of a window stands for all of it. */
static void publisher_fill(struct publisher *publisher, uint64_t count)
{
    amqp_confirm_select(publisher->connection, CLIENT_CHANNEL);
    client_check_reply(publisher->connection, "confirm.select");
    for (uint64_t tag = 1; tag <= count; tag++) {
        publisher_send(publisher);
        if (tag % WINDOW == 0 || tag == count)
            publisher_await_confirm(publisher, tag);
    }
}

static void publisher_pace(struct publisher *publisher, uint64_t count, double rate)
{
    uint64_t start = measure_nanoseconds();
    for (uint64_t sent = 0; sent < count; sent++) {
        uint64_t due = start + (uint64_t)((double)sent * 1e9 / rate);
        struct timespec moment = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL);
        publisher_send(publisher);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: publish URL QUEUE COUNT SIZE [RATE]\n");
        return 64;
    }
    uint64_t count = client_parse_number(argv[3], "COUNT", 1, UINT32_MAX);
    uint64_t size = client_parse_number(argv[4], "SIZE", SMALLEST_BODY, 16u << 20);
    struct publisher publisher = {
        .connection = client_connect(argv[1]),
        .queue = amqp_cstring_bytes(argv[2]),
        .body = {.len = size, .bytes = calloc(1, size)},
        .properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = AMQP_DELIVERY_NONPERSISTENT},
    };
    if (publisher.body.bytes == NULL)
        return 1;
    if (argc == 6)
        publisher_pace(&publisher, count, (double)client_parse_number(argv[5], "RATE", 1, 1000000));
    else
        publisher_fill(&publisher, count);
    client_close(publisher.connection);
    free(publisher.body.bytes);
    return 0;
}
