#include "metrics.h"
#include "metrics_process.h"
#include "metrics_writer.h"
#include <base/clock.h>
#include <base/memory.h>
#include <stdio.h>
#include <string.h>

/* --- Which format ---------------------------------------------------------------------------------------*/

/* A client that can read it asks for it by name. Prometheus prefers it to the older one by default. */
enum metrics_format metrics_choose_format(const char *accept)
{
    bool asked = accept != NULL && strstr(accept, "application/openmetrics-text") != NULL;
    return asked ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
}

const char *metrics_content_type(enum metrics_format format)
{
    return format == METRICS_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                         : "text/plain; version=0.0.4; charset=utf-8";
}

/* --- Queues ---------------------------------------------------------------------------------------------*/

/* The queues, each with its labels written out once. */
struct page {
    struct metrics metrics;
    struct queue_views views;
    struct text labels; /* one text after the other, each with its NUL */
};

static const char *labels_after(const char *labels)
{
    return labels + strlen(labels) + 1;
}

#define each_queue(view, its_labels, page)                                                                   \
    const char *its_labels = (const char *)buffer_begin(&(page)->labels.buffer);                             \
    for (const struct queue_view *view = (page)->views.items;                                                \
         view < (page)->views.items + (page)->views.count; view++, its_labels = labels_after(its_labels))

static void write_labels(struct page *page)
{
    for (size_t i = 0; i < page->views.count; i++) {
        label_append(&page->labels, "queue", page->views.items[i].queue);
        label_append(&page->labels, "processor", page->views.items[i].processor);
        if (!page->labels.failed && !buffer_append(&page->labels.buffer, "", 1))
            page->labels.failed = true;
    }
}

/* Room for all that is to come, so that the page is not copied from one memory into a larger again and again.
 * Only a guess: what does not fit makes it grow. */
static void reserve_page(struct page *page)
{
    enum {
        REST = 16 * 1024,
        SAMPLES = 46,    /* of a queue */
        SAMPLE_SIZE = 64 /* of each, without its labels */
    };
    size_t samples = page->views.count * SAMPLES;
    text_reserve(page->metrics.text,
                 REST + samples * SAMPLE_SIZE + SAMPLES * buffer_length(&page->labels.buffer));
}

typedef uint64_t queue_figure(const struct queue_view *view);

static void write_figures(struct page *page, const char *name, const char *type, const char *help,
                          queue_figure *figure)
{
    const char *suffix = strcmp(type, "counter") == 0 ? "_total" : "";
    metrics_begin(&page->metrics, name, type, help);
    each_queue(view, labels, page) metrics_unsigned(&page->metrics, suffix, labels, NULL, figure(view));
}

static uint64_t consumed(const struct queue_view *view)
{
    return view->totals.consumed;
}

static uint64_t in_flight(const struct queue_view *view)
{
    return view->totals.in_flight;
}

static uint64_t waiting(const struct queue_view *view)
{
    return view->totals.phases[PHASE_WAITING];
}

static uint64_t running(const struct queue_view *view)
{
    return view->totals.phases[PHASE_RUNNING];
}

static uint64_t retrying(const struct queue_view *view)
{
    return view->totals.phases[PHASE_RETRYING];
}

static uint64_t concurrency(const struct queue_view *view)
{
    return view->concurrency;
}

static uint64_t prefetch(const struct queue_view *view)
{
    return view->prefetch;
}

static uint64_t stale(const struct queue_view *view)
{
    return view->totals.stale_settlements;
}

static void write_outcomes(struct page *page)
{
    struct pair outcomes[OUTCOME_COUNT];
    for (int i = 0; i < OUTCOME_COUNT; i++)
        outcomes[i] = pair_of("outcome", delivery_outcome_label(i));
    metrics_begin(
        &page->metrics, "whippet_settled", "counter",
        "Deliveries that have ended, by how. Their sum and whippet_in_flight are what was consumed.");
    each_queue(view, labels, page)
    {
        for (int i = 0; i < OUTCOME_COUNT; i++)
            metrics_unsigned(&page->metrics, "_total", labels, outcomes[i].text, view->totals.outcomes[i]);
    }
}

