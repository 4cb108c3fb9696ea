#include "feasible.h"
#include "limits.h"
#include <config/retry.h>
#include <config/units.h>
#include <math.h>
#include <stdio.h>

#define LONGEST_TTL 4294967295.0 /* milliseconds; what RabbitMQ takes as x-message-ttl */

/* One queue that is looked at: its entry in the file, and what was read from it. */
struct subject {
    struct reader *reader;
    const struct place *place;
    const cJSON *object;
    const struct queue_config *queue;
};

static const cJSON *retry_section(const struct subject *subject)
{
    return cJSON_GetObjectItemCaseSensitive(subject->object, "retry");
}

/* Whether nothing was said yet against what the check is about to look at. */
static bool is_sound(const struct subject *subject)
{
    static const char *const own[] = {"name", "type", "timeout", "retry", "arguments"};
    static const char *const of_retry[] = {"attempts", "delay", "backoff", "max_delay", "jitter", "via"};
    for (size_t i = 0; i < COUNT(own); i++)
        if (!reader_is_sound(subject->object, own[i]))
            return false;
    for (size_t i = 0; i < COUNT(of_retry); i++)
        if (!reader_is_sound(retry_section(subject), of_retry[i]))
            return false;
    return subject->queue->name != NULL;
}

/* Says it at queues[i].retry.<key>. */
#define fault_retry(subject, its_key, ...)                                                                   \
    do {                                                                                                     \
        struct place inner = {.outer = (subject)->place, .key = "retry"};                                    \
        reader_fault_key((subject)->reader, &inner, retry_section(subject), its_key, __VA_ARGS__);           \
    } while (0)

/* --- The broker's patience ------------------------------------------------------------------------------*/

static void check_timeout(const struct subject *subject, const char *patience_text)
{
    char timeout[UNITS_TEXT_SIZE];
    duration_format(subject->queue->timeout, timeout);
    reader_fault_key(subject->reader, subject->place, subject->object, "timeout",
                     "an attempt may take %s, and the broker takes a message away that is unacknowledged for "
                     "longer than %s (amqp.consumer_timeout): set at most that, or raise consumer_timeout "
                     "there and here",
                     timeout, patience_text);
}

static void check_retry_in_memory(const struct subject *subject, double patience, const char *patience_text)
{
    const whippet_retry_policy *retry = &subject->queue->retry;
    char hold[UNITS_TEXT_SIZE], timeout[UNITS_TEXT_SIZE], pauses[UNITS_TEXT_SIZE], advice[96] = "";
    double room = (patience - retry_pauses(retry)) / retry->attempts;
    duration_format(retry_longest_hold(subject->queue), hold);
    duration_format(subject->queue->timeout, timeout);
    duration_format(retry_pauses(retry), pauses);
    if (room >= 1) {
        char most[UNITS_TEXT_SIZE];
        duration_format((double)(int64_t)room, most);
        snprintf(advice, sizeof advice, " set \"timeout\" to at most \"%s\", or", most);
    }
    fault_retry(
        subject, "attempts",
        "%u attempts of up to %s and %s of pauses hold a message for up to %s, and the broker takes it "
        "away after %s (amqp.consumer_timeout), with all others of this queue:%s lower attempts or "
        "delay, or set \"retry\": { \"via\": \"broker\" }",
        retry->attempts, timeout, pauses, hold, patience_text, advice);
}

static void check_patience(const struct subject *subject, double consumer_timeout)
{
    double patience = queue_patience(subject->queue, consumer_timeout);
    char text[UNITS_TEXT_SIZE];
    if (patience == INFINITY)
        return;
    duration_format(patience, text);
    if (subject->queue->timeout > patience)
        check_timeout(subject, text);
    else if (retry_longest_hold(subject->queue) > patience)
        check_retry_in_memory(subject, patience, text);
}

/* --- Delay queues ---------------------------------------------------------------------------------------*/

