/* What a command has of the broker: a loop, a connection to consume and ask on, one to publish on, and a task
 * that uses them. */
#ifndef CMD_BROKER_LINK_H
#define CMD_BROKER_LINK_H

#include <io/publisher.h>
#include <worker/brokers.h>

struct broker_link {
    const char *command;
    const struct brokers *brokers;
    struct loop *loop;
    struct connection *consume;
    struct connection *publish;
    struct publisher *publisher;
    bool interrupted; /* by SIGINT or SIGTERM; a second one ends the process at once */
    bool lost;        /* one of the connections went: nothing goes on after that */
    /* Told of either, on the loop's own stack. NULL: nobody wants to know. */
    void (*changed)(void *owner);
    void *owner;
    /* --- private --- */
    struct waiter ready;
    unsigned connecting; /* connections that are not open yet */
    size_t untried;      /* addresses, of both connections, before the broker is found unreachable */
    int (*function)(whippet_task *task, struct broker_link *link, void *arg);
    void *arg;
    int code;
};

typedef int broker_link_function(whippet_task *task, struct broker_link *link, void *arg);

/* Connects, runs the function in a task, and takes all down again. Returns the function's exit code; or
 * EXIT_BROKER when the broker can't be reached, or EXIT_INTERNAL, after it said so. */
int broker_link_run(const char *command, const struct brokers *brokers, broker_link_function *function,
                    void *arg);

#endif
