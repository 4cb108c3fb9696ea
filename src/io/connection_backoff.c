/* When to try again. A broker that takes connections and then refuses, or breaks off, is left in peace for
 * longer and longer. One that nobody answers for costs nothing to ask: so it is dialled twice a second,
 * however long the pause that is under way, and the first connection that stands ends the pause. */
#include "connection_internal.h"
#include <base/random.h>
#include <io/dial.h>
#include <math.h>
#include <stdio.h>

static const double PROBE_INTERVAL = 0.5; /* seconds at most between two probes */
static const double PROBE_PATIENCE = 1;   /* seconds for an address that does not even refuse */
static const double STEADY_SECONDS = 5;   /* a connection that stood for so long was none in vain */

/* In the upper half, by chance, so that many workers don't come in one moment. */
static double jittered(double seconds)
{
    return seconds * (0.5 + 0.5 * random_unit());
}

static double backoff(const struct connection *connection)
{
    double delay = connection->options.reconnect_min * exp2(fmin(connection->attempts, 32));
    return jittered(fmin(delay, connection->options.reconnect_max));
}

static int probe_run(whippet_task *task, void *arg)
{
    const struct endpoint *endpoint = arg;
    struct whippet_failure ignored;
    return dial_briefly(task, endpoint->host, endpoint->port, PROBE_PATIENCE, &ignored);
}

/* True when one of the endpoints that could not be reached takes connections now: it is the next to be tried,
 * with that very connection. What it refused before its absence is of no account any more. */
static bool probe_all(whippet_task *task, struct connection *connection)
{
    for (size_t i = 0; i < connection->options.endpoint_count; i++) {
        if (!connection->history[i].unreachable)
            continue;
        int descriptor = whippet_with_timeout(task, connection->options.connect_timeout, probe_run,
                                              (void *)&connection->options.endpoints[i]);
        if (descriptor < 0)
            continue;
        connection->dialled = descriptor;
        connection->endpoint = i;
        connection->attempts = 0;
        return true;
    }
    return false;
}

static bool any_is_unreachable(const struct connection *connection)
{
    for (size_t i = 0; i < connection->options.endpoint_count; i++)
        if (connection->history[i].unreachable)
            return true;
    return false;
}

/* Sleeps until `until`, or until a probe gets through. */
static int sleep_probing(whippet_task *task, struct connection *connection, double until)
{
    for (;;) {
        double left = until - loop_now(connection->loop);
        double next = any_is_unreachable(connection) ? jittered(PROBE_INTERVAL) : INFINITY;
        int error = whippet_sleep(task, fmin(left, next));
        if (error != 0)
            return error;
        if (loop_now(connection->loop) >= until || probe_all(task, connection))
            return 0;
    }
}

/* A loss is said each time; what each endpoint answers to one try after another, once. */
static void report(struct connection *connection, size_t endpoint, bool was_open, const char *next)
{
    struct log_fields fields = {.connection = connection->options.name, .error = connection->failure.text};
    if (was_open)
        log_event(WHIPPET_WARNING, &fields, "connection lost; %s", next);
    else
        log_repeated(&connection->history[endpoint].refusals, loop_now(connection->loop), WHIPPET_WARNING,
                     &fields, "no connection; %s", next);
}

int connection_await_next_try(whippet_task *task, struct connection *connection, bool was_open)
{
    size_t tried = connection->endpoint;
    char next[64];
    if (!was_open && connection->handlers->failed != NULL)
        connection->handlers->failed(connection->owner);
    connection->endpoint = (connection->endpoint + 1) % connection->options.endpoint_count;
    if (connection->endpoint != 0 && !was_open) {
        report(connection, tried, was_open, "trying the next address");
        return 0;
    }
    if (was_open && loop_now(connection->loop) - connection->opened_at >= STEADY_SECONDS)
        connection->attempts = 0;
    double delay = backoff(connection);
    connection->attempts++;
    snprintf(next, sizeof next, "trying again in %.1f s", delay);
    report(connection, tried, was_open, next);
    return sleep_probing(task, connection, loop_now(connection->loop) + delay);
}
