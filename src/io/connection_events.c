/* What the session tells, passed on to the channel or the owner that it concerns. */
#include "connection_internal.h"
#include <base/memory.h>
#include <stdio.h>
#include <string.h>

/* --- Channels' events -----------------------------------------------------------------------------------*/

bool connection_route(struct connection *connection, uint16_t number, struct channel *channel)
{
    if (number >= connection->channel_capacity) {
        size_t capacity = (size_t)number * 2 + 16;
        struct channel **channels = memory_resize(connection->channels, capacity * sizeof *channels);
        if (channels == NULL)
            return false;
        for (size_t i = connection->channel_capacity; i < capacity; i++)
            channels[i] = NULL;
        connection->channels = channels;
        connection->channel_capacity = capacity;
    }
    connection->channels[number] = channel;
    return true;
}

static struct channel *routed(const struct connection *connection, uint16_t number)
{
    return number < connection->channel_capacity ? connection->channels[number] : NULL;
}

static void on_replied(void *owner, uint16_t number, const struct channel_reply *reply)
{
    struct channel *channel = routed(owner, number);
    if (channel != NULL)
        channel_replied(channel, reply);
}

static void on_channel_closed(void *owner, uint16_t number, const struct channel_reason *reason)
{
    struct connection *connection = owner;
    struct channel *channel = routed(connection, number);
    struct whippet_failure why;
    failure_set(&why, WHIPPET_E_CLOSED, "the broker closed the channel: %.*s", (int)reason->text.len,
                (const char *)reason->text.data);
    connection_route(connection, number, NULL);
    if (channel != NULL)
        channel_gone(channel, reason->code, &why);
}

static void on_consumer_cancelled(void *owner, uint16_t number)
{
    struct channel *channel = routed(owner, number);
    if (channel != NULL && channel->handlers->cancelled != NULL)
        channel->handlers->cancelled(channel->owner);
}

static void on_delivered(void *owner, uint16_t number, struct message *message)
{
    struct channel *channel = routed(owner, number);
    if (channel != NULL)
        channel->handlers->delivered(channel->owner, message);
    else
        message_destroy(
            message); /* unacknowledged on a channel that is being closed: the broker requeues it */
}

static void on_oversized_begin(void *owner, uint16_t number, const struct oversized *oversized)
{
    struct channel *channel = routed(owner, number);
    if (channel != NULL && channel->handlers->oversized_begin != NULL)
        channel->handlers->oversized_begin(channel->owner, oversized);
}

static void on_oversized_part(void *owner, uint16_t number, const struct oversized *oversized,
                              whippet_bytes part)
{
    struct channel *channel = routed(owner, number);
    if (channel != NULL && channel->handlers->oversized_part != NULL)
        channel->handlers->oversized_part(channel->owner, oversized, part);
}

static void on_oversized_end(void *owner, uint16_t number, const struct oversized *oversized, bool complete)
{
    struct channel *channel = routed(owner, number);
    if (channel != NULL && channel->handlers->oversized_end != NULL)
        channel->handlers->oversized_end(channel->owner, oversized, complete);
}

static void on_returned(void *owner, uint16_t number, const struct channel_reason *reason,
                        const struct message *message)
{
    struct channel *channel = routed(owner, number);
    if (channel != NULL && channel->handlers->returned != NULL)
        channel->handlers->returned(channel->owner, reason, message);
}

static void on_confirmed(void *owner, uint16_t number, uint64_t delivery_tag, bool multiple, bool nacked)
{
    struct channel *channel = routed(owner, number);
    if (channel != NULL && channel->handlers->confirmed != NULL)
        channel->handlers->confirmed(channel->owner, delivery_tag, multiple, nacked);
}

/* --- The session's events -------------------------------------------------------------------------------*/