static void check_delays(const struct subject *subject)
{
    const whippet_retry_policy *retry = &subject->queue->retry;
    uint64_t delays[RETRY_QUEUES_MAX];
    char name[RETRY_QUEUE_NAME_SIZE];
    unsigned count = retry_queue_delays(retry, delays);
    if (count == 0)
        return;
    if (count > RETRY_QUEUES_MAX)
        fault_retry(
            subject, "max_delay",
            "the delay grows through %u steps, each a delay queue at the broker, of which %d may be: raise "
            "delay or lower max_delay",
            count, RETRY_QUEUES_MAX);
    else if (delays[0] < 1)
        fault_retry(subject, "delay",
                    "a delay queue keeps a message for 1ms at least; raise it, or set via to \"memory\"");
    else if ((double)delays[count - 1] > LONGEST_TTL)
        fault_retry(subject, retry->backoff == WHIPPET_BACKOFF_EXPONENTIAL ? "max_delay" : "delay",
                    "a delay queue keeps a message for 4294967295 ms (49.7 days) at most; lower it");
    else if (!retry_queue_name(subject->queue->name, delays[count - 1], name))
        reader_fault_key(
            subject->reader, subject->place, subject->object, "name",
            "the delay queue's name, \"<name>.retry.<delay>\", is longer than %d bytes; shorten it, or set "
            "retry.via to \"memory\"",
            LONGEST_NAME);
}

static void check_retry_by_broker(const struct subject *subject)
{
    if (subject->queue->type == QUEUE_TYPE_STREAM)
        fault_retry(
            subject, "via",
            "a stream keeps every message and shows a retried one again to all its readers; set \"memory\"");
    else if (subject->queue->retry.jitter > 0)
        fault_retry(
            subject, "jitter",
            "a delay queue has one fixed delay, which leaves nothing to chance; set 0, or via to \"memory\"");
    else
        check_delays(subject);
}

/* --- The broker's limit of deliveries -------------------------------------------------------------------*/

/* Attempts do not count towards it; each stop of a worker and each lost connection does, in whichever attempt
 * it comes. */
static void check_delivery_limit(const struct subject *subject)
{
    const cJSON *limit = cJSON_GetObjectItemCaseSensitive(subject->queue->arguments, "x-delivery-limit");
    struct place inner = {.outer = subject->place, .key = "arguments"};
    if (!cJSON_IsNumber(limit) || subject->queue->type != QUEUE_TYPE_QUORUM || limit->valuedouble < 0 ||
        limit->valuedouble >= subject->queue->retry.attempts)
        return;
    reader_fault_key(
        subject->reader, &inner, subject->queue->arguments, "x-delivery-limit",
        "%.0f is below the %u attempts of retry.attempts: a message whose worker stops or loses its "
        "connection in as many of them is dropped by the broker%s; raise it to %u or more",
        limit->valuedouble, subject->queue->retry.attempts,
        cJSON_GetObjectItemCaseSensitive(subject->queue->arguments, "x-dead-letter-exchange") == NULL
            ? " without a trace"
            : " into its dead-letter exchange",
        subject->queue->retry.attempts);
}

/* --- Tasks ----------------------------------------------------------------------------------------------*/

size_t config_tasks_reserved(const struct config *config)
{
    size_t reserved = 16 + 3 * config->queue_count;
    for (size_t i = 0; i < config->queue_count; i++)
        reserved += config->queues[i].concurrency;
    return reserved;
}

static void settle_tasks(struct reader *reader, const cJSON *root, struct config *config)
{
    enum {
        SPAWNED_FOR_EACH = 16 /* attempt, where nothing else is said */
    };
    size_t reserved = config_tasks_reserved(config);
    if (!reader_has(root, "max_tasks"))
        config->max_tasks = (unsigned)fmin((double)reserved * (1 + SPAWNED_FOR_EACH), UINT32_MAX);
    else if (reader_is_sound(root, "max_tasks") && config->max_tasks < reserved)
        reader_fault_key(
            reader, NULL, root, "max_tasks",
            "concurrency adds up to %zu tasks, with those of the worker itself: raise max_tasks to that and "
            "to what processors spawn, or lower concurrency",
            reserved);
}

void check_feasible(struct reader *reader, struct config *config)
{
    static const struct place outer = {.key = "queues"};
    const cJSON *root = reader->arena->document.root;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "queues");
    const cJSON *amqp = cJSON_GetObjectItemCaseSensitive(root, "amqp");
    settle_tasks(reader, root, config);
    if (!cJSON_IsArray(list) || !reader_is_sound(amqp, "consumer_timeout"))
        return;
    size_t index = 0;
    for (const cJSON *object = list->child; object != NULL && index < config->queue_count;
         object = object->next) {
        struct place place = {.outer = &outer, .index = index};
        struct subject subject = {
            .reader = reader, .place = &place, .object = object, .queue = &config->queues[index++]};
        if (!cJSON_IsObject(object) || !is_sound(&subject))
            continue;
        check_patience(&subject, config->consumer_timeout);
        check_delivery_limit(&subject);
        if (subject.queue->retry_via == RETRY_VIA_BROKER)
            check_retry_by_broker(&subject);
    }
}
