/* The connections of a worker, and what publishes on the second. When their configuration changes, new ones
 * take the place of the old. */
#include "worker_internal.h"
#include <base/log.h>
#include <base/memory.h>
#include <math.h>

struct connections {
    struct loop *loop;       /* borrowed; the rest is owned */
    struct brokers *brokers; /* where they go */
    struct connection *consume;
    struct connection *publish;
    struct relay_connection *relaying;
    struct publisher *dead_letters;
    struct publisher *publications;
    whippet_task *refresh;   /* reads certificates and keys anew; NULL: none does */
    struct waiter refreshed; /* connections_stop waits here for its end */
};

/* --- Their events ----------------------------------------------------------------------------*/

static void on_consume_opened(void *owner)
{
    struct worker *worker = owner;
    observer_connection_up(worker, CONNECTION_CONSUME, worker->consume);
    worker_wake_subscriptions(worker);
}

static void on_consume_lost(void *owner, const struct whippet_failure *why)
{
    struct worker *worker = owner;
    (void)why;
    observer_connection_down(worker, CONNECTION_CONSUME, worker->consume);
    pace_end_rush(worker);
}

static void on_consume_failed(void *owner)
{
    struct worker *worker = owner;
    observer_connection_down(worker, CONNECTION_CONSUME, worker->consume);
}

static void on_consume_blocked(void *owner, bool blocked)
{
    observer_connection_blocked(owner, CONNECTION_CONSUME, blocked);
}

static void on_consume_flushing(void *owner)
{
    pace_turn_ends(owner);
}

static const struct connection_handlers CONSUME_HANDLERS = {
    .opened = on_consume_opened,
    .lost = on_consume_lost,
    .failed = on_consume_failed,
    .blocked = on_consume_blocked,
    .flushing = on_consume_flushing,
};

static void on_publish_changed(struct worker *worker)
{
    publisher_connection_changed(worker->dead_letters);
    publisher_connection_changed(worker->publications);
    relays_poke(worker);
}

static void on_publish_opened(void *owner)
{
    struct worker *worker = owner;
    observer_connection_up(worker, CONNECTION_PUBLISH, worker->publish);
    on_publish_changed(worker);
}

static void on_publish_lost(void *owner, const struct whippet_failure *why)
{
    struct worker *worker = owner;
    (void)why;
    observer_connection_down(worker, CONNECTION_PUBLISH, worker->publish);
}

static void on_publish_failed(void *owner)
{
    struct worker *worker = owner;
    observer_connection_down(worker, CONNECTION_PUBLISH, worker->publish);
}

static void on_publish_blocked(void *owner, bool blocked)
{
    observer_connection_blocked(owner, CONNECTION_PUBLISH, blocked);
    on_publish_changed(owner);
}

static void on_publish_flushed(void *owner)
{
    on_publish_changed(owner);
}

static const struct connection_handlers PUBLISH_HANDLERS = {
    .opened = on_publish_opened,
    .lost = on_publish_lost,
    .failed = on_publish_failed,
    .blocked = on_publish_blocked,
    .flushed = on_publish_flushed,
};

/* --- Coming and going -----------------------------------------------------------------------------------*/

static bool make_connections(struct connections *connections, struct worker *worker)
{
    const struct config *config = connections->brokers->config;
    struct connection_options options = {
        .name = "consume",
        .version = worker->version,
        .endpoints = connections->brokers->endpoints,
        .endpoint_count = connections->brokers->count,
        .heartbeat = config->heartbeat,
        .connect_timeout = config->connect_timeout,
        .reconnect_min = config->reconnect_min,
        .reconnect_max = config->reconnect_max,
    };
    connections->consume = connection_create(worker->loop, &options, &CONSUME_HANDLERS, worker);
    options.name = "publish";
    connections->publish = connection_create(worker->loop, &options, &PUBLISH_HANDLERS, worker);
    connections->relaying = relay_connection_create(worker, &options);
    if (connections->consume == NULL || connections->publish == NULL || connections->relaying == NULL)
        return false;
    connections->dead_letters = publisher_create(connections->publish, "dead letters");
    connections->publications = publisher_create(connections->publish, "processors");
    return connections->dead_letters != NULL && connections->publications != NULL;
}

struct connections *connections_create(struct worker *worker, struct brokers *brokers)
{
    struct connections *connections = memory_allocate_zeroed(sizeof *connections);
    if (connections == NULL)
        return NULL;
    connections->loop = worker->loop;
    connections->brokers = brokers;
    if (make_connections(connections, worker))
        return connections;
    connections->brokers = NULL;
    connections_destroy(connections);
    return NULL;
}

void connections_destroy(struct connections *connections)
{
    if (connections == NULL)
        return;
    publisher_destroy(connections->dead_letters);
    publisher_destroy(connections->publications);
    connection_destroy(connections->consume);
    connection_destroy(connections->publish);
    relay_connection_destroy(connections->relaying);
    brokers_destroy(connections->brokers);
    memory_free(connections);
}

void connections_use(struct worker *worker, struct connections *connections)
{
    worker->connections = connections;
    worker->consume = connections->consume;
    worker->publish = connections->publish;
    worker->relaying = connections->relaying;
    worker->dead_letters = connections->dead_letters;
    worker->publications = connections->publications;
}

bool connections_start(struct connections *connections)
{
    return publisher_start(connections->dead_letters) && publisher_start(connections->publications) &&
           connection_start(connections->consume) && connection_start(connections->publish);
}

/* --- Certificates and keys, anew ------------------------------------------------------------------------*/

static int refresh_main(whippet_task *task, void *arg)
{
    struct connections *connections = arg;
    return brokers_refresh(task, connections->brokers);
}

static void refresh_ended(void *arg, int result)
{
    struct connections *connections = arg;
    connections->refresh = NULL;
    waiter_wake(&connections->refreshed, result);
}

void connections_refresh_credentials(struct connections *connections)
{
    bool started = false;
    if (connections->refresh != NULL)
        return;
    waiter_init(&connections->refreshed);
    whippet_task *task = task_start(loop_scheduler(connections->loop), refresh_main, connections, INFINITY,
                                    NULL, refresh_ended, &started);
    if (started && task != NULL)
        connections->refresh = task;
    if (!started)
        log_event(WHIPPET_ERROR, NULL, "out of memory: certificates and keys were not read again");
}

static void end_refresh(whippet_task *task, struct connections *connections)
{
    if (connections->refresh == NULL)
        return;
    task_cancel(connections->refresh);
    waiter_wait_shielded(task, &connections->refreshed, "stopping");
}

void connections_stop(whippet_task *task, struct connections *connections, double until)
{
    end_refresh(task, connections);
    relay_connection_stop(task, connections->relaying);
    publisher_stop(task, connections->dead_letters);
    publisher_stop(task, connections->publications);
    connection_stop(task, connections->consume, until);
    connection_stop(task, connections->publish, until);
}
