#include "connection_internal.h"
#include <base/log.h>
#include <base/memory.h>
#include <base/random.h>
#include <io/dial.h>
#include <math.h>
#include <stdio.h>

void connection_report(const struct connection *connection, enum whippet_log_level level, const char *error,
                       const char *text)
{
    struct log_fields fields = {.connection = connection->options.name, .error = error};
    log_event(level, &fields, "%s", text);
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
    connection->session = session_create(&options, &CONNECTION_EVENTS, connection);
    connection->watch =
        watch_create(connection->loop, connection->transport->descriptor, connection_on_ready, connection);
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
        connection_report(connection, WHIPPET_WARNING, connection->failure.text, text);
        return 0;
    }
    double delay = backoff(connection);
    connection->attempts++;
    snprintf(text, sizeof text, "%s; trying again in %.1f s", what, delay);
    connection_report(connection, WHIPPET_WARNING, connection->failure.text, text);
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
    connection->input = memory_allocate(CONNECTION_READ_CAPACITY);
    if (connection->input == NULL) {
        memory_free(connection);
        return NULL;
    }
    connection->loop = loop;
    connection->options = *options;
    connection->handlers = handlers;
    connection->owner = owner;
    connection->tick.function = connection_on_tick;
    connection->flush.function = connection_on_flush;
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

const char *connection_address(const struct connection *connection)
{
    return connection->options.endpoints[connection->endpoint].display;
}

const struct whippet_failure *connection_failure(const struct connection *connection)
{
    return &connection->failure;
}

struct session *connection_session(const struct connection *connection)
{
    return connection->state == CONNECTION_OPEN ? connection->session : NULL;
}

struct loop *connection_loop(const struct connection *connection)
{
    return connection->loop;
}

const char *connection_name(const struct connection *connection)
{
    return connection->options.name;
}
