#include "connection_internal.h"
#include <math.h>
#include <string.h>

/* The session while this channel is open on it; NULL otherwise. */
static struct session *session_of(const struct channel *channel)
{
    return channel->is_open ? connection_session(channel->connection) : NULL;
}

static void unroute(struct channel *channel)
{
    if (channel->is_open)
        connection_route(channel->connection, channel->number, NULL);
    channel->is_open = false;
}

static void channel_touch(const struct channel *channel)
{
    connection_touch(channel->connection);
}

static int send_close(const struct channel *channel, struct session *session)
{
    return session_channel_close(session, channel->number, loop_now(connection_loop(channel->connection)));
}

void channel_replied(struct channel *channel, const struct channel_reply *reply)
{
    channel->reply = *reply;
    channel->reply.queue = (whippet_bytes){0};
    /* Its number is free now, and may be another's before whoever waits here gets to run. */
    if (reply->kind == CHANNEL_CLOSED)
        unroute(channel);
    waiter_wake(&channel->waiter, 0);
}

void channel_gone(struct channel *channel, int code, const struct whippet_failure *why)
{
    channel->is_open = false;
    channel->closed_code = code;
    channel->closed_by = *why;
    waiter_wake(&channel->waiter, WHIPPET_E_CLOSED);
    if (channel->handlers->closed != NULL)
        channel->handlers->closed(channel->owner, why);
}

/* Awaits the reply to the request that was just queued with the outcome `queued`. */
static int await_reply(whippet_task *task, struct channel *channel, int queued, double seconds)
{
    if (queued != 0)
        return queued;
    waiter_init(&channel->waiter);
    channel_touch(channel);
    double until = loop_now(connection_loop(channel->connection)) + seconds;
    return waiter_wait(task, &channel->waiter, until, "waiting for the broker's answer");
}

int channel_open(whippet_task *task, struct channel *channel, struct connection *connection,
                 const struct channel_handlers *handlers, void *owner, double seconds)
{
    struct session *session = connection_session(connection);
    memset(channel, 0, sizeof *channel);
    channel->connection = connection;
    channel->handlers = handlers;
    channel->owner = owner;
    channel->epoch = connection_epoch(connection);
    waiter_init(&channel->waiter);
    if (session == NULL)
        return failure_set(&channel->closed_by, WHIPPET_E_CLOSED, "there is no connection");
    int error = session_channel_open(session, &channel->number);
    if (error == WHIPPET_E_LIMIT)
        return failure_set(&channel->closed_by, error,
                           "all %u channels are taken that the broker allows on a connection; raise its "
                           "channel_max, or let several workers share the queues",
                           session_channel_max(session));
    if (error != 0)
        return failure_set(&channel->closed_by, error, "opening a channel: %s", whippet_error_text(error));
    if (!connection_route(connection, channel->number, channel)) {
        send_close(channel, session);
        channel_touch(channel);
        return failure_set(&channel->closed_by, WHIPPET_E_MEMORY, "opening a channel: out of memory");
    }
    channel->is_open = true;
    error = await_reply(task, channel, 0, seconds);
    if (error != 0)
        channel_abandon(channel);
    return error;
}

int channel_exchange_declare(whippet_task *task, struct channel *channel,
                             const struct exchange_declaration *declaration, double seconds)
{
    struct session *session = session_of(channel);
    if (session == NULL)
        return WHIPPET_E_CLOSED;
    return await_reply(task, channel, session_exchange_declare(session, channel->number, declaration),
                       seconds);
}

int channel_queue_declare(whippet_task *task, struct channel *channel,
                          const struct queue_declaration *declaration, double seconds)
{
    struct session *session = session_of(channel);
    if (session == NULL)
        return WHIPPET_E_CLOSED;
    return await_reply(task, channel, session_queue_declare(session, channel->number, declaration), seconds);
}

int channel_queue_bind(whippet_task *task, struct channel *channel, const char *queue, const char *exchange,
                       const char *routing_key, whippet_bytes arguments, double seconds)
{
    struct session *session = session_of(channel);
    if (session == NULL)
        return WHIPPET_E_CLOSED;
    return await_reply(task, channel,
                       session_queue_bind(session, channel->number, queue, exchange, routing_key, arguments),
                       seconds);
}