static void write_failures(struct page *page)
{
    struct pair reasons[FAILURE_REASON_COUNT];
    for (int i = 0; i < FAILURE_REASON_COUNT; i++)
        reasons[i] = pair_of("reason", failure_reason_label(i));
    metrics_begin(&page->metrics, "whippet_failed", "counter",
                  "Messages that failed for good, by why. Their sum is what was dead-lettered or discarded.");
    each_queue(view, labels, page)
    {
        for (int i = 0; i < FAILURE_REASON_COUNT; i++)
            metrics_unsigned(&page->metrics, "_total", labels, reasons[i].text, view->totals.failures[i]);
    }
}

static void write_results(struct page *page)
{
    struct pair results[ATTEMPT_RESULT_COUNT];
    for (int i = 0; i < ATTEMPT_RESULT_COUNT; i++)
        results[i] = pair_of("result", attempt_result_label(i));
    metrics_begin(&page->metrics, "whippet_attempts", "counter", "Attempts that have ended, by how.");
    each_queue(view, labels, page)
    {
        for (int i = 0; i < ATTEMPT_RESULT_COUNT; i++)
            metrics_unsigned(&page->metrics, "_total", labels, results[i].text, view->totals.attempts[i]);
    }
}

/* OpenMetrics wants its bounds as floats, with a point in each. */
static struct pair bound_pair(enum metrics_format format, double bound)
{
    char number[32];
    snprintf(number, sizeof number, format == METRICS_OPENMETRICS && bound >= 1 ? "%.1f" : "%g", bound);
    return pair_of("le", number);
}

static void write_histogram(struct metrics *metrics, const struct pair *bounds, const char *labels,
                            const struct queue_totals *totals)
{
    uint64_t below = 0;
    for (int i = 0; i < DURATION_BUCKET_COUNT; i++) {
        below += totals->durations[i];
        metrics_unsigned(metrics, "_bucket", labels, bounds[i].text, below);
    }
    below += totals->durations[DURATION_BUCKET_COUNT];
    metrics_unsigned(metrics, "_bucket", labels, "le=\"+Inf\"", below);
    metrics_seconds(metrics, "_sum", labels, NULL, totals->duration_nanoseconds);
    metrics_unsigned(metrics, "_count", labels, NULL, below);
}

static void write_durations(struct page *page)
{
    struct pair bounds[DURATION_BUCKET_COUNT];
    for (int i = 0; i < DURATION_BUCKET_COUNT; i++)
        bounds[i] = bound_pair(page->metrics.format, DURATION_BOUNDS[i]);
    metrics_begin(&page->metrics, "messaging_process_duration_seconds", "histogram",
                  "How long attempts took, in seconds.");
    each_queue(view, labels, page) write_histogram(&page->metrics, bounds, labels, &view->totals);
}

static uint64_t to_milliseconds(double seconds)
{
    return (uint64_t)(seconds * 1e3 + 0.5);
}

/* A queue without a delivery has no such sample. */
static void write_last_delivery(struct page *page)
{
    double to_wall = clock_wall() - clock_monotonic();
    metrics_begin(&page->metrics, "whippet_last_delivery_timestamp_seconds", "gauge",
                  "When the last message came, in seconds since 1970.");
    each_queue(view, labels, page)
    {
        if (view->totals.last_delivery > 0)
            metrics_seconds(&page->metrics, "", labels, NULL,
                            to_milliseconds(view->totals.last_delivery + to_wall) * 1000000);
    }
}

/* What a reload or a stop has told to end has no such sample: it is as it should be, and 0 would raise an
 * alarm. */
