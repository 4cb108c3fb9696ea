/* Other connections for those there are: the old ones end when nothing needs them any more, and only then do
 * the new ones begin. So nothing is settled on the wrong one, and no message comes twice that need not. */
#include "worker_internal.h"
#include <base/log.h>
#include <math.h>

static const double CLOSING_SECONDS = 2; /* for the broker to answer that a connection is closed */
static const double CREATION_PAUSE = 1;  /* seconds, before another try to make the new ones */

static bool has_retired(const struct worker *worker)
{
    each_subscription (subscription, worker)
        if (subscription->retired)
            return true;
    return false;
}

static void await_retired(whippet_task *task, struct worker *worker)
{
    while (worker->reloading) {
        waiter_init(&worker->retirement);
        waiter_wait(task, &worker->retirement, INFINITY, "waiting for the reload");
    }
    double until = loop_now(worker->loop) + worker->config->shutdown_timeout;
    while (!worker->stopping && has_retired(worker)) {
        waiter_init(&worker->retirement);
        if (waiter_wait(task, &worker->retirement, until, "waiting for old subscriptions to go") == 0)
            continue;
        log_event(WHIPPET_WARNING, NULL,
                  "shutdown_timeout is over: messages that are still at work on the old connection go back "
                  "to their "
                  "queues, and come again");
        return;
    }
}

/* Its own when it returns; NULL when the worker stops. Nothing is read for them: the reload has done that. */
static struct connections *make_connections(whippet_task *task, struct worker *worker)
{
    struct connections *connections = NULL;
    while (!worker->stopping && (connections = connections_create(worker, worker->to_come)) == NULL) {
        log_event(WHIPPET_ERROR, NULL, "out of memory for the new connections; trying again");
        whippet_sleep(task, CREATION_PAUSE);
    }
    if (connections != NULL)
        worker->to_come = NULL;
    return connections;
}

static int renewal_main(whippet_task *task, void *arg)
{
    struct worker *worker = arg;
    await_retired(task, worker);
    if (worker->stopping)
        return 0;
    log_event(WHIPPET_INFO, NULL, "the connections are closed, and opened anew as configured");
    pace_flush_acks(worker);
    struct connections *old = worker->connections;
    connections_stop(task, old, loop_now(worker->loop) + CLOSING_SECONDS);
    struct connections *connections = make_connections(task, worker);
    if (connections == NULL)
        return 0;
    connections_use(worker, connections);
    connections_destroy(old);
    return 1;
}

/* Tasks are started from the loop's own stack only: hence here. */
static void renewal_ended(void *arg, int renewed)
{
    struct worker *worker = arg;
    worker->renewal = NULL;
    worker_progressed(worker);
    if (renewed == 0 || worker->stopping)
        return;
    if (connections_start(worker->connections)) {
        worker_wake_subscriptions(worker);
        return;
    }
    log_event(WHIPPET_ERROR, NULL, "out of memory for the new connections: stopping");
    worker_stop(worker);
}

/* The rest of the reload follows: its task waits for that. */
bool renewal_begin(struct worker *worker)
{
    bool started = false;
    if (worker->renewal != NULL)
        return true;
    worker->renewal = task_start(loop_scheduler(worker->loop), renewal_main, worker, INFINITY, NULL,
                                 renewal_ended, &started);
    return started;
}

void renewal_stop(whippet_task *task, struct worker *worker)
{
    waiter_wake(&worker->retirement, 0);
    while (worker->renewal != NULL) {
        waiter_init(&worker->progress);
        waiter_wait_shielded(task, &worker->progress, "stopping");
    }
}
