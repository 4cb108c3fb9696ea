#include "connection_internal.h"
#include <base/log.h>
#include <base/memory.h>
#include <base/random.h>
#include <io/dial.h>
#include <io/transport.h>
#include <math.h>
#include <stdio.h>

enum {
    /* One unfinished frame, and as much again to read behind it. */
    READ_CAPACITY = 2 * (SESSION_FRAME_MAX + SESSION_FRAME_OVERHEAD),
    /* Per event, so that one peer that takes everything can't keep the loop from the others. */
    WRITE_PER_EVENT = 512 * 1024,
    /* What the output queue keeps of its memory when it has run empty. */
    OUTPUT_KEPT = 256 * 1024,
};

struct connection {
    struct loop *loop;
    struct connection_options options;
    const struct connection_handlers *handlers;
    void *owner;

    enum connection_state state;
    uint64_t epoch;
    uint64_t losses;
    struct whippet_failure failure;
    bool stopping;
    bool reading_paused;
    size_t endpoint;       /* the one to be tried next */
    unsigned attempts;     /* in a row that failed */
    whippet_task *task;    /* connection_main; NULL when it does not run */
    struct waiter changed; /* the task waits here for the handshake's end, and then for the connection's */
    struct waiter ended;   /* connection_stop waits here for the task's end */

    struct session *session; /* owned; one for each time it is up */
    struct transport *transport;
    struct watch *watch;
    struct timer tick;
    struct posted flush;
    bool flushing; /* the handler of that name runs: what it queues goes out with this very flush */
    char *input;   /* READ_CAPACITY bytes; owned */
    size_t input_size;

    struct channel **channels; /* by number; owned, the channels are not */
    size_t channel_capacity;
};

static void report(const struct connection *connection, enum whippet_log_level level, const char *error,
                   const char *text)
{
    struct log_fields fields = {.connection = connection->options.name, .error = error};
    log_event(level, &fields, "%s", text);
}

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
    if (channel != NULL)
        channel->handlers->oversized_begin(channel->owner, oversized);
}

static void on_oversized_part(void *owner, uint16_t number, const struct oversized *oversized,
                              whippet_bytes part)
{
    struct channel *channel = routed(owner, number);
    if (channel != NULL)
        channel->handlers->oversized_part(channel->owner, oversized, part);
}

static void on_oversized_end(void *owner, uint16_t number, const struct oversized *oversized, bool complete)
{
    struct channel *channel = routed(owner, number);
    if (channel != NULL)
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
    connection->attempts = 0;
    snprintf(text, sizeof text, "connected to %s (%s%s%s)", endpoint->display,
             session_server(connection->session), *cluster != '\0' ? ", " : "", cluster);
    report(connection, WHIPPET_INFO, NULL, text);
    if (connection->handlers->opened != NULL)
        connection->handlers->opened(connection->owner);
    /* Also where nobody has anything to send: the flush is what begins the heartbeats. */
    connection_touch(connection);
    waiter_wake(&connection->changed, 0);
}

/* What to do about a login that the broker refused. */
static const char *login_advice(int code)
{
    switch (code) {
    case 403: return " Check user and password.";
    case 530: return "; does the virtual host exist, and may this user use it?";
    default: return "";
    }
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
                refused ? login_advice(closing->code) : "");
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
    report(connection, WHIPPET_WARNING, text, "the broker has raised an alarm and takes no messages for now");
    if (connection->handlers->blocked != NULL)
        connection->handlers->blocked(connection->owner, true);
}

static void on_unblocked(void *owner)
{
    struct connection *connection = owner;
    report(connection, WHIPPET_INFO, NULL, "the broker's alarm is over");
    if (connection->handlers->blocked != NULL)
        connection->handlers->blocked(connection->owner, false);
}

