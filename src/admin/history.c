#include "history.h"
#include <base/clock.h>
#include <base/memory.h>
#include <string.h>

/* What one step saw of a queue. */
struct step {
    uint32_t settled;
    uint32_t failed; /* attempts */
    uint32_t in_flight;
    uint32_t durations[DURATION_BUCKET_COUNT + 1];
};

struct queue_history {
    struct list link;
    char *queue;
    char *processor;
    struct queue_totals before; /* at the end of the last step */
    uint64_t born;              /* the first step, of history->steps */
    uint64_t seen;              /* the last step in which the queue was there */
    struct step steps[HISTORY_STEPS];
};

void history_init(struct history *history, struct stats *stats, double now)
{
    *history = (struct history){.stats = stats, .next = now + HISTORY_STEP_SECONDS};
    list_init(&history->queues);
}

static void queue_destroy(struct queue_history *queue)
{
    list_remove(&queue->link);
    memory_free(queue->queue);
    memory_free(queue->processor);
    memory_free(queue);
}

void history_destroy(struct history *history)
{
    while (!list_empty(&history->queues))
        queue_destroy(list_entry(history->queues.next, struct queue_history, link));
}

/* --- Sampling -------------------------------------------------------------------------------------------*/

/* Those that were found in this step stand behind the others, in the registry's order, which is that of the
 * last step but for what a reload did: so the first is the one, nearly always. */
static struct queue_history *find_queue(const struct history *history, const struct queue_view *view)
{
    list_each (link, &history->queues) {
        struct queue_history *queue = list_entry(link, struct queue_history, link);
        if (queue->seen == history->steps)
            break;
        if (strcmp(queue->queue, view->queue) == 0 && strcmp(queue->processor, view->processor) == 0)
            return queue;
    }
    return NULL;
}

/* What it counted before it was first seen falls into its first step. */
static struct queue_history *add_queue(struct history *history, const struct queue_view *view)
{
    struct queue_history *queue = memory_allocate_zeroed(sizeof *queue);
    if (queue == NULL)
        return NULL;
    queue->queue = memory_copy_text(view->queue);
    queue->processor = memory_copy_text(view->processor);
    queue->born = history->steps;
    list_init(&queue->link);
    if (queue->queue != NULL && queue->processor != NULL)
        return queue;
    queue_destroy(queue);
    return NULL;
}

/* Counters begin anew where a queue went and came back. */
static uint32_t increase(uint64_t before, uint64_t now)
{
    return (uint32_t)(now >= before ? now - before : now);
}

static uint64_t settled_of(const struct queue_totals *totals)
{
    uint64_t sum = 0;
    for (int i = 0; i < OUTCOME_COUNT; i++)
        sum += totals->outcomes[i];
    return sum;
}

static uint64_t failed_of(const struct queue_totals *totals)
{
    return totals->attempts[ATTEMPT_RETRY] + totals->attempts[ATTEMPT_REJECT] +
           totals->attempts[ATTEMPT_TIMEOUT] + totals->attempts[ATTEMPT_CRASH];
}

static void end_step(struct queue_history *queue, uint64_t number, const struct queue_totals *now)
{
    struct step *step = &queue->steps[number % HISTORY_STEPS];
    step->settled = increase(settled_of(&queue->before), settled_of(now));
    step->failed = increase(failed_of(&queue->before), failed_of(now));
    step->in_flight = (uint32_t)now->in_flight;
    for (int i = 0; i <= DURATION_BUCKET_COUNT; i++)
        step->durations[i] = increase(queue->before.durations[i], now->durations[i]);
    queue->before = *now;
    queue->seen = number;
}

/* Those that a reload has taken out. */
static void forget_the_gone(struct history *history)
{
    for (struct list *link = history->queues.next, *next; link != &history->queues; link = next) {
        struct queue_history *queue = list_entry(link, struct queue_history, link);
        next = link->next;
        if (queue->seen != history->steps)
            queue_destroy(queue);
    }
}

static void sample(struct history *history)
{
    struct queue_views views;
    if (!stats_view_queues(history->stats, &views))
        return;
    for (size_t i = 0; i < views.count; i++) {
        struct queue_history *queue = find_queue(history, &views.items[i]);
        if (queue == NULL)
            queue = add_queue(history, &views.items[i]);
        if (queue == NULL)
            continue;
        end_step(queue, history->steps, &views.items[i].totals);
        list_remove(&queue->link);
        list_append(&history->queues, &queue->link);
    }
    queue_views_destroy(&views);
    forget_the_gone(history);
    history->steps++;
    history->sampled_wall = clock_wall();
}

bool history_tick(struct history *history, double now)
{
    if (now < history->next)
        return false;
    sample(history);
    history->next += HISTORY_STEP_SECONDS;
    if (history->next <= now)
        history->next = now + HISTORY_STEP_SECONDS;
    return true;
}

/* --- Writing --------------------------------------------------------------------------------------------*/

/* The oldest step that is still there. */
static uint64_t first_step(const struct history *history, const struct queue_history *queue)
{
    uint64_t oldest = history->steps > HISTORY_STEPS ? history->steps - HISTORY_STEPS : 0;
    return queue->born > oldest ? queue->born : oldest;
}

/* The member at `offset` of each step. */
static void put_steps(struct text *text, const char *name, const struct history *history,
                      const struct queue_history *queue, size_t offset)
{
    json_open(text, name, '[');
    for (uint64_t i = first_step(history, queue); i < history->steps; i++) {
        const struct step *step = &queue->steps[i % HISTORY_STEPS];
        json_unsigned(text, NULL, *(const uint32_t *)(const void *)((const char *)step + offset));
    }
    json_close(text, ']');
}

static void put_durations(struct text *text, const struct history *history, const struct queue_history *queue)
{
    json_open(text, "durations_before", '[');
    for (int bucket = 0; bucket <= DURATION_BUCKET_COUNT; bucket++) {
        uint64_t since = 0, now = queue->before.durations[bucket];
        for (uint64_t i = first_step(history, queue); i < history->steps; i++)
            since += queue->steps[i % HISTORY_STEPS].durations[bucket];
        json_unsigned(text, NULL, now > since ? now - since : 0);
    }
    json_close(text, ']');
}

static void put_queue(struct text *text, const struct history *history, const struct queue_history *queue)
{
    json_open(text, NULL, '{');
    json_text(text, "queue", queue->queue);
    json_text(text, "processor", queue->processor);
    put_steps(text, "settled", history, queue, offsetof(struct step, settled));
    put_steps(text, "failed", history, queue, offsetof(struct step, failed));
    put_steps(text, "in_flight", history, queue, offsetof(struct step, in_flight));
    put_durations(text, history, queue);
    json_close(text, '}');
}

void history_write(struct text *text, const struct history *history)
{
    char moment[CLOCK_TEXT_SIZE];
    json_open(text, NULL, '{');
    json_unsigned(text, "step_seconds", HISTORY_STEP_SECONDS);
    clock_format(history->sampled_wall, moment);
    json_text(text, "as_of", history->steps > 0 ? moment : NULL);
    json_open(text, "queues", '[');
    list_each (link, &history->queues)
        put_queue(text, history, list_entry(link, struct queue_history, link));
    json_close(text, ']');
    json_close(text, '}');
}
