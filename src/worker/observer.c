/* What others may see of the worker: it keeps worker->stats true. */
#include "worker_internal.h"
#include <async/task.h>
#include <base/clock.h>
#include <stdio.h>
#include <string.h>

static const double BLOCKED_SECONDS = 0.5; /* a turn that takes longer keeps others waiting */

/* Deliveries looked at for the board, in all: so that it takes well below a millisecond, whatever there is.
 */
enum {
    LOOKED_AT = 2000
};

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

/* --- The board of deliveries in flight ------------------------------------------------------------------*/

/* The oldest found so far, oldest first. */
struct oldest {
    const struct delivery *deliveries[IN_FLIGHT_ROWS];
    size_t count;
};

static void consider(struct oldest *oldest, const struct delivery *delivery)
{
    size_t place = oldest->count;
    if (place == IN_FLIGHT_ROWS && oldest->deliveries[place - 1]->arrived_at <= delivery->arrived_at)
        return;
    if (place == IN_FLIGHT_ROWS)
        place--;
    else
        oldest->count++;
    for (; place > 0 && oldest->deliveries[place - 1]->arrived_at > delivery->arrived_at; place--)
        oldest->deliveries[place] = oldest->deliveries[place - 1];
    oldest->deliveries[place] = delivery;
}

/* The lists are nearly in the order of age, so that looking at their beginnings does. */
static void consider_list(struct oldest *oldest, const struct list *deliveries, size_t most)
{
    list_each (link, deliveries) {
        if (most-- == 0)
            return;
        consider(oldest, list_entry(link, struct delivery, link));
    }
}

static void find_oldest(const struct worker *worker, struct oldest *oldest)
{
    size_t most = LOOKED_AT / (3 * worker->stats.queue_count + 1) + 1;
    oldest->count = 0;
    each_subscription (subscription, worker) {
        consider_list(oldest, &subscription->at_work, most);
        consider_list(oldest, &subscription->retrying, most);
        consider_list(oldest, &subscription->waiting, most);
    }
}

static void put_text(char *text, size_t size, whippet_bytes value)
{
    snprintf(text, size, "%.*s", (int)value.len, value.data != NULL ? (const char *)value.data : "");
}

static void write_row(struct in_flight_row *row, const struct delivery *delivery)
{
    const struct log_fields *fields = &delivery->fields;
    put_text(row->queue, sizeof row->queue, bytes_of_text(fields->queue));
    put_text(row->processor, sizeof row->processor, bytes_of_text(fields->processor));
    put_text(row->message_id, sizeof row->message_id, fields->message_id);
    put_text(row->state, sizeof row->state, bytes_of_text(delivery_activity(delivery)));
    row->attempt = delivery->message.attempt;
    row->arrived_at = delivery->arrived_at;
    row->started_at = delivery->message.attempt > 0 ? delivery->started_at : 0;
}

static void write_board(struct worker *worker, double now)
{
    struct in_flight_board *board = &worker->stats.board;
    struct oldest oldest;
    if (!in_flight_board_begin(board))
        return;
    find_oldest(worker, &oldest);
    board->count = oldest.count;
    board->in_flight = worker_in_flight(worker);
    for (size_t i = 0; i < oldest.count; i++)
        write_row(&board->rows[i], oldest.deliveries[i]);
    in_flight_board_end(board, now);
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
    write_board(worker, now);
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
