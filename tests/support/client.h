/* An independent AMQP client for tests: rabbitmq-c, blocking. Every function fails the test when the broker
 * refuses. */
#ifndef TESTS_SUPPORT_CLIENT_H
#define TESTS_SUPPORT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#endif

struct client;

struct client *client_open(const char *url);
void client_close(struct client *client);

/* Declares a durable queue. `type` is "quorum" or "classic". */
void client_declare(struct client *client, const char *queue, const char *type);

/* Declares one that has no room for any message, and refuses all. */
void client_declare_full(struct client *client, const char *queue);

/* Returns how many messages, so says the broker, were ready in it and went with it. */
unsigned client_delete(struct client *client, const char *queue);
void client_purge(struct client *client, const char *queue);

/* What a passive declare says: messages ready (those delivered and unsettled are not among them), and
 * consumers. -1 when there is no such queue. */
long client_ready(struct client *client, const char *queue);
long client_consumers(struct client *client, const char *queue);

/* Publishes one message and waits for the broker's confirm. */
void client_publish(struct client *client, const char *exchange, const char *routing_key,
                    const amqp_basic_properties_t *properties, amqp_bytes_t body);

/* Publishes without waiting, and waits for the confirms of all that went so. */
void client_publish_ahead(struct client *client, const char *exchange, const char *routing_key,
                          const amqp_basic_properties_t *properties, amqp_bytes_t body);
void client_await_confirms(struct client *client);

/* Publishes one to a queue and waits, persistent, with a message id and a text as the body. */
void client_send(struct client *client, const char *queue, const char *id, const char *body);

/* Sends `count` persistent messages with the ids "0", "1", … and the same text as body; then waits for all
 * confirms. */
void client_send_many(struct client *client, const char *queue, unsigned count);

/* The same with ids from `first` on, and bodies that begin with the id and are filled up with dots to `size`
 * bytes. */
void client_send_numbered(struct client *client, const char *queue, unsigned first, unsigned count,
                          size_t size);

/* The same with ids from "0" on, and all with one body. */
void client_send_copies(struct client *client, const char *queue, unsigned count, const char *body);

/* A message taken from a queue and acknowledged. */
struct client_message {
    amqp_message_t content; /* properties and body */
    bool redelivered;
};

/* Takes the first message of a queue; NULL when none is ready. Owned by the caller. */
struct client_message *client_get(struct client *client, const char *queue);
void client_message_destroy(struct client_message *message);

/* Asks and awaits the answer by RabbitMQ's direct reply-to (https://www.rabbitmq.com/docs/direct-reply-to),
 * with the correlation id "call". Owned by the caller. Once a client. */
struct client_message *client_call(struct client *client, const char *queue, const char *body,
                                   double seconds);

/* A header's value; NULL when there is no such header. Borrowed from the message. */
const amqp_field_value_t *client_header(const struct client_message *message, const char *name);

/* The same as text, which the caller frees: strings as they are, whole numbers in decimal, "(absent)", or
 * "(type X)". */
char *client_header_text(const struct client_message *message, const char *name);

#endif
