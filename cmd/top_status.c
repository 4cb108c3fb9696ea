#include "top_status.h"
#include <base/memory.h>
#include <cjson/cJSON.h>
#include <math.h>

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

const char *top_text(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(member(object, name));
    return text != NULL ? text : "";
}

double top_number(const cJSON *object, const char *name)
{
    const cJSON *number = member(object, name);
    return cJSON_IsNumber(number) ? number->valuedouble : NAN;
}

bool top_truth(const cJSON *object, const char *name)
{
    return cJSON_IsTrue(member(object, name)) != 0;
}

/* --- Parts ----------------------------------------------------------------------------------------------*/

static void read_connection(void *part, const cJSON *object)
{
    *(struct top_connection *)part = (struct top_connection){
        .name = top_text(object, "connection"),
        .address = top_text(object, "address"),
        .needed = top_truth(object, "needed"),
        .up = top_truth(object, "up"),
        .blocked = top_truth(object, "blocked"),
        .reconnects = top_number(object, "reconnects"),
    };
}

static double sum_of(const cJSON *object)
{
    const cJSON *item;
    double sum = 0;
    cJSON_ArrayForEach(item, object) sum += cJSON_IsNumber(item) ? item->valuedouble : 0;
    return sum;
}

static void read_queue(void *part, const cJSON *object)
{
    const cJSON *settled = member(object, "settled"), *error = member(object, "last_error");
    *(struct top_queue *)part = (struct top_queue){
        .name = top_text(object, "queue"),
        .processor = top_text(object, "processor"),
        .state = top_text(object, "state"),
        .error = top_text(error, "text"),
        .error_at = top_text(error, "at"),
        .failure = top_text(member(object, "failure"), "text"),
        .settled = sum_of(settled),
        .in_flight = top_number(object, "in_flight"),
        .waiting = top_number(object, "waiting"),
        .retrying = top_number(object, "retrying"),
        .dead_lettered = top_number(settled, "dead_lettered"),
        .ready = top_number(member(object, "broker"), "ready"),
        .buckets = member(member(object, "durations"), "buckets"),
    };
}

static void read_task(void *part, const cJSON *object)
{
    double attempt_age = top_number(object, "attempt_age_seconds");
    *(struct top_task *)part = (struct top_task){
        .queue = top_text(object, "queue"),
        .processor = top_text(object, "processor"),
        .message_id = top_text(object, "message_id"),
        .state = top_text(object, "state"),
        .attempt = top_number(object, "attempt"),
        .age = fmax(0, isnan(attempt_age) ? top_number(object, "age_seconds") : attempt_age),
    };
}

/* Reads the elements of `list` with `read`, each into `size` bytes of memory that is owned by the caller;
 * false when memory is short. */
static bool read_list(const cJSON *list, size_t size, void (*read)(void *, const cJSON *), void **parts,
                      size_t *count)
{
    const cJSON *object;
    size_t length = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : 0;
    if (length == 0)
        return true;
    char *at = *parts = memory_allocate(length * size);
    if (at == NULL)
        return false;
    cJSON_ArrayForEach(object, list)
    {
        read(at, object);
        at += size;
    }
    *count = length;
    return true;
}

/* --- The whole ------------------------------------------------------------------------------------------*/

static bool read_lists(struct top_status *status)
{
    const cJSON *document = status->document;
    void *connections = NULL, *queues = NULL, *tasks = NULL;
    bool whole = read_list(member(document, "connections"), sizeof *status->connections, read_connection,
                           &connections, &status->connection_count) &&
                 read_list(member(document, "queues"), sizeof *status->queues, read_queue, &queues,
                           &status->queue_count) &&
                 read_list(member(member(document, "in_flight"), "tasks"), sizeof *status->tasks, read_task,
                           &tasks, &status->task_count);
    status->connections = connections;
    status->queues = queues;
    status->tasks = tasks;
    return whole;
}

static void read_process(struct top_status *status)
{
    const cJSON *document = status->document;
    status->version = top_text(document, "version");
    status->host = top_text(document, "host");
    status->time = top_text(document, "time");
    status->started = top_text(document, "started");
    status->process = top_number(document, "process");
    status->uptime = top_number(document, "uptime_seconds");
    status->lag = top_number(member(document, "loop"), "lag_seconds");
    status->in_flight = top_number(member(document, "in_flight"), "count");
}

struct top_status *top_status_read(whippet_bytes text, whippet_bytes ready)
{
    struct top_status *status = memory_allocate_zeroed(sizeof *status);
    if (status == NULL)
        return NULL;
    status->document = cJSON_ParseWithLength(text.data, text.len);
    status->readiness = ready.len > 0 ? cJSON_ParseWithLength(ready.data, ready.len) : NULL;
    if (cJSON_IsArray(member(status->document, "queues")) && read_lists(status)) {
        read_process(status);
        return status;
    }
    top_status_destroy(status);
    return NULL;
}

void top_status_destroy(struct top_status *status)
{
    if (status == NULL)
        return;
    memory_free(status->connections);
    memory_free(status->queues);
    memory_free(status->tasks);
    cJSON_Delete(status->document);
    cJSON_Delete(status->readiness);
    memory_free(status);
}
