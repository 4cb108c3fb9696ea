#include <base/clock.h>
#include <base/memory.h>
#include <stats/stats.h>
#include <string.h>

/* --- Names ----------------------------------------------------------------------------------------------*/

const char *subscription_state_name(enum subscription_state state)
{
    static const char *const NAMES[] = {
        [SUBSCRIPTION_IDLE] = "idle",           [SUBSCRIPTION_OPENING] = "opening",
        [SUBSCRIPTION_DECLARING] = "declaring", [SUBSCRIPTION_CONSUMING] = "consuming",
        [SUBSCRIPTION_DRAINING] = "draining",   [SUBSCRIPTION_FAILED] = "failed",
        [SUBSCRIPTION_CLOSED] = "closed",
    };
    return NAMES[state];
}

const char *connection_role_name(enum connection_role role)
{
    static const char *const NAMES[] = {
        [CONNECTION_CONSUME] = "consume",
        [CONNECTION_PUBLISH] = "publish",
        [CONNECTION_RELAY] = "relay",
    };
    return NAMES[role];
}

const char *sending_name(enum sending sending)
{
    static const char *const NAMES[] = {
        [SENDING_DEAD_LETTER] = "dead_letter",
        [SENDING_RETRY] = "retry",
        [SENDING_PUBLICATION] = "publication",
    };
    return NAMES[sending];
}

const char *trace_drop_label(enum trace_drop reason)
{
    static const char *const LABELS[] = {
#define TRACE_DROP_TEXT(name, label) label,
        TRACE_DROPS(TRACE_DROP_TEXT)
#undef TRACE_DROP_TEXT
    };
    return LABELS[reason];
}

/* --- Moments --------------------------------------------------------------------------------------------*/

static void store(_Atomic double *moment, double value)
{
    atomic_store_explicit(moment, value, memory_order_relaxed);
}

static double load(const _Atomic double *moment)
{
    return atomic_load_explicit(moment, memory_order_relaxed);
}

/* --- Coming and going -----------------------------------------------------------------------------------*/

void stats_init(struct stats *stats, const char *version)
{
    memset(stats, 0, sizeof *stats);
    stats->version = version;
    stats->started_at = clock_monotonic();
    stats->started_wall = clock_wall();
    stats->loop.ticked_at = stats->started_at;
    stats->connections[CONNECTION_CONSUME].needed = true;
    stats->connections[CONNECTION_PUBLISH].needed = true;
    list_init(&stats->queues);
    for (size_t i = 0; i < STATS_NAMES; i++)
        list_init(&stats->names[i]);
    pthread_mutex_init(&stats->lock, NULL);
    in_flight_board_init(&stats->board);
}

void stats_destroy(struct stats *stats)
{
    in_flight_board_destroy(&stats->board);
    pthread_mutex_destroy(&stats->lock);
}

/* Which of stats->names has the queues of that name, among few others. */
static size_t bucket_of(const char *name)
{
    uint32_t hash = 2166136261; /* FNV-1a */
    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619;
    return hash % STATS_NAMES;
}

bool stats_add_queue(struct stats *stats, struct queue_stats *queue, const char *name, const char *processor)
{
    queue->queue = memory_copy_text(name);
    queue->processor = memory_copy_text(processor);
    list_init(&queue->link);
    list_init(&queue->namesake);
    if (queue->queue == NULL || queue->processor == NULL) {
        memory_free(queue->queue);
        memory_free(queue->processor);
        queue->queue = NULL;
        queue->processor = NULL;
        return false;
    }
    queue->state_since = clock_monotonic();
    pthread_mutex_lock(&stats->lock);
    list_append(&stats->queues, &queue->link);
    list_append(&stats->names[bucket_of(name)], &queue->namesake);
    stats->queue_count++;
    pthread_mutex_unlock(&stats->lock);
    return true;
}

static bool same_names(const struct queue_stats *a, const struct queue_stats *b)
{
    return strcmp(a->queue, b->queue) == 0 && strcmp(a->processor, b->processor) == 0;
}

/* The oldest entry with the names of that one, which may be it. */
static struct queue_stats *eldest(const struct stats *stats, const struct queue_stats *of)
{
    list_each (link, &stats->names[bucket_of(of->queue)]) {
        struct queue_stats *queue = list_entry(link, struct queue_stats, namesake);
        if (same_names(queue, of))
            return queue;
    }
    return NULL;
}

static void inherit(struct queue_stats *heir, const struct queue_stats *queue)
{
    char error[SHARED_TEXT_SIZE];
    double failed_at = load(&queue->last_error_at);
    queue_counters_inherit(&heir->counters, &queue->counters);
    if (failed_at > load(&heir->last_error_at)) {
        shared_text_get(&queue->last_error, error);
        queue_stats_fail(heir, error, failed_at);
    }
}

