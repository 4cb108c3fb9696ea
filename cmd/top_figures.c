#include "top_figures.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

static const double RATE_SECONDS = 5; /* that a rate is taken over, at most */

enum {
    BUCKETS_MOST = 64
};

/* Durations of attempts, counted by the bounds they stayed below. */
struct histogram {
    double counts[BUCKETS_MOST];
    double bounds[BUCKETS_MOST]; /* INFINITY: none */
    size_t length;
};

void top_figures_init(struct top_figures *figures)
{
    *figures = (struct top_figures){0};
}

static void forget(struct top_figures *figures)
{
    for (size_t i = 0; i < TOP_PAST; i++) {
        top_status_destroy(figures->past[i]);
        figures->past[i] = NULL;
    }
}

void top_figures_destroy(struct top_figures *figures)
{
    forget(figures);
    cJSON_Delete(figures->history);
}

void top_figures_add(struct top_figures *figures, struct top_status *status)
{
    const struct top_status *before = figures->past[0];
    if (before != NULL && strcmp(before->started, status->started) != 0) {
        forget(figures);
        cJSON_Delete(figures->history);
        figures->history = NULL;
    }
    top_status_destroy(figures->past[TOP_PAST - 1]);
    memmove(figures->past + 1, figures->past, (TOP_PAST - 1) * sizeof figures->past[0]);
    figures->past[0] = status;
}

void top_figures_take_history(struct top_figures *figures, whippet_bytes text)
{
    cJSON *history = cJSON_ParseWithLength(text.data, text.len);
    if (history == NULL)
        return;
    cJSON_Delete(figures->history);
    figures->history = history;
}

const struct top_status *top_figures_status(const struct top_figures *figures)
{
    return figures->past[0];
}

/* --- Rates ----------------------------------------------------------------------------------------------*/

static bool is_same(const struct top_queue *a, const struct top_queue *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->processor, b->processor) == 0;
}

/* The queue in another status, where it mostly has the same place; NULL: there is none, or it counts anew. */
static const struct top_queue *find_in(const struct top_status *status, const struct top_queue *queue,
                                       size_t index)
{
    const struct top_queue *found = NULL;
    if (index < status->queue_count && is_same(&status->queues[index], queue))
        found = &status->queues[index];
    for (size_t i = 0; found == NULL && i < status->queue_count; i++)
        found = is_same(&status->queues[i], queue) ? &status->queues[i] : NULL;
    return found != NULL && found->settled <= queue->settled ? found : NULL;
}

/* From the oldest status that is not too old; NAN: there is none. */
static double rate_between(const struct top_figures *figures, const struct top_queue *queue, size_t index)
{
    for (size_t i = TOP_PAST - 1; i > 0; i--) {
        const struct top_status *past = figures->past[i];
        double elapsed = past != NULL ? figures->past[0]->uptime - past->uptime : 0;
        if (!(elapsed > 0 && elapsed <= RATE_SECONDS + 1))
            continue;
        const struct top_queue *then = find_in(past, queue, index);
        if (then != NULL)
            return (queue->settled - then->settled) / elapsed;
    }
    return NAN;
}

static double rate_of_last_step(const struct top_figures *figures, const cJSON *history)
{
    const cJSON *settled = cJSON_GetObjectItemCaseSensitive(history, "settled");
    const cJSON *last = cJSON_GetArrayItem(settled, cJSON_GetArraySize(settled) - 1);
    double seconds = top_number(figures->history, "step_seconds");
    return cJSON_IsNumber(last) && seconds > 0 ? last->valuedouble / seconds : NAN;
}

/* --- Durations ------------------------------------------------------------------------------------------*/

static struct histogram read_histogram(const struct top_queue *queue)
{
    struct histogram histogram = {.length = 0};
    const cJSON *bucket;
    cJSON_ArrayForEach(bucket, queue->buckets)
    {
        double bound = top_number(bucket, "up_to_seconds"), count = top_number(bucket, "count");
        if (histogram.length == BUCKETS_MOST || !(count >= 0))
            break;
        histogram.bounds[histogram.length] = isnan(bound) ? INFINITY : bound;
        histogram.counts[histogram.length++] = count;
    }
    return histogram;
}

/* Takes off what had been counted before; nothing where counters began anew since. */
static void subtract(struct histogram *histogram, const cJSON *before)
{
    struct histogram since = *histogram;
    const cJSON *count = before != NULL ? before->child : NULL;
    for (size_t i = 0; i < since.length && count != NULL; i++, count = count->next) {
        since.counts[i] -= count->valuedouble;
        if (!(since.counts[i] >= 0))
            return;
    }
    *histogram = since;
}

/* The duration that `share` of the attempts stayed below, taken as evenly spread within a bucket, as
 * Prometheus does. NAN: there were no attempts. `open` says that it is longer than what is returned. */
static double percentile(const struct histogram *histogram, double share, bool *open)
{
    double all = 0, below = 0, low = 0;
    for (size_t i = 0; i < histogram->length; i++)
        all += histogram->counts[i];
    *open = false;
    if (!(all > 0))
        return NAN;
    for (size_t i = 0; i < histogram->length && isfinite(histogram->bounds[i]); i++) {
        double count = histogram->counts[i], bound = histogram->bounds[i];
        if (count > 0 && below + count >= share * all)
            return low + (bound - low) * (share * all - below) / count;
        below += count;
        low = bound;
    }
    *open = true;
    return low;
}

/* --- One queue ------------------------------------------------------------------------------------------*/

/* Its entry in the history; NULL: none. */
static const cJSON *find_history(const struct top_figures *figures, const struct top_queue *queue)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(figures->history, "queues"))
    {
        if (strcmp(top_text(entry, "queue"), queue->name) == 0 &&
            strcmp(top_text(entry, "processor"), queue->processor) == 0)
            return entry;
    }
    return NULL;
}

struct queue_figures top_figures_of(const struct top_figures *figures, size_t index)
{
    const struct top_queue *queue = &figures->past[0]->queues[index];
    const cJSON *history = find_history(figures, queue);
    struct histogram histogram = read_histogram(queue);
    struct queue_figures result = {.rate = rate_between(figures, queue, index)};
    if (isnan(result.rate))
        result.rate = rate_of_last_step(figures, history);
    subtract(&histogram, cJSON_GetObjectItemCaseSensitive(history, "durations_before"));
    result.p50 = percentile(&histogram, 0.5, &result.p50_open);
    result.p95 = percentile(&histogram, 0.95, &result.p95_open);
    result.p99 = percentile(&histogram, 0.99, &result.p99_open);
    return result;
}
