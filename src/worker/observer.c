/* What others may see of the worker: it keeps worker->stats true. */
#include "worker_internal.h"
#include <async/task.h>
#include <base/clock.h>
#include <stdio.h>
#include <string.h>

static const double BLOCKED_SECONDS = 0.5; /* a turn that takes longer keeps others waiting */

/* --- Connections ----------------------------------------------------------------------------------------*/

void observer_connection_up(struct worker *worker, enum connection_role role,
                            const struct connection *connection)
{
    connection_stats_up(&worker->stats.connections[role], connection_address(connection),
                        loop_now(worker->loop));
}

void observer_connection_down(struct worker *worker, enum connection_role role,
                              const struct connection *connection)
{
    connection_stats_down(&worker->stats.connections[role], connection_failure(connection)->text,
                          loop_now(worker->loop));
}

void observer_connection_blocked(struct worker *worker, enum connection_role role, bool blocked)
{
    atomic_store_explicit(&worker->stats.connections[role].blocked, blocked, memory_order_relaxed);
}

/* --- Who blocks the loop --------------------------------------------------------------------------------*/

/* From the admin's thread: through the ledger's mark, which is right at any moment. */
bool observer_look_who_blocks(void *owner, struct loop_blocked *blocked)
{
    const struct worker *worker = owner;
    char queue[LEDGER_TEXT + 1] = "", id[LEDGER_TEXT + 1] = "";
    *blocked = (struct loop_blocked){.seconds = loop_busy_for(worker->loop)};
    if (blocked->seconds < BLOCKED_SECONDS)
        return false;
    blocked->by_task = ledger_slot_look(worker->loop_slot, queue, id, &blocked->attempt);
    blocked->queue_is_cut = strlen(queue) == LEDGER_TEXT;
    snprintf(blocked->queue, sizeof blocked->queue, "%s", queue);
    snprintf(blocked->message_id, sizeof blocked->message_id, "%s", id);
    return true;
}

/* --- Ticking --------------------------------------------------------------------------------------------*/

static void on_tick(struct timer *timer)
{
    struct worker *worker = list_entry(timer, struct worker, observer);
    double now = clock_monotonic();
    double lag = now - timer->at;
    loop_stats_tick(&worker->stats.loop, now, lag > 0 ? lag : 0);
    roll_call_show(worker);
    timer_start(&loop_scheduler(worker->loop)->timers, timer, now + STATS_TICK_SECONDS);
}

bool worker_observe(struct worker *worker)
{
    worker->observer.function = on_tick;
    return timer_start(&loop_scheduler(worker->loop)->timers, &worker->observer, loop_now(worker->loop));
}

struct stats *worker_stats(struct worker *worker)
{
    return &worker->stats;
}