void stats_remove_queue(struct stats *stats, struct queue_stats *queue)
{
    if (queue->queue == NULL)
        return;
    pthread_mutex_lock(&stats->lock);
    list_remove(&queue->link);
    list_remove(&queue->namesake);
    stats->queue_count--;
    struct queue_stats *heir = eldest(stats, queue);
    if (heir != NULL)
        inherit(heir, queue);
    pthread_mutex_unlock(&stats->lock);
    memory_free(queue->queue);
    memory_free(queue->processor);
    queue->queue = NULL;
    queue->processor = NULL;
}

/* --- Writing --------------------------------------------------------------------------------------------*/

void queue_stats_enter(struct queue_stats *queue, enum subscription_state state, double now)
{
    if ((enum subscription_state)atomic_load_explicit(&queue->state, memory_order_relaxed) == state)
        return;
    store(&queue->state_since, now);
    atomic_store_explicit(&queue->state, (int)state, memory_order_release);
}

void queue_stats_fail(struct queue_stats *queue, const char *error, double now)
{
    shared_text_set(&queue->last_error, error);
    store(&queue->last_error_at, now);
}

void connection_stats_up(struct connection_stats *connection, const char *address, double now)
{
    shared_text_set(&connection->address, address);
    store(&connection->since, now);
    if (connection->was_lost)
        counter_add(&connection->reconnects, 1);
    counter_add(&connection->epoch, 1);
    atomic_store_explicit(&connection->blocked, false, memory_order_relaxed);
    atomic_store_explicit(&connection->up, true, memory_order_release);
}

void connection_stats_down(struct connection_stats *connection, const char *error, double now)
{
    shared_text_set(&connection->last_error, error);
    atomic_store_explicit(&connection->blocked, false, memory_order_relaxed);
    if (!atomic_exchange_explicit(&connection->up, false, memory_order_release))
        return;
    connection->was_lost = true;
    store(&connection->since, now);
}

void connection_stats_needed(struct connection_stats *connection)
{
    atomic_store_explicit(&connection->needed, true, memory_order_relaxed);
}

void connection_stats_closed(struct connection_stats *connection, double now)
{
    atomic_store_explicit(&connection->needed, false, memory_order_relaxed);
    atomic_store_explicit(&connection->blocked, false, memory_order_relaxed);
    if (atomic_exchange_explicit(&connection->up, false, memory_order_release))
        store(&connection->since, now);
    connection->was_lost = false;
}

static void set_figures(struct broker_figures *figures, const struct broker_numbers *numbers)
{
    if (numbers != NULL) {
        atomic_store_explicit(&figures->ready, numbers->ready, memory_order_relaxed);
        atomic_store_explicit(&figures->unacknowledged, numbers->unacknowledged, memory_order_relaxed);
        atomic_store_explicit(&figures->consumers, numbers->consumers, memory_order_relaxed);
    }
    atomic_store_explicit(&figures->known, numbers != NULL, memory_order_release);
}

void stats_set_broker(struct stats *stats, const char *queue, const struct broker_numbers *numbers)
{
    pthread_mutex_lock(&stats->lock);
    list_each (link, &stats->names[bucket_of(queue)]) {
        struct queue_stats *entry = list_entry(link, struct queue_stats, namesake);
        if (strcmp(entry->queue, queue) == 0)
            set_figures(&entry->broker, numbers);
    }
    pthread_mutex_unlock(&stats->lock);
}

static void forget_figures(struct stats *stats)
{
    pthread_mutex_lock(&stats->lock);
    list_each (link, &stats->queues)
        set_figures(&list_entry(link, struct queue_stats, link)->broker, NULL);
    pthread_mutex_unlock(&stats->lock);
}

void stats_begin_management(struct stats *stats, const char *where)
{
    struct management_stats *management = &stats->management;
    atomic_store_explicit(&management->up, false, memory_order_release);
    shared_text_set(&management->where, where != NULL ? where : "");
    shared_text_set(&management->error, "");
    forget_figures(stats);
    atomic_store_explicit(&management->asked, where != NULL, memory_order_release);
}

void stats_set_management(struct stats *stats, const char *error)
{
    shared_text_set(&stats->management.error, error != NULL ? error : "");
    atomic_store_explicit(&stats->management.up, error == NULL, memory_order_release);
    if (error != NULL)
        forget_figures(stats);
}

void loop_stats_tick(struct loop_stats *loop, double now, double lag)
{
    store(&loop->lag, lag);
    if (lag > load(&loop->lag_max))
        store(&loop->lag_max, lag);
    atomic_store_explicit(&loop->ticked_at, now, memory_order_release);
}

