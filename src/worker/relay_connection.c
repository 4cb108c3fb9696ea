/* The connection by which messages over max_message_size are passed on. A body that breaks off in the middle
 * leaves a channel that can be neither used nor closed: RabbitMQ takes anything but the rest of the body for
 * a violation (505), and ends the connection. So none but such messages are on it; it is there while any is,
 * and a little longer. */
#include "worker_internal.h"
#include <base/memory.h>
#include <math.h>

static const double IDLE_SECONDS = 30;   /* without a message, before it is closed */
static const double CLOSING_SECONDS = 2; /* for the broker to answer that it is */

struct relay_connection {
    struct worker *worker; /* borrowed */
    struct connection_options options;
    struct connection *connection; /* owned; NULL: there is none */
    unsigned users;
    bool failed;           /* it can't be had at the moment: nobody is to wait for it */
    bool spoilt;           /* a channel of it is in the middle of a body for good */
    bool stopping;         /* for ever */
    whippet_task *task;    /* keep_main; NULL: it does not run */
    struct waiter changed; /* it waits here */
    struct waiter left;    /* relay_connection_stop waits here */
};

static struct connection_stats *stats_of(struct relay_connection *relaying)
{
    return &relaying->worker->stats.connections[CONNECTION_RELAY];
}

/* --- Its events -----------------------------------------------------------------------------------------*/

static void on_opened(void *owner)
{
    struct relay_connection *relaying = owner;
    relaying->failed = false;
    observer_connection_up(relaying->worker, CONNECTION_RELAY, relaying->connection);
    relays_poke(relaying->worker);
}

static void on_lost(void *owner, const struct whippet_failure *why)
{
    struct relay_connection *relaying = owner;
    (void)why;
    /* It may be the end that was asked for: then nothing was lost. */
    if (connection_state(relaying->connection) != CONNECTION_CLOSING)
        observer_connection_down(relaying->worker, CONNECTION_RELAY, relaying->connection);
    relays_poke(relaying->worker);
}

static void on_failed(void *owner)
{
    struct relay_connection *relaying = owner;
    relaying->failed = true;
    observer_connection_down(relaying->worker, CONNECTION_RELAY, relaying->connection);
    relays_poke(relaying->worker);
}

static void on_blocked(void *owner, bool blocked)
{
    struct relay_connection *relaying = owner;
    observer_connection_blocked(relaying->worker, CONNECTION_RELAY, blocked);
    relays_poke(relaying->worker);
}

static void on_flushed(void *owner)
{
    struct relay_connection *relaying = owner;
    relays_poke(relaying->worker);
}

static const struct connection_handlers HANDLERS = {
    .opened = on_opened,
    .lost = on_lost,
    .failed = on_failed,
    .blocked = on_blocked,
    .flushed = on_flushed,
};

/* --- Its task -------------------------------------------------------------------------------------------*/

/* 0: nobody needs it any more, or it is to stop. */
static int await_end_of_need(whippet_task *task, struct relay_connection *relaying)
{
    while (!relaying->stopping && !(relaying->users == 0 && relaying->spoilt)) {
        double until = relaying->users > 0 ? INFINITY : loop_now(relaying->worker->loop) + IDLE_SECONDS;
        waiter_init(&relaying->changed);
        int error = waiter_wait(task, &relaying->changed, until, "keeping a connection for large messages");
        if (error != 0)
            return error == WHIPPET_E_TIMEOUT ? 0 : error;
    }
    return 0;
}

static int keep_main(whippet_task *task, void *arg)
{
    struct relay_connection *relaying = arg;
    int error = await_end_of_need(task, relaying);
    connection_stop(task, relaying->connection, loop_now(relaying->worker->loop) + CLOSING_SECONDS);
    return error;
}

static void begin(struct relay_connection *relaying);

static void keep_ended(void *arg, int result)
{
    struct relay_connection *relaying = arg;
    connection_destroy(relaying->connection);
    relaying->connection = NULL;
    relaying->task = NULL;
    connection_stats_closed(stats_of(relaying), loop_now(relaying->worker->loop));
    /* Somebody may have come while it closed. */
    if (result == 0 && relaying->users > 0 && !relaying->stopping)
        begin(relaying);
    waiter_wake(&relaying->left, 0);
    relays_poke(relaying->worker);
}

static void begin(struct relay_connection *relaying)
{
    bool started = false;
    relaying->failed = false;
    relaying->spoilt = false;
    relaying->connection = connection_create(relaying->worker->loop, &relaying->options, &HANDLERS, relaying);
    if (relaying->connection == NULL)
        return;
    whippet_task *task = task_start(loop_scheduler(relaying->worker->loop), keep_main, relaying, INFINITY,
                                    NULL, keep_ended, &started);
    if (!started) {
        connection_destroy(relaying->connection);
        relaying->connection = NULL;
        return;
    }
    relaying->task = task;
    connection_stats_needed(stats_of(relaying));
    if (!connection_start(relaying->connection))
        waiter_wake(&relaying->changed, WHIPPET_E_MEMORY);
}

/* --- What relays and connections ask --------------------------------------------------------------------*/

struct relay_connection *relay_connection_create(struct worker *worker,
                                                 const struct connection_options *options)
{
    struct relay_connection *relaying = memory_allocate_zeroed(sizeof *relaying);
    if (relaying == NULL)
        return NULL;
    relaying->worker = worker;
    relaying->options = *options;
    relaying->options.name = "relay";
    waiter_init(&relaying->changed);
    waiter_init(&relaying->left);
    return relaying;
}

void relay_connection_destroy(struct relay_connection *relaying)
{
    memory_free(relaying);
}

void relay_connection_join(struct relay_connection *relaying)
{
    relaying->users++;
    if (relaying->task == NULL && !relaying->stopping)
        begin(relaying);
    waiter_wake(&relaying->changed, 0);
}

void relay_connection_leave(struct relay_connection *relaying, bool broken_off)
{
    relaying->users--;
    relaying->spoilt = relaying->spoilt || broken_off;
    waiter_wake(&relaying->changed, 0);
    waiter_wake(&relaying->left, 0);
}

struct connection *relay_connection_open(const struct relay_connection *relaying)
{
    struct connection *connection = relaying->connection;
    return connection != NULL && connection_session(connection) != NULL ? connection : NULL;
}

const char *relay_connection_trouble(const struct relay_connection *relaying)
{
    if (relaying->stopping)
        return "the connection ends";
    if (relaying->task == NULL)
        return "out of memory";
    return relaying->failed ? connection_failure(relaying->connection)->text : NULL;
}

void relay_connection_stop(whippet_task *task, struct relay_connection *relaying)
{
    relaying->stopping = true;
    waiter_wake(&relaying->changed, 0);
    relays_poke(relaying->worker);
    while (relaying->task != NULL || relaying->users > 0) {
        waiter_init(&relaying->left);
        waiter_wait_shielded(task, &relaying->left, "stopping");
    }
}
