#include "connection_internal.h"
#include <base/log.h>
#include <base/memory.h>
#include <base/secret.h>
#include <io/dial.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

void connection_report(const struct connection *connection, enum whippet_log_level level, const char *error,
                       const char *text)
{
    struct log_fields fields = {.connection = connection->options.name, .error = error};
    log_event(level, &fields, "%s", text);
}

/* --- Up and down ----------------------------------------------------------------------------------------*/

static void tear_down(struct connection *connection)
{
    /* Where the broker has not answered that it is closed, the channels still have to hear of it: their
     * owners may outlive the connection. */
    if (connection->state == CONNECTION_CLOSING)
        session_abort(connection->session, "it was closed, and the broker did not answer");
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
    posted_cancel(&connection->read_on);
    watch_destroy(connection->watch);
    transport_destroy(connection->transport);
    session_destroy(connection->session);
    connection->watch = NULL;
    connection->transport = NULL;
    connection->session = NULL;
    if (connection->dialled >= 0)
        close(connection->dialled);
    connection->dialled = -1;
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
        .password = endpoint->password_file != NULL ? connection->password : endpoint->password,
        .external = endpoint->external,
        .vhost = endpoint->vhost,
        .connection_name = name,
        .version = connection->options.version,
        .heartbeat = connection->options.heartbeat,
        .close_limit = connection->options.close_limit,
    };
    connection->session = session_create(&options, &CONNECTION_EVENTS, connection);
    connection->watch =
        watch_create(connection->loop, connection->transport->descriptor, connection_on_ready, connection);
    if (connection->session == NULL || connection->watch == NULL)
        return failure_set(&connection->failure, WHIPPET_E_MEMORY, "%s: out of memory", endpoint->display);
    return 0;
}

/* The password file's content, read off the loop. All of it is of its own in memory: the thread may outlive
 * the task, and a reload the options. */
struct password_reading {
    char *file;     /* owned */
    char *password; /* owned; NULL: it failed */
    struct whippet_failure failure;
};

static void password_reading_run(void *arg)
{
    struct password_reading *reading = arg;
    reading->password = secret_read(reading->file, &reading->failure);
}

static void password_reading_destroy(void *arg)
{
    struct password_reading *reading = arg;
    secret_destroy(reading->password);
    memory_free(reading->file);
    memory_free(reading);
}

static struct password_reading *password_reading_create(const char *file)
{
    struct password_reading *reading = memory_allocate_zeroed(sizeof *reading);
    if (reading == NULL)
        return NULL;
    reading->file = memory_copy_text(file);
    if (reading->file != NULL)
        return reading;
    password_reading_destroy(reading);
    return NULL;
}

/* What cannot be read is no reason to give up while there is a password that did work once. */
static int take_password(struct connection *connection, struct password_reading *reading)
{
    if (reading->password != NULL) {
        secret_destroy(connection->password);
        connection->password = reading->password;
        reading->password = NULL;
        return 0;
    }
    if (connection->password == NULL)
        return failure_set(&connection->failure, reading->failure.error, "amqp.password_file: %s",
                           reading->failure.text);
    connection_report(connection, WHIPPET_WARNING, reading->failure.text,
                      "amqp.password_file can't be read; the password that was read before stays in use");
    return 0;
}

/* 0 with the connection's password as it is to be now, or an error with its failure filled. */
static int refresh_password(whippet_task *task, struct connection *connection, const char *file)
{
    struct password_reading *reading = password_reading_create(file);
    if (reading == NULL)
        return failure_set(&connection->failure, WHIPPET_E_MEMORY, "amqp.password_file: out of memory");
    int error = loop_offload(task, password_reading_run, reading, password_reading_destroy);
    if (error == WHIPPET_E_TIMEOUT || error == WHIPPET_E_CANCELLED)
        return failure_set(&connection->failure, error,
                           "amqp.password_file: \"%s\" could not be read in time", file);
    if (error == 0)
        error = take_password(connection, reading);
    else
        failure_set(&connection->failure, error, "amqp.password_file: %s", whippet_error_text(error));
    password_reading_destroy(reading);
    return error;
}

/* Connects, by TLS where the endpoint says so. 0, or an error with the connection's failure filled. */
static int open_transport(whippet_task *task, struct connection *connection, const struct endpoint *endpoint)
{
    struct whippet_failure failure;
    int descriptor = connection->dialled;
    connection->dialled = -1;
    if (descriptor < 0)
        descriptor = dial(task, endpoint->host, endpoint->port, &failure);
    connection->history[connection->endpoint].unreachable = descriptor < 0;
    if (descriptor < 0)
        return failure_set(&connection->failure, descriptor, "%s: %s", endpoint->display, failure.text);
    connection->transport = endpoint->tls != NULL
                                ? tls_open(task, endpoint->tls, descriptor, endpoint->host, &failure)
                                : transport_plain_create(descriptor);
    if (connection->transport != NULL)
        return 0;
    if (endpoint->tls == NULL)
        failure_set(&failure, WHIPPET_E_MEMORY, "out of memory");
    return failure_set(&connection->failure, failure.error, "%s: %s", endpoint->display, failure.text);
}

/* Dials and shakes hands with the endpoint whose turn it is, within the task's deadline. 0, or an error with
 * the connection's failure filled. */
static int establish(whippet_task *task, void *arg)
{
    struct connection *connection = arg;
    const struct endpoint *endpoint = &connection->options.endpoints[connection->endpoint];
    int error =
        endpoint->password_file != NULL ? refresh_password(task, connection, endpoint->password_file) : 0;
    if (error == 0)
        error = open_transport(task, connection, endpoint);
    if (error == 0)
        error = make_session(connection, endpoint);
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
        error = connection->stopping ? WHIPPET_E_CANCELLED
                                     : connection_await_next_try(task, connection, was_open);
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
    connection->dialled = -1;
    connection->input = memory_allocate(CONNECTION_READ_CAPACITY);
    connection->history = memory_allocate_zeroed(options->endpoint_count * sizeof *connection->history);
    if (connection->input == NULL || connection->history == NULL) {
        connection_destroy(connection);
        return NULL;
    }
    connection->loop = loop;
    connection->options = *options;
    connection->handlers = handlers;
    connection->owner = owner;
    connection->tick.function = connection_on_tick;
    connection->flush.function = connection_on_flush;
    connection->read_on.function = connection_on_read_on;
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
    memory_free(connection->history);
    secret_destroy(connection->password);
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