static void on_opened(void *owner)
{
    struct connection *connection = owner;
    const struct endpoint *endpoint = &connection->options.endpoints[connection->endpoint];
    const char *cluster = session_cluster(connection->session);
    char text[1024];
    connection->state = CONNECTION_OPEN;
    connection->epoch++;
    connection->opened_at = loop_now(connection->loop);
    log_repetition_over(&connection->history[connection->endpoint].refusals);
    snprintf(text, sizeof text, "connected to %s (%s%s%s)", endpoint->display,
             session_server(connection->session), *cluster != '\0' ? ", " : "", cluster);
    connection_report(connection, WHIPPET_INFO, NULL, text);
    if (connection->handlers->opened != NULL)
        connection->handlers->opened(connection->owner);
    /* Also where nobody has anything to send: the flush is what begins the heartbeats. */
    connection_touch(connection);
    waiter_wake(&connection->changed, 0);
}

static bool has(whippet_bytes text, const char *words)
{
    return text.len > 0 && memmem(text.data, text.len, words, strlen(words)) != NULL;
}

/* What to do about a login that the broker refused. RabbitMQ says 530 (not allowed) also where a limit is
 * reached or the virtual host does not work, and then says so. */
static const char *login_advice(const struct endpoint *endpoint, const struct session_closing *closing)
{
    if (closing->code == 403)
        return endpoint->external ? " Has the broker a user of the name that it takes from the client "
                                    "certificate (ssl_cert_login_from)?"
                                  : " Check user and password.";
    if (closing->code != 530 || has(closing->text, "limit") || has(closing->text, "is down"))
        return "";
    return "; does the virtual host exist, and may this user use it?";
}

static void describe_end(struct connection *connection, const struct session_closing *closing)
{
    const struct endpoint *endpoint = &connection->options.endpoints[connection->endpoint];
    bool refused = closing->end == SESSION_END_BROKER && closing->during < SESSION_OPEN;
    const char *what = refused                                 ? "the broker refused the login"
                       : closing->end == SESSION_END_BROKER    ? "the broker closed the connection"
                       : closing->end == SESSION_END_VIOLATION ? "the broker broke the protocol"
                                                               : "the connection was lost";
    failure_set(&connection->failure, WHIPPET_E_CLOSED, "%s: %s: %.*s%s", endpoint->display, what,
                (int)closing->text.len, (const char *)closing->text.data,
                refused ? login_advice(endpoint, closing) : "");
}

static void on_closed(void *owner, const struct session_closing *closing)
{
    struct connection *connection = owner;
    bool was_open = connection->state == CONNECTION_OPEN;
    describe_end(connection, closing);
    connection->state = connection->stopping ? CONNECTION_CLOSING : CONNECTION_DOWN;
    for (size_t number = 0; number < connection->channel_capacity; number++) {
        struct channel *channel = connection->channels[number];
        connection->channels[number] = NULL;
        if (channel != NULL)
            channel_gone(channel, 0, &connection->failure);
    }
    if (was_open && !connection->stopping)
        connection->losses++;
    if (was_open && connection->handlers->lost != NULL)
        connection->handlers->lost(connection->owner, &connection->failure);
    waiter_wake(&connection->changed, WHIPPET_E_CLOSED);
}

static void on_blocked(void *owner, whippet_bytes reason)
{
    struct connection *connection = owner;
    char text[160];
    snprintf(text, sizeof text, "%.*s", (int)reason.len, (const char *)reason.data);
    connection_report(connection, WHIPPET_WARNING, text,
                      "the broker has raised an alarm and takes no messages for now");
    if (connection->handlers->blocked != NULL)
        connection->handlers->blocked(connection->owner, true);
}

static void on_unblocked(void *owner)
{
    struct connection *connection = owner;
    connection_report(connection, WHIPPET_INFO, NULL, "the broker's alarm is over");
    if (connection->handlers->blocked != NULL)
        connection->handlers->blocked(connection->owner, false);
}

const struct session_events CONNECTION_EVENTS = {
    .opened = on_opened,
    .closed = on_closed,
    .blocked = on_blocked,
    .unblocked = on_unblocked,
    .replied = on_replied,
    .channel_closed = on_channel_closed,
    .consumer_cancelled = on_consumer_cancelled,
    .delivered = on_delivered,
    .oversized_begin = on_oversized_begin,
    .oversized_part = on_oversized_part,
    .oversized_end = on_oversized_end,
    .returned = on_returned,
    .confirmed = on_confirmed,
};
