/* A RabbitMQ for tests; scripts/broker does the work. */
#ifndef TESTS_SUPPORT_BROKER_H
#define TESTS_SUPPORT_BROKER_H

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    BROKER_FOLDER_SIZE = 256,
    BROKER_URL_SIZE = 128
};

struct broker {
    char folder[BROKER_FOLDER_SIZE]; /* whatever a test puts here goes when the broker goes */
    char url[BROKER_URL_SIZE];       /* with user and password; "" before a broker of one's own was started */
    char port[8];
    int lifeline; /* once closed, by whatever ends this test, the broker goes; -1: a shared one */
};

/* The broker that all tests of this run share. It may be neither stopped nor have all its connections closed.
 */
struct broker *broker_shared(void);

/* The node of this number, from 1, of the cluster of `scripts/broker with --nodes`. */
struct broker *broker_node(unsigned number);

/* A broker of this test's own, not started yet. It is stopped and removed when the test ends, however it
 * ends. */
struct broker *broker_create(void);

/* Stops and removes a broker of one's own. */
void broker_destroy(struct broker *broker);

/* Each returns when it is done, and fails the test when it cannot be. After kill (as a power cut) and start,
 * ports and data are those of before. */
void broker_start(struct broker *broker);
void broker_stop(struct broker *broker);
void broker_kill(struct broker *broker);

/* Stops its clock, as that of a machine that hangs, and lets it go on. */
void broker_pause(struct broker *broker);
void broker_resume(struct broker *broker);

/* Its AMQP port, in digits; valid until the broker is destroyed. */
const char *broker_port(struct broker *broker);

/* What a line of Erlang expressions (printf-style) comes to inside the broker; "" where they fail. Costs next
 * to nothing. Valid until the next call. */
const char *broker_eval(struct broker *broker, const char *expressions, ...)
    __attribute__((format(printf, 2, 3)));

/* Does them, whatever they come to; that they fail is a failure of the test. */
#define broker_do(broker, ...)                                                                               \
    cr_assert_str_neq(broker_eval(broker, __VA_ARGS__), "", "the broker did not do: %s", #__VA_ARGS__)

/* How many messages it holds of these queues together, ready or waiting for their ack; -1 when it can't say.
 * To be asked last, not in a loop: many who ask at once are a burden to it.
 */
long broker_messages(struct broker *broker, const char *const *queues, size_t count);

/* Runs rabbitmqctl with up to seven arguments, the last of them NULL. Costs a second or two of CPU. */
void broker_control(struct broker *broker, const char *first, ...) __attribute__((sentinel));

/* The broker's line on the consumer of a queue, with its channel and its tag: "" when there is none. It costs
 * what broker_control does. */
void broker_describe_consumer(struct broker *broker, const char *queue, char *line, size_t size);

#endif
