#include "status.h"
#include <base/clock.h>
#include <base/memory.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- Moments --------------------------------------------------------------------------------------------*/

/* A moment of clock_monotonic as RFC 3339; 0 is null. */
static void put_moment(struct text *text, const char *name, double moment)
{
    char wall[CLOCK_TEXT_SIZE];
    if (moment <= 0) {
        json_null(text, name);
        return;
    }
    clock_format(clock_wall() - clock_monotonic() + moment, wall);
    json_text(text, name, wall);
}

/* Whole milliseconds are enough for people, and read better. */
static void put_seconds(struct text *text, const char *name, double seconds)
{
    json_number(text, name, seconds > 0 ? (double)(uint64_t)(seconds * 1000 + 0.5) / 1000 : 0);
}

static void put_error(struct text *text, const char *name, const char *error, double at)
{
    if (error[0] == '\0') {
        json_null(text, name);
        return;
    }
    json_open(text, name, '{');
    json_text(text, "text", error);
    if (at > 0)
        put_moment(text, "at", at);
    json_close(text, '}');
}

/* --- Live and ready -------------------------------------------------------------------------------------*/

static double silence_of(const struct stats *stats)
{
    return clock_monotonic() - atomic_load_explicit(&stats->loop.ticked_at, memory_order_acquire);
}

bool status_write_live(struct text *text, const struct stats *stats)
{
    double silence = silence_of(stats);
    bool live = silence < STATUS_LIVE_SECONDS;
    json_open(text, NULL, '{');
    json_boolean(text, "live", live);
    put_seconds(text, "last_tick_seconds_ago", silence);
    if (!live)
        json_text(text, "why", "the event loop is blocked: a processor does not give the CPU back");
    json_close(text, '}');
    return live;
}

static bool is_up(const struct connection_stats *connection)
{
    return atomic_load_explicit(&connection->up, memory_order_acquire);
}

/* Why a subscription does not consume. */
static void explain(struct text *text, const struct queue_view *view, const struct stats *stats)
{
    char error[SHARED_TEXT_SIZE];
    const struct connection_stats *connection = &stats->connections[CONNECTION_CONSUME];
    if (!is_up(connection)) {
        shared_text_get(&connection->last_error, error);
        json_text(text, "why", error[0] != '\0' ? error : "there is no connection to the broker yet");
    } else if (view->state == SUBSCRIPTION_FAILED) {
        json_text(text, "why", view->failure);
    } else if (view->state == SUBSCRIPTION_DRAINING || view->state == SUBSCRIPTION_CLOSED) {
        json_text(text, "why", "it was told to end");
    } else {
        json_text(text, "why", "it is on its way");
    }
}

/* One that a reload took out, or replaced, and that finishes what it has begun: nothing waits for it. */
static bool is_leaving(const struct queue_view *view, const struct stats *stats)
{
    return view->state == SUBSCRIPTION_DRAINING &&
           !atomic_load_explicit(&stats->stopping, memory_order_relaxed);
}

static bool put_unready_queues(struct text *text, struct stats *stats)
{
    struct queue_views views;
    bool ready = true;
    if (!stats_view_queues(stats, &views)) {
        text->failed = true;
        return false;
    }
    for (size_t i = 0; i < views.count; i++) {
        const struct queue_view *view = &views.items[i];
        if (view->state == SUBSCRIPTION_CONSUMING || is_leaving(view, stats))
            continue;
        ready = false;
        json_open(text, NULL, '{');
        json_text(text, "what", "subscription");
        json_text(text, "queue", view->queue);
        json_text(text, "processor", view->processor);
        json_text(text, "state", subscription_state_name(view->state));
        put_moment(text, "since", view->state_since);
        explain(text, view, stats);
        json_close(text, '}');
    }
    queue_views_destroy(&views);
    return ready;
}