static void write_up(struct page *page)
{
    metrics_begin(&page->metrics, "whippet_subscription_up", "gauge",
                  "1 while the queue is consumed; absent once it was told to end.");
    each_queue(view, labels, page)
    {
        if (view->state != SUBSCRIPTION_DRAINING && view->state != SUBSCRIPTION_CLOSED)
            metrics_unsigned(&page->metrics, "", labels, NULL, view->state == SUBSCRIPTION_CONSUMING);
    }
}

static uint64_t broker_ready(const struct queue_view *view)
{
    return view->broker.ready;
}

static uint64_t broker_unacknowledged(const struct queue_view *view)
{
    return view->broker.unacknowledged;
}

static uint64_t broker_consumers(const struct queue_view *view)
{
    return view->broker.consumers;
}

/* What the management API does not tell, or is not asked, has no sample. */
static void write_broker_figure(struct page *page, const char *name, const char *help, queue_figure *figure)
{
    metrics_begin(&page->metrics, name, "gauge", help);
    each_queue(view, labels, page)
    {
        if (view->broker_is_known)
            metrics_unsigned(&page->metrics, "", labels, NULL, figure(view));
    }
}

static void write_broker(struct page *page, const struct stats *stats)
{
    write_broker_figure(page, "whippet_broker_messages_ready", "Messages that wait in the broker.",
                        broker_ready);
    write_broker_figure(page, "whippet_broker_messages_unacknowledged",
                        "Messages that the broker has handed to any consumer.", broker_unacknowledged);
    write_broker_figure(page, "whippet_broker_consumers", "Consumers that the queue has, of anybody.",
                        broker_consumers);
    metrics_begin(&page->metrics, "whippet_management_up", "gauge",
                  "Whether the broker's management API answers.");
    if (atomic_load_explicit(&stats->management.asked, memory_order_acquire))
        metrics_unsigned(&page->metrics, "", "", NULL,
                         atomic_load_explicit(&stats->management.up, memory_order_acquire));
}

static void write_queues(struct page *page)
{
    write_figures(page, "messaging_client_consumed_messages", "counter",
                  "Messages that the broker delivered.", consumed);
    write_outcomes(page);
    write_failures(page);
    write_figures(page, "whippet_in_flight", "gauge", "Messages delivered and not settled yet.", in_flight);
    write_figures(page, "whippet_waiting", "gauge", "Of those in flight: waiting for a slot.", waiting);
    write_figures(page, "whippet_running", "gauge",
                  "Of those in flight: at work, or on their way to the dead-letter queue.", running);
    write_figures(page, "whippet_retrying", "gauge", "Of those in flight: between two attempts.", retrying);
    write_results(page);
    write_durations(page);
    write_figures(page, "whippet_stale_settlements", "counter",
                  "Verdicts that came after their channel had gone; the broker delivers such messages again.",
                  stale);
    write_figures(page, "whippet_concurrency_limit", "gauge", "The most attempts that may run at once.",
                  concurrency);
    write_figures(page, "whippet_prefetch", "gauge", "The most messages that may be in flight.", prefetch);
    write_up(page);
    write_last_delivery(page);
}

/* --- Connections and the rest ---------------------------------------------------------------------------*/

typedef uint64_t connection_figure(const struct connection_stats *connection);

static uint64_t connection_up(const struct connection_stats *connection)
{
    return atomic_load_explicit(&connection->up, memory_order_acquire);
}

static uint64_t connection_blocked(const struct connection_stats *connection)
{
    return atomic_load_explicit(&connection->blocked, memory_order_relaxed);
}

static uint64_t connection_reconnects(const struct connection_stats *connection)
{
    return counter_get(&connection->reconnects);
}