int channel_queue_unbind(whippet_task *task, struct channel *channel, const char *queue, const char *exchange,
                         const char *routing_key, whippet_bytes arguments, double seconds)
{
    struct session *session = session_of(channel);
    if (session == NULL)
        return WHIPPET_E_CLOSED;
    return await_reply(
        task, channel,
        session_queue_unbind(session, channel->number, queue, exchange, routing_key, arguments), seconds);
}

int channel_qos(whippet_task *task, struct channel *channel, uint16_t prefetch, double seconds)
{
    struct session *session = session_of(channel);
    if (session == NULL)
        return WHIPPET_E_CLOSED;
    return await_reply(task, channel, session_qos(session, channel->number, prefetch), seconds);
}

int channel_consume(whippet_task *task, struct channel *channel, const struct consumption *consumption,
                    double seconds)
{
    struct session *session = session_of(channel);
    if (session == NULL)
        return WHIPPET_E_CLOSED;
    return await_reply(task, channel, session_consume(session, channel->number, consumption), seconds);
}

int channel_cancel(whippet_task *task, struct channel *channel, double seconds)
{
    struct session *session = session_of(channel);
    if (session == NULL)
        return WHIPPET_E_CLOSED;
    return await_reply(task, channel, session_cancel(session, channel->number), seconds);
}

int channel_confirm_select(whippet_task *task, struct channel *channel, double seconds)
{
    struct session *session = session_of(channel);
    if (session == NULL)
        return WHIPPET_E_CLOSED;
    return await_reply(task, channel, session_confirm_select(session, channel->number), seconds);
}

const char *channel_error_text(const struct channel *channel, int error)
{
    if ((error == WHIPPET_E_CLOSED || error == WHIPPET_E_LIMIT) && channel->closed_by.error != 0)
        return channel->closed_by.text;
    return error == WHIPPET_E_TIMEOUT ? "the broker did not answer in time" : whippet_error_text(error);
}

int channel_close(whippet_task *task, struct channel *channel, double seconds)
{
    struct session *session = session_of(channel);
    /* It may be the connection that closes: that is still to tell its channels, and this one's owner may be
     * gone by then. */
    if (session == NULL) {
        unroute(channel);
        return 0;
    }
    int error = await_reply(task, channel, send_close(channel, session), seconds);
    unroute(channel);
    return error == WHIPPET_E_CLOSED ? 0 : error;
}

void channel_abandon(struct channel *channel)
{
    struct session *session = session_of(channel);
    unroute(channel);
    if (session == NULL)
        return;
    /* A channel that the broker takes for open would have messages that nobody settles. */
    if (send_close(channel, session) == WHIPPET_E_MEMORY)
        session_abort(session, "out of memory for the end of a channel");
    else
        channel_touch(channel);
}

void channel_forget(struct channel *channel)
{
    unroute(channel);
}

/* What needs no answer: done when the session took it, and sent at the end of this turn. */
static int sent(struct channel *channel, int error)
{
    if (error == 0)
        channel_touch(channel);
    return error;
}

int channel_ack(struct channel *channel, uint64_t delivery_tag, bool multiple)
{
    struct session *session = session_of(channel);
    if (session == NULL)
        return WHIPPET_E_CLOSED;
    return sent(channel, session_ack(session, channel->number, delivery_tag, multiple));
}

int channel_nack(struct channel *channel, uint64_t delivery_tag, bool multiple, bool requeue)
{
    struct session *session = session_of(channel);
    if (session == NULL)
        return WHIPPET_E_CLOSED;
    return sent(channel, session_nack(session, channel->number, delivery_tag, multiple, requeue));
}

int channel_publish(struct channel *channel, const char *exchange, const char *routing_key,
                    whippet_bytes properties, whippet_bytes body)
{
    struct session *session = session_of(channel);
    if (session == NULL)
        return WHIPPET_E_CLOSED;
    return sent(channel, session_publish(session, channel->number, exchange, routing_key, properties, body));
}

int channel_publish_begin(struct channel *channel, const char *exchange, const char *routing_key,
                          whippet_bytes properties, uint64_t body_size)
{
    struct session *session = session_of(channel);
    if (session == NULL)
        return WHIPPET_E_CLOSED;
    return sent(channel, session_publish_begin(session, channel->number, exchange, routing_key, properties,
                                               body_size));
}

int channel_publish_part(struct channel *channel, whippet_bytes part)
{
    struct session *session = session_of(channel);
    if (session == NULL)
        return WHIPPET_E_CLOSED;
    return sent(channel, session_publish_part(session, channel->number, part));
}