static bool put_unready_connections(struct text *text, const struct stats *stats)
{
    bool ready = true;
    for (int i = 0; i < CONNECTION_ROLES; i++) {
        const struct connection_stats *connection = &stats->connections[i];
        char error[SHARED_TEXT_SIZE];
        if (is_up(connection) || i == CONNECTION_RELAY)
            continue;
        ready = false;
        shared_text_get(&connection->last_error, error);
        json_open(text, NULL, '{');
        json_text(text, "what", "connection");
        json_text(text, "connection", connection_role_name(i));
        json_text(text, "state", "down");
        put_moment(text, "since", connection->since);
        json_text(text, "why", error[0] != '\0' ? error : "it was not open yet");
        json_close(text, '}');
    }
    return ready;
}

/* The answer stands behind the list, which it follows from. */
bool status_write_ready(struct text *text, struct stats *stats)
{
    bool stopping = atomic_load_explicit(&stats->stopping, memory_order_relaxed);
    json_open(text, NULL, '{');
    json_open(text, "not_ready", '[');
    bool connected = put_unready_connections(text, stats);
    bool ready = put_unready_queues(text, stats) && connected && !stopping;
    json_close(text, ']');
    json_open(text, "blocked", '[');
    for (int i = 0; i < CONNECTION_ROLES; i++) {
        if (atomic_load_explicit(&stats->connections[i].blocked, memory_order_relaxed))
            json_text(text, NULL, connection_role_name(i));
    }
    json_close(text, ']');
    json_boolean(text, "stopping", stopping);
    json_boolean(text, "ready", ready);
    json_close(text, '}');
    return ready;
}

/* --- Status ---------------------------------------------------------------------------------------------*/

static void put_durations(struct text *text, const struct queue_totals *totals)
{
    uint64_t count = 0;
    json_open(text, "durations", '{');
    json_open(text, "buckets", '[');
    for (int i = 0; i <= DURATION_BUCKET_COUNT; i++) {
        count += totals->durations[i];
        json_open(text, NULL, '{');
        if (i < DURATION_BUCKET_COUNT)
            json_number(text, "up_to_seconds", DURATION_BOUNDS[i]);
        else
            json_null(text, "up_to_seconds");
        json_unsigned(text, "count", totals->durations[i]);
        json_close(text, '}');
    }
    json_close(text, ']');
    json_unsigned(text, "count", count);
    json_number(text, "sum_seconds", (double)totals->duration_nanoseconds / 1e9);
    json_close(text, '}');
}

static void put_totals(struct text *text, const struct queue_totals *totals)
{
    json_unsigned(text, "consumed", totals->consumed);
    json_open(text, "settled", '{');
    for (int i = 0; i < OUTCOME_COUNT; i++)
        json_unsigned(text, delivery_outcome_label(i), totals->outcomes[i]);
    json_close(text, '}');
    json_unsigned(text, "in_flight", totals->in_flight);
    json_unsigned(text, "waiting", totals->phases[PHASE_WAITING]);
    json_unsigned(text, "running", totals->phases[PHASE_RUNNING]);
    json_unsigned(text, "retrying", totals->phases[PHASE_RETRYING]);
    json_open(text, "attempts", '{');
    for (int i = 0; i < ATTEMPT_RESULT_COUNT; i++)
        json_unsigned(text, attempt_result_label(i), totals->attempts[i]);
    json_close(text, '}');
    json_unsigned(text, "stale_settlements", totals->stale_settlements);
    put_moment(text, "last_delivery", totals->last_delivery);
    put_durations(text, totals);
}

static void put_broker(struct text *text, const struct queue_view *view)
{
    if (!view->broker_is_known) {
        json_null(text, "broker");
        return;
    }
    json_open(text, "broker", '{');
    json_unsigned(text, "ready", view->broker.ready);
    json_unsigned(text, "unacknowledged", view->broker.unacknowledged);
    json_unsigned(text, "consumers", view->broker.consumers);
    json_close(text, '}');
}

static void put_queues(struct text *text, const struct queue_views *views)
{
    json_open(text, "queues", '[');
    for (size_t i = 0; i < views->count; i++) {
        const struct queue_view *view = &views->items[i];
        json_open(text, NULL, '{');
        json_text(text, "queue", view->queue);
        json_text(text, "processor", view->processor);
        json_text(text, "state", subscription_state_name(view->state));
        put_moment(text, "since", view->state_since);
        put_error(text, "failure", view->failure, 0);
        json_unsigned(text, "concurrency", view->concurrency);
        json_unsigned(text, "prefetch", view->prefetch);
        put_totals(text, &view->totals);
        put_error(text, "last_error", view->last_error, view->last_error_at);
        put_broker(text, view);
        json_close(text, '}');
    }
    json_close(text, ']');
}