static void write_connection_figure(struct metrics *metrics, const struct stats *stats, const char *name,
                                    const char *type, const char *help, connection_figure *figure)
{
    bool counts = strcmp(type, "counter") == 0;
    metrics_begin(metrics, name, type, help);
    for (int i = 0; i < CONNECTION_ROLES; i++) {
        const struct connection_stats *connection = &stats->connections[i];
        if (!counts && !atomic_load_explicit(&connection->needed, memory_order_relaxed))
            continue;
        metrics_unsigned(metrics, counts ? "_total" : "", "",
                         pair_of("connection", connection_role_name(i)).text, figure(connection));
    }
}

static void write_connections(struct metrics *metrics, const struct stats *stats)
{
    write_connection_figure(metrics, stats, "whippet_connection_up", "gauge",
                            "1 while the connection to the broker is open.", connection_up);
    write_connection_figure(metrics, stats, "whippet_connection_blocked", "gauge",
                            "1 while the broker takes no messages because of an alarm.", connection_blocked);
    write_connection_figure(metrics, stats, "whippet_reconnects", "counter",
                            "How often the connection was lost and came back.", connection_reconnects);
}

static void write_sent(struct metrics *metrics, const struct stats *stats)
{
    metrics_begin(metrics, "messaging_client_sent_messages", "counter",
                  "Messages sent to the broker, by what for and whether it confirmed them.");
    for (int i = 0; i < SENDING_COUNT; i++) {
        struct pair purpose = pair_of("purpose", sending_name(i));
        metrics_unsigned(metrics, "_total", purpose.text, "outcome=\"confirmed\"",
                         counter_get(&stats->sent[i].confirmed));
        metrics_unsigned(metrics, "_total", purpose.text, "outcome=\"failed\"",
                         counter_get(&stats->sent[i].failed));
    }
}

static void write_traces(struct metrics *metrics, const struct trace_stats *traces)
{
    metrics_begin(metrics, "whippet_trace_spans_exported", "counter", "Spans that the collector has taken.");
    metrics_unsigned(metrics, "_total", "", NULL, counter_get(&traces->exported));
    metrics_begin(metrics, "whippet_trace_spans_dropped", "counter",
                  "Spans that never came to the collector, by why.");
    for (int i = 0; i < TRACE_DROP_COUNT; i++)
        metrics_unsigned(metrics, "_total", "", pair_of("reason", trace_drop_label(i)).text,
                         counter_get(&traces->dropped[i]));
}

static void write_build(struct metrics *metrics, const struct stats *stats, const char *commit)
{
    struct text labels;
    text_init(&labels);
    label_append(&labels, "version", stats->version);
    label_append(&labels, "commit", commit);
    if (!labels.failed && buffer_append(&labels.buffer, "", 1)) {
        metrics_begin(metrics, "whippet_build_info", "gauge", "1; the labels say what was built.");
        metrics_unsigned(metrics, "", (const char *)buffer_begin(&labels.buffer), NULL, 1);
    } else {
        metrics->text->failed = true;
    }
    text_destroy(&labels);
}

void metrics_write(struct text *text, struct stats *stats, const char *commit, enum metrics_format format)
{
    struct page page = {.metrics = {.text = text, .format = format}};
    text_init(&page.labels);
    if (!stats_view_queues(stats, &page.views)) {
        text->failed = true;
        return;
    }
    write_labels(&page);
    reserve_page(&page);
    if (page.labels.failed)
        text->failed = true;
    else
        write_queues(&page);
    if (!text->failed)
        write_broker(&page, stats);
    write_connections(&page.metrics, stats);
    write_sent(&page.metrics, stats);
    write_traces(&page.metrics, &stats->traces);
    metrics_begin(&page.metrics, "whippet_loop_lag_seconds", "gauge",
                  "How late the event loop is, in seconds.");
    metrics_double(&page.metrics, "", "", NULL, loop_stats_lag(&stats->loop, clock_monotonic()));
    write_build(&page.metrics, stats, commit);
    metrics_write_process(&page.metrics, stats->started_wall);
    metrics_end(&page.metrics);
    text_destroy(&page.labels);
    queue_views_destroy(&page.views);
}
