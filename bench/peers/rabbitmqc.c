/* The reference: rabbitmq-c's blocking loop, as its own examples have it.
 *
 *     rabbitmqc URL QUEUE COUNT PREFETCH [ack-every K | latency]
 *
 * Acknowledges each message by itself, or every K-th with `multiple`. With "latency" reports how long after
 * their publishing the messages came. */
#include "../client.h"
#include "../measure.h"

#include <stdbool.h>

struct consumer {
    amqp_connection_state_t connection;
    uint64_t count;     /* messages to consume */
    uint64_t ack_every; /* messages that one ack covers */
    bool latency;
    struct measure measure;
    struct latencies latencies;
};

static void consumer_subscribe(struct consumer *consumer, const char *queue, uint16_t prefetch)
{
    client_set_prefetch(consumer->connection, prefetch);
    amqp_basic_consume(consumer->connection, CLIENT_CHANNEL, amqp_cstring_bytes(queue), amqp_empty_bytes,
                       false, false, false, amqp_empty_table);
    client_check_reply(consumer->connection, "basic.consume");
}

static void consumer_handle(struct consumer *consumer, const amqp_envelope_t *envelope)
{
    measure_message(&consumer->measure, envelope->message.body.len);
    if (consumer->latency)
        latencies_add(&consumer->latencies, envelope->message.body.bytes, envelope->message.body.len);
    uint64_t done = consumer->measure.messages;
    if (done % consumer->ack_every == 0 || done == consumer->count)
        client_check_status(amqp_basic_ack(consumer->connection, CLIENT_CHANNEL, envelope->delivery_tag,
                                           consumer->ack_every > 1),
                            "basic.ack");
}

static void consumer_loop(struct consumer *consumer)
{
    while (consumer->measure.messages < consumer->count) {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(consumer->connection);
        amqp_rpc_reply_t reply = amqp_consume_message(consumer->connection, &envelope, NULL, 0);
        if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
            fprintf(stderr, "consume: %s\n", amqp_error_string2(reply.library_error));
            exit(1);
        }
        consumer_handle(consumer, &envelope);
        amqp_destroy_envelope(&envelope);
    }
}

int main(int argc, char **argv)
{
    struct consumer consumer = {.ack_every = 1};
    if (argc == 7 && strcmp(argv[5], "ack-every") == 0) {
        consumer.ack_every = client_parse_number(argv[6], "ack-every", 1, UINT16_MAX);
    } else if (argc == 6 && strcmp(argv[5], "latency") == 0) {
        consumer.latency = true;
    } else if (argc != 5) {
        fprintf(stderr, "usage: rabbitmqc URL QUEUE COUNT PREFETCH [ack-every K | latency]\n");
        return 64;
    }
    consumer.count = client_parse_number(argv[3], "COUNT", 1, UINT32_MAX);
    uint16_t prefetch = (uint16_t)client_parse_number(argv[4], "PREFETCH", 1, UINT16_MAX);
    latencies_init(&consumer.latencies, consumer.latency ? consumer.count : 1);

    double connecting = measure_now();
    consumer.connection = client_connect(argv[1]);
    consumer_subscribe(&consumer, argv[2], prefetch);
    double handshake = measure_now() - connecting;
    consumer_loop(&consumer);

    char percentiles[128], more[256];
    latencies_finish(&consumer.latencies, percentiles, sizeof percentiles);
    snprintf(more, sizeof more, ", \"connecting\": %.6f, \"handshake\": %.6f%s", connecting, handshake,
             percentiles);
    measure_print(&consumer.measure, more, stdout);
    client_close(consumer.connection);
    return 0;
}