/* Null where nobody is to ask it. */
static void put_management(struct text *text, const struct stats *stats)
{
    const struct management_stats *management = &stats->management;
    char value[SHARED_TEXT_SIZE];
    if (!atomic_load_explicit(&management->asked, memory_order_acquire)) {
        json_null(text, "management");
        return;
    }
    json_open(text, "management", '{');
    shared_text_get(&management->where, value);
    json_text(text, "url", value);
    json_boolean(text, "up", atomic_load_explicit(&management->up, memory_order_acquire));
    shared_text_get(&management->error, value);
    put_error(text, "error", value, 0);
    json_close(text, '}');
}

static void put_connections(struct text *text, const struct stats *stats)
{
    char value[SHARED_TEXT_SIZE];
    json_open(text, "connections", '[');
    for (int i = 0; i < CONNECTION_ROLES; i++) {
        const struct connection_stats *connection = &stats->connections[i];
        json_open(text, NULL, '{');
        json_text(text, "connection", connection_role_name(i));
        json_boolean(text, "needed", atomic_load_explicit(&connection->needed, memory_order_relaxed));
        json_boolean(text, "up", is_up(connection));
        json_boolean(text, "blocked", atomic_load_explicit(&connection->blocked, memory_order_relaxed));
        put_moment(text, "since", connection->since);
        shared_text_get(&connection->address, value);
        json_text(text, "address", value[0] != '\0' ? value : NULL);
        json_unsigned(text, "epoch", counter_get(&connection->epoch));
        json_unsigned(text, "reconnects", counter_get(&connection->reconnects));
        shared_text_get(&connection->last_error, value);
        put_error(text, "last_error", value, 0);
        json_close(text, '}');
    }
    json_close(text, ']');
}

static void put_sent(struct text *text, const struct stats *stats)
{
    json_open(text, "sent", '{');
    for (int i = 0; i < SENDING_COUNT; i++) {
        json_open(text, sending_name(i), '{');
        json_unsigned(text, "confirmed", counter_get(&stats->sent[i].confirmed));
        json_unsigned(text, "failed", counter_get(&stats->sent[i].failed));
        json_close(text, '}');
    }
    json_close(text, '}');
}

static void put_task(struct text *text, const struct in_flight_row *row, double now)
{
    json_open(text, NULL, '{');
    json_text(text, "queue", row->queue);
    json_text(text, "processor", row->processor);
    json_text(text, "message_id", row->message_id[0] != '\0' ? row->message_id : NULL);
    json_unsigned(text, "attempt", row->attempt);
    json_text(text, "state", row->state);
    put_seconds(text, "age_seconds", now - row->arrived_at);
    if (row->at_work_since > 0)
        put_seconds(text, "attempt_age_seconds", now - row->at_work_since);
    else
        json_null(text, "attempt_age_seconds");
    json_close(text, '}');
}

/* Those at work come first, the longest of them before the others; then those that rest, the oldest first. */
static int by_slowness(const void *one, const void *other)
{
    const struct in_flight_row *a = *(const struct in_flight_row *const *)one;
    const struct in_flight_row *b = *(const struct in_flight_row *const *)other;
    if ((a->at_work_since > 0) != (b->at_work_since > 0))
        return a->at_work_since > 0 ? -1 : 1;
    if (a->at_work_since != b->at_work_since)
        return a->at_work_since < b->at_work_since ? -1 : 1;
    return (a->arrived_at > b->arrived_at) - (a->arrived_at < b->arrived_at);
}

static bool put_tasks(struct text *text, const struct in_flight_list *list, size_t most, double now)
{
    size_t count = 0;
    const struct in_flight_row **rows = memory_allocate((list->count + 1) * sizeof *rows);
    if (rows == NULL)
        return false;
    for (const struct in_flight_row *row = list->first; row != NULL; row = row->next)
        rows[count++] = row;
    qsort(rows, count, sizeof *rows, by_slowness);
    for (size_t i = 0; i < count && i < most; i++)
        put_task(text, rows[i], now);
    memory_free(rows);
    return true;
}