void sending_stats_count(struct sending_stats *sending, bool confirmed)
{
    counter_add(confirmed ? &sending->confirmed : &sending->failed, 1);
}

/* --- Reading --------------------------------------------------------------------------------------------*/

static void view_broker(const struct broker_figures *figures, struct queue_view *view)
{
    view->broker_is_known = atomic_load_explicit(&figures->known, memory_order_acquire);
    view->broker = (struct broker_numbers){.ready = counter_get(&figures->ready),
                                           .unacknowledged = counter_get(&figures->unacknowledged),
                                           .consumers = counter_get(&figures->consumers)};
}

static void view_queue(const struct queue_stats *queue, struct queue_view *view)
{
    queue_counters_read(&queue->counters, &view->totals);
    view->state = (enum subscription_state)atomic_load_explicit(&queue->state, memory_order_acquire);
    view->state_since = load(&queue->state_since);
    view->concurrency = atomic_load_explicit(&queue->concurrency, memory_order_relaxed);
    view->prefetch = atomic_load_explicit(&queue->prefetch, memory_order_relaxed);
    shared_text_get(&queue->failure, view->failure);
    shared_text_get(&queue->last_error, view->last_error);
    view->last_error_at = load(&queue->last_error_at);
    view_broker(&queue->broker, view);
}

/* The newer of the two speaks for the state. */
static void merge_view(struct queue_view *view, const struct queue_view *newer)
{
    struct queue_totals totals = view->totals;
    struct queue_view older = *view;
    queue_totals_add(&totals, &newer->totals);
    *view = *newer;
    view->totals = totals;
    view->queue = older.queue;
    view->processor = older.processor;
    if (older.last_error_at > newer->last_error_at) {
        memcpy(view->last_error, older.last_error, sizeof view->last_error);
        view->last_error_at = older.last_error_at;
    }
}

static const char *put_name(char **at, const char *name)
{
    size_t size = strlen(name) + 1;
    const char *place = memcpy(*at, name, size);
    *at += size;
    return place;
}

static void view_all(struct stats *stats, struct queue_views *views)
{
    char *names = views->names;
    list_each (link, &stats->queues) {
        struct queue_stats *queue = list_entry(link, struct queue_stats, link);
        const struct queue_stats *first = eldest(stats, queue);
        struct queue_view *view = &views->items[views->count];
        view_queue(queue, view);
        if (first != queue) {
            merge_view(&views->items[first->view], view);
            continue;
        }
        view->queue = put_name(&names, queue->queue);
        view->processor = put_name(&names, queue->processor);
        queue->view = views->count++;
    }
}

static size_t names_size(const struct stats *stats)
{
    size_t size = 1;
    list_each (link, &stats->queues) {
        const struct queue_stats *queue = list_entry(link, struct queue_stats, link);
        size += strlen(queue->queue) + strlen(queue->processor) + 2;
    }
    return size;
}

bool stats_view_queues(struct stats *stats, struct queue_views *views)
{
    *views = (struct queue_views){0};
    pthread_mutex_lock(&stats->lock);
    views->items = memory_allocate((stats->queue_count + 1) * sizeof *views->items);
    views->names = memory_allocate(names_size(stats));
    bool made = views->items != NULL && views->names != NULL;
    if (made)
        view_all(stats, views);
    pthread_mutex_unlock(&stats->lock);
    if (!made)
        queue_views_destroy(views);
    return made;
}

void queue_views_destroy(struct queue_views *views)
{
    memory_free(views->items);
    memory_free(views->names);
    *views = (struct queue_views){0};
}

static bool is_newest(const struct stats *stats, const struct queue_stats *queue)
{
    const struct list *all = &stats->names[bucket_of(queue->queue)];
    for (const struct list *link = queue->namesake.next; link != all; link = link->next) {
        if (same_names(list_entry(link, struct queue_stats, namesake), queue))
            return false;
    }
    return true;
}

struct queue_counts stats_count_queues(const struct stats *stats)
{
    struct queue_counts counts = {0};
    list_each (link, &stats->queues) {
        const struct queue_stats *queue = list_entry(link, struct queue_stats, link);
        counts.in_flight += queue_counters_in_flight(&queue->counters);
        if (!is_newest(stats, queue))
            continue;
        counts.queues++;
        counts.consuming +=
            atomic_load_explicit(&queue->state, memory_order_relaxed) == SUBSCRIPTION_CONSUMING;
    }
    return counts;
}

double loop_stats_lag(const struct loop_stats *loop, double now)
{
    double silence = now - load(&loop->ticked_at) - STATS_TICK_SECONDS;
    double lag = load(&loop->lag);
    return silence > lag ? silence : lag;
}
