/* Prepares and inspects the queue that a benchmark uses.
 *
 *     queue prepare URL QUEUE    declares it (durable, classic) if it is missing, and empties it
 *     queue count   URL QUEUE    prints how many messages are ready in it, and how many consumers it has
 *     queue delete  URL QUEUE
 */
#include "client.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const amqp_queue_declare_ok_t *queue_declare(amqp_connection_state_t connection, const char *queue,
                                                    bool passive)
{
    const amqp_queue_declare_ok_t *declared = amqp_queue_declare(
        connection, CLIENT_CHANNEL, amqp_cstring_bytes(queue), passive, true, false, false, amqp_empty_table);
    client_check_reply(connection, queue);
    return declared;
}

static void queue_prepare(amqp_connection_state_t connection, const char *queue)
{
    queue_declare(connection, queue, false);
    amqp_queue_purge(connection, CLIENT_CHANNEL, amqp_cstring_bytes(queue));
    client_check_reply(connection, queue);
}

static void queue_count(amqp_connection_state_t connection, const char *queue)
{
    const amqp_queue_declare_ok_t *declared = queue_declare(connection, queue, true);
    printf("%u %u\n", declared->message_count, declared->consumer_count);
}

static void queue_delete(amqp_connection_state_t connection, const char *queue)
{
    amqp_queue_delete(connection, CLIENT_CHANNEL, amqp_cstring_bytes(queue), false, false);
    client_check_reply(connection, queue);
}

int main(int argc, char **argv)
{
    const char *command = argc == 4 ? argv[1] : "";
    bool prepare = strcmp(command, "prepare") == 0, count = strcmp(command, "count") == 0;
    if (!prepare && !count && strcmp(command, "delete") != 0) {
        fprintf(stderr, "usage: queue prepare|count|delete URL QUEUE\n");
        return 64;
    }
    amqp_connection_state_t connection = client_connect(argv[2]);
    if (prepare)
        queue_prepare(connection, argv[3]);
    else if (count)
        queue_count(connection, argv[3]);
    else
        queue_delete(connection, argv[3]);
    client_close(connection);
    return 0;
}