/* As old as the board is: while the loop is blocked that is the moment before, and says so. */
static void put_in_flight(struct text *text, struct stats *stats, size_t most, double now)
{
    static const struct in_flight_list nothing;
    struct in_flight_list *list = in_flight_board_look(&stats->board);
    const struct in_flight_list *shown = list != NULL ? list : &nothing;
    json_open(text, "in_flight", '{');
    json_unsigned(text, "count", shown->count);
    put_moment(text, "as_of", shown->as_of);
    json_open(text, "tasks", '[');
    if (!put_tasks(text, shown, most, now))
        text->failed = true;
    json_close(text, ']');
    json_close(text, '}');
    in_flight_list_release(list);
}

static void put_process(struct text *text, const struct stats *stats, const char *commit, double now)
{
    char host[256] = "", moment[CLOCK_TEXT_SIZE];
    gethostname(host, sizeof host - 1);
    clock_format(clock_wall(), moment);
    json_text(text, "time", moment);
    json_text(text, "version", stats->version);
    json_text(text, "commit", commit);
    json_text(text, "host", host);
    json_unsigned(text, "process", (uint64_t)getpid());
    clock_format(stats->started_wall, moment);
    json_text(text, "started", moment);
    put_seconds(text, "uptime_seconds", now - stats->started_at);
    json_boolean(text, "stopping", atomic_load_explicit(&stats->stopping, memory_order_relaxed));
}

/* The mark has the beginning of a queue's name: the first that begins so. */
static const struct queue_view *find_blocker(const struct queue_views *views,
                                             const struct loop_blocked *blocked)
{
    size_t length = strlen(blocked->queue);
    for (size_t i = 0; i < views->count; i++) {
        const char *queue = views->items[i].queue;
        if (blocked->queue_is_cut ? strncmp(queue, blocked->queue, length) == 0
                                  : strcmp(queue, blocked->queue) == 0)
            return &views->items[i];
    }
    return NULL;
}

/* Null while it turns; without a queue where it is no message's code that blocks it. */
static void put_blocked(struct text *text, const struct stats *stats, const struct queue_views *views)
{
    struct loop_blocked blocked;
    if (stats->look_who_blocks == NULL || !stats->look_who_blocks(stats->looks, &blocked)) {
        json_null(text, "blocked");
        return;
    }
    const struct queue_view *view = blocked.by_task ? find_blocker(views, &blocked) : NULL;
    json_open(text, "blocked", '{');
    put_seconds(text, "seconds", blocked.seconds);
    json_text(text, "queue", view != NULL ? view->queue : blocked.by_task ? blocked.queue : NULL);
    json_text(text, "processor", view != NULL ? view->processor : NULL);
    json_text(text, "message_id", blocked.message_id[0] != '\0' ? blocked.message_id : NULL);
    json_unsigned(text, "attempt", blocked.by_task ? blocked.attempt : 0);
    json_close(text, '}');
}

static void put_loop(struct text *text, const struct stats *stats, const struct queue_views *views,
                     double now)
{
    json_open(text, "loop", '{');
    json_boolean(text, "live", silence_of(stats) < STATUS_LIVE_SECONDS);
    put_seconds(text, "lag_seconds", loop_stats_lag(&stats->loop, now));
    put_seconds(text, "lag_max_seconds", atomic_load_explicit(&stats->loop.lag_max, memory_order_relaxed));
    put_blocked(text, stats, views);
    json_close(text, '}');
}

void status_write(struct text *text, struct stats *stats, const char *commit, size_t most_tasks)
{
    double now = clock_monotonic();
    struct queue_views views;
    if (!stats_view_queues(stats, &views)) {
        text->failed = true;
        return;
    }
    json_open(text, NULL, '{');
    put_process(text, stats, commit, now);
    put_loop(text, stats, &views, now);
    put_connections(text, stats);
    put_queues(text, &views);
    put_management(text, stats);
    put_sent(text, stats);
    put_in_flight(text, stats, most_tasks, now);
    json_close(text, '}');
    queue_views_destroy(&views);
}