static const struct session_events EVENTS = {
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

/* --- Bytes ----------------------------------------------------------------------------------------------*/

static void watch_as_needed(struct connection *connection)
{
    int events = connection->reading_paused ? 0 : WHIPPET_READABLE;
    if (buffer_length(session_output(connection->session)) > 0)
        events |= WHIPPET_WRITABLE;
    watch_set(connection->watch, events);
}

static void arm_tick(struct connection *connection)
{
    struct timers *timers = &loop_scheduler(connection->loop)->timers;
    double next = session_next_tick(connection->session);
    if (isinf(next))
        timer_stop(timers, &connection->tick);
    else if (!timer_armed(&connection->tick) && !timer_start(timers, &connection->tick, next))
        session_abort(connection->session, "out of memory for the heartbeat's timer");
}

/* Takes one read's worth. */
static void read_once(struct connection *connection)
{
    struct whippet_failure failure;
    struct transport *transport = connection->transport;
    ssize_t count = transport->kind->read(transport, connection->input + connection->input_size,
                                          READ_CAPACITY - connection->input_size, &failure);
    if (count == TRANSPORT_AGAIN)
        return;
    if (count <= 0) {
        session_abort(connection->session,
                      count == TRANSPORT_CLOSED ? "the broker hung up without a word" : failure.text);
        return;
    }
    connection->input_size += (size_t)count;
    size_t used = session_receive(connection->session, connection->input, connection->input_size,
                                  loop_now(connection->loop));
    connection->input_size -= used;
    if (connection->input_size > 0 && used > 0)
        memmove(connection->input, connection->input + used, connection->input_size);
}

/* Sends what the socket takes, up to a cap. */
static void write_some(struct connection *connection)
{
    struct buffer *output = session_output(connection->session);
    size_t budget = WRITE_PER_EVENT;
    while (buffer_length(output) > 0 && budget > 0) {
        struct whippet_failure failure;
        size_t size = buffer_length(output) < budget ? buffer_length(output) : budget;
        struct transport *transport = connection->transport;
        ssize_t count = transport->kind->write(transport, buffer_begin(output), size, &failure);
        if (count == TRANSPORT_AGAIN)
            break;
        if (count < 0) {
            session_abort(connection->session, failure.text);
            return;
        }
        buffer_consume(output, (size_t)count);
        budget -= (size_t)count;
        session_sent(connection->session, loop_now(connection->loop));
    }
    buffer_trim(output, OUTPUT_KEPT);
}

static void on_flush(struct posted *posted)
{
    struct connection *connection = list_entry(posted, struct connection, flush);
    if (connection->transport == NULL)
        return;
    if (connection->state == CONNECTION_OPEN && connection->handlers->flushing != NULL) {
        connection->flushing = true;
        connection->handlers->flushing(connection->owner);
        connection->flushing = false;
    }
    if (session_state(connection->session) == SESSION_CLOSED)
        return;
    write_some(connection);
    if (session_state(connection->session) == SESSION_CLOSED)
        return;
    watch_as_needed(connection);
    arm_tick(connection);
    if (connection->state == CONNECTION_OPEN && connection->handlers->flushed != NULL)
        connection->handlers->flushed(connection->owner);
}

static void on_ready(void *owner, int events)
{
    struct connection *connection = owner;
    if ((events & WHIPPET_READABLE) != 0 && !connection->reading_paused)
        read_once(connection);
    if (session_state(connection->session) != SESSION_CLOSED &&
        ((events & WHIPPET_WRITABLE) != 0 || buffer_length(session_output(connection->session)) > 0))
        connection_touch(connection);
}

/* What came while the loop was busy elsewhere is taken before silence is held against the broker. */
static void on_tick(struct timer *timer)
{
    struct connection *connection = list_entry(timer, struct connection, tick);
    if (connection->reading_paused)
        session_excuse_silence(connection->session, loop_now(connection->loop));
    else
        read_once(connection);
    if (session_state(connection->session) == SESSION_CLOSED)
        return;
    session_tick(connection->session, loop_now(connection->loop));
    if (session_state(connection->session) == SESSION_CLOSED)
        return;
    arm_tick(connection);
    connection_touch(connection);
}

/* --- Up and down ----------------------------------------------------------------------------------------*/

static void tear_down(struct connection *connection)
{
    if (connection->transport != NULL && connection->session != NULL) {
        /* The last word (close, close-ok), as far as the socket takes it at once. */
        struct buffer *output = session_output(connection->session);
        struct whippet_failure ignored;
        if (buffer_length(output) > 0)
            connection->transport->kind->write(connection->transport, buffer_begin(output),
                                               buffer_length(output), &ignored);
    }
    timer_stop(&loop_scheduler(connection->loop)->timers, &connection->tick);
    posted_cancel(&connection->flush);
    watch_destroy(connection->watch);
    transport_destroy(connection->transport);
    session_destroy(connection->session);
    connection->watch = NULL;
    connection->transport = NULL;
    connection->session = NULL;
    connection->input_size = 0;
    connection->reading_paused = false;
    connection->state = CONNECTION_DOWN;
}

static int make_session(struct connection *connection, const struct endpoint *endpoint)
{
    char name[96];
    snprintf(name, sizeof name, "whippet %s", connection->options.name);
    struct session_options options = {
        .user = endpoint->user,
        .password = endpoint->password,
        .vhost = endpoint->vhost,
        .connection_name = name,
        .version = connection->options.version,
        .heartbeat = connection->options.heartbeat,
    };
    connection->session = session_create(&options, &EVENTS, connection);
    connection->watch =
        watch_create(connection->loop, connection->transport->descriptor, on_ready, connection);
    if (connection->session == NULL || connection->watch == NULL)
        return failure_set(&connection->failure, WHIPPET_E_MEMORY, "%s: out of memory", endpoint->display);
    return 0;
}

/* Dials and shakes hands with the endpoint whose turn it is, within the task's deadline. 0, or an error with
 * the connection's failure filled. */
static int establish(whippet_task *task, void *arg)
{
    struct connection *connection = arg;
    const struct endpoint *endpoint = &connection->options.endpoints[connection->endpoint];
    struct whippet_failure failure;
    int descriptor = dial(task, endpoint->host, endpoint->port, &failure);
    if (descriptor < 0)
        return failure_set(&connection->failure, descriptor, "%s: %s", endpoint->display, failure.text);
    connection->transport = transport_plain_create(descriptor);
    if (connection->transport == NULL)
        return failure_set(&connection->failure, WHIPPET_E_MEMORY, "%s: out of memory", endpoint->display);
    int error = make_session(connection, endpoint);
    if (error != 0)
        return error;
    waiter_init(&connection->changed);
    session_start(connection->session, loop_now(connection->loop));
    connection_touch(connection);
    error = waiter_wait(task, &connection->changed, INFINITY, "shaking hands with the broker");
    if (error == WHIPPET_E_TIMEOUT)
        return failure_set(&connection->failure, error,
                           "%s: connected, but the broker did not finish the handshake within %g s",
                           endpoint->display, connection->options.connect_timeout);
    return error;
}

/* Exponential, capped, and somewhere in the upper half, so that many workers don't come back in one moment.
 */
static double backoff(const struct connection *connection)
{
    double delay = connection->options.reconnect_min * exp2(fmin(connection->attempts, 32));
    return fmin(delay, connection->options.reconnect_max) * (0.5 + 0.5 * random_unit());
}

static int pause_before_next(whippet_task *task, struct connection *connection, bool was_open)
{
    const char *what = was_open ? "connection lost" : "no connection";
    char text[96];
    if (!was_open && connection->handlers->failed != NULL)
        connection->handlers->failed(connection->owner);
    connection->endpoint = (connection->endpoint + 1) % connection->options.endpoint_count;
    if (connection->endpoint != 0 && !was_open) {
        snprintf(text, sizeof text, "%s; trying the next address", what);
        report(connection, WHIPPET_WARNING, connection->failure.text, text);
        return 0;
    }
    double delay = backoff(connection);
    connection->attempts++;
    snprintf(text, sizeof text, "%s; trying again in %.1f s", what, delay);
    report(connection, WHIPPET_WARNING, connection->failure.text, text);
    return whippet_sleep(task, delay);
}

/* Keeps it up for as long as the session stands. True when it was open at all. */
static bool stay_open(whippet_task *task, struct connection *connection)
{
    if (whippet_with_timeout(task, connection->options.connect_timeout, establish, connection) != 0)
        return false;
    /* The end may have come with the very bytes that brought the beginning. */
    if (session_state(connection->session) != SESSION_CLOSED) {
        waiter_init(&connection->changed);
        waiter_wait(task, &connection->changed, INFINITY, "connected");
    }
    return true;
}

static int connection_main(whippet_task *task, void *arg)
{
    struct connection *connection = arg;
    int error = 0;
    while (error == 0) {
        connection->state = CONNECTION_CONNECTING;
        bool was_open = stay_open(task, connection);
        tear_down(connection);
        error = connection->stopping ? WHIPPET_E_CANCELLED : pause_before_next(task, connection, was_open);
    }
    return 0;
}

static void main_ended(void *arg, int result)
{
    struct connection *connection = arg;
    (void)result;
    connection->task = NULL;
    waiter_wake(&connection->ended, 0);
}

/* --- What the owner asks --------------------------------------------------------------------------------*/

struct connection *connection_create(struct loop *loop, const struct connection_options *options,
                                     const struct connection_handlers *handlers, void *owner)
{
    struct connection *connection = memory_allocate_zeroed(sizeof *connection);
    if (connection == NULL)
        return NULL;
    connection->input = memory_allocate(READ_CAPACITY);
    if (connection->input == NULL) {
        memory_free(connection);
        return NULL;
    }
    connection->loop = loop;
    connection->options = *options;
    connection->handlers = handlers;
    connection->owner = owner;
    connection->tick.function = on_tick;
    connection->flush.function = on_flush;
    waiter_init(&connection->changed);
    waiter_init(&connection->ended);
    return connection;
}

void connection_destroy(struct connection *connection)
{
    if (connection == NULL)
        return;
    memory_free(connection->channels);
    memory_free(connection->input);
    memory_free(connection);
}

bool connection_start(struct connection *connection)
{
    bool started = false;
    whippet_task *task = task_start(loop_scheduler(connection->loop), connection_main, connection, INFINITY,
                                    NULL, main_ended, &started);
    if (started && task != NULL)
        connection->task = task;
    return started;
}

void connection_stop(whippet_task *task, struct connection *connection, double until)
{
    connection->stopping = true;
    if (connection->state == CONNECTION_OPEN) {
        /* The main task waits for this very end, and then tears down. */
        connection->state = CONNECTION_CLOSING;
        session_close(connection->session, 200, "the worker stops");
        connection_touch(connection);
        waiter_wait(task, &connection->ended, until, "closing the connection");
    }
    if (connection->task == NULL)
        return;
    task_cancel(connection->task);
    waiter_wait_shielded(task, &connection->ended, "closing the connection");
}

enum connection_state connection_state(const struct connection *connection)
{
    return connection->state;
}

bool connection_is_blocked(const struct connection *connection)
{
    return connection->session != NULL && session_is_blocked(connection->session);
}

uint64_t connection_epoch(const struct connection *connection)
{
    return connection->epoch;
}

uint64_t connection_reconnects(const struct connection *connection)
{
    return connection->losses;
}

const struct whippet_failure *connection_failure(const struct connection *connection)
{
    return &connection->failure;
}

struct session *connection_session(const struct connection *connection)
{
    return connection->state == CONNECTION_OPEN ? connection->session : NULL;
}

void connection_touch(struct connection *connection)
{
    if (!connection->flushing)
        scheduler_post(loop_scheduler(connection->loop), &connection->flush);
}

void connection_send_now(struct connection *connection)
{
    struct whippet_failure ignored;
    struct buffer *output = connection->state == CONNECTION_OPEN ? session_output(connection->session) : NULL;
    if (output == NULL || buffer_length(output) == 0)
        return;
    ssize_t count = connection->transport->kind->write(connection->transport, buffer_begin(output),
                                                       buffer_length(output), &ignored);
    if (count <= 0)
        return;
    buffer_consume(output, (size_t)count);
    session_sent(connection->session, loop_now(connection->loop));
}

size_t connection_backlog(const struct connection *connection)
{
    return connection->session != NULL ? buffer_length(session_output(connection->session)) : 0;
}

void connection_pause_reading(struct connection *connection, bool paused)
{
    connection->reading_paused = paused;
    if (connection->transport != NULL)
        watch_as_needed(connection);
}

struct loop *connection_loop(const struct connection *connection)
{
    return connection->loop;
}

const char *connection_name(const struct connection *connection)
{
    return connection->options.name;
}
