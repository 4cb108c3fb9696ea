/* A channel whose requests are awaited in straight-line code. */
#ifndef IO_CHANNEL_H
#define IO_CHANNEL_H

#include <amqp/session.h>
#include <async/task.h>
#include <base/failure.h>
#include <io/connection.h>

/* All are called on the loop's own stack; those that cannot come may be NULL. */
struct channel_handlers {
    void (*closed)(void *owner,
                   const struct whippet_failure *why);       /* by the broker, or with the connection */
    void (*cancelled)(void *owner);                          /* the consumer, by the broker */
    void (*delivered)(void *owner, struct message *message); /* the message is given */
    void (*oversized_begin)(void *owner, const struct oversized *oversized);
    void (*oversized_part)(void *owner, const struct oversized *oversized, whippet_bytes part);
    void (*oversized_end)(void *owner, const struct oversized *oversized, bool complete);
    void (*returned)(void *owner, const struct channel_reason *reason, const struct message *message);
    void (*confirmed)(void *owner, uint64_t delivery_tag, bool multiple, bool nacked);
};

/* Embedded by its owner; zeroed: not open. */
struct channel {
    struct connection *connection;
    const struct channel_handlers *handlers;
    void *owner;
    uint64_t epoch; /* of the connection when it was opened */
    uint16_t number;
    bool is_open;
    struct waiter waiter;       /* of the request under way */
    struct channel_reply reply; /* its reply; reply.queue is not kept */
    struct whippet_failure
        closed_by;   /* why it is not open any more; error 0 when it was us, or it never was */
    int closed_code; /* the AMQP reply code the broker closed it with; 0: none */
};

/* Each suspends until the broker has answered, `seconds` have passed, or the task's own end. 0; CLOSED with
 * channel->closed_by when the channel or connection went instead; TIMEOUT; CANCELLED; MEMORY; LIMIT; INVALID.
 * After a TIMEOUT the channel is out of step: channel_abandon it. */
int channel_open(whippet_task *task, struct channel *channel, struct connection *connection,
                 const struct channel_handlers *handlers, void *owner, double seconds);
int channel_exchange_declare(whippet_task *task, struct channel *channel,
                             const struct exchange_declaration *declaration, double seconds);
int channel_queue_declare(whippet_task *task, struct channel *channel,
                          const struct queue_declaration *declaration, double seconds);
int channel_queue_bind(whippet_task *task, struct channel *channel, const char *queue, const char *exchange,
                       const char *routing_key, whippet_bytes arguments, double seconds);
int channel_queue_unbind(whippet_task *task, struct channel *channel, const char *queue, const char *exchange,
                         const char *routing_key, whippet_bytes arguments, double seconds);
int channel_qos(whippet_task *task, struct channel *channel, uint16_t prefetch, double seconds);
int channel_consume(whippet_task *task, struct channel *channel, const struct consumption *consumption,
                    double seconds);
int channel_cancel(whippet_task *task, struct channel *channel, double seconds);
int channel_confirm_select(whippet_task *task, struct channel *channel, double seconds);

/* What a request that failed with `error` came to, in words: the broker's own where it closed the channel.
 * Valid as long as the channel. */
const char *channel_error_text(const struct channel *channel, int error);

/* Closes it and awaits the broker's word. */
int channel_close(whippet_task *task, struct channel *channel, double seconds);

/* Lets go of it at once: tells the broker, if it is open, and handles nothing more. No handler is called. */
void channel_abandon(struct channel *channel);

/* Lets go of it and tells the broker nothing, so that it stays open there for as long as the connection: for
 * one in the middle of a body, where the broker takes a close for a violation. No handler is called. */
void channel_forget(struct channel *channel);

/* These do not suspend. 0; CLOSED, MEMORY or LIMIT. */
int channel_ack(struct channel *channel, uint64_t delivery_tag, bool multiple);
int channel_nack(struct channel *channel, uint64_t delivery_tag, bool multiple, bool requeue);
int channel_publish(struct channel *channel, const char *exchange, const char *routing_key,
                    whippet_bytes properties, whippet_bytes body);
int channel_publish_begin(struct channel *channel, const char *exchange, const char *routing_key,
                          whippet_bytes properties, uint64_t body_size);
int channel_publish_part(struct channel *channel, whippet_bytes part);

#endif
