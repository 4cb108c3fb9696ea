/* What /api/status and /readyz say, as `whippet top` needs it. Nothing in there is trusted: a member that is
 * missing, or of another kind, is "" or NAN. */
#ifndef CMD_TOP_STATUS_H
#define CMD_TOP_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <whippet/types.h>

struct cJSON;

struct top_connection {
    const char *name; /* "consume", "publish", "relay" */
    const char *address;
    bool needed, up, blocked;
    double reconnects;
};

struct top_queue {
    const char *name, *processor, *state;
    const char *error, *error_at; /* of an attempt, the last one; "": none */
    const char *failure;          /* why it is not consumed, the last time it was not */
    double settled;               /* messages, in all ways */
    double in_flight, waiting, retrying, dead_lettered;
    double ready;                /* messages in the broker; NAN: not known */
    const struct cJSON *buckets; /* of the durations of attempts */
};

struct top_task {
    const char *queue, *processor, *message_id, *state;
    double attempt;
    double age; /* seconds: of the attempt, or of the delivery while none is at work */
};

/* Everything texts and buckets point to belongs to `document` and `readiness`. */
struct top_status {
    struct cJSON *document;
    struct cJSON *readiness; /* NULL: unknown */

    const char *version, *host, *time, *started;
    double process, uptime, lag, in_flight;

    struct top_connection *connections;
    size_t connection_count;
    struct top_queue *queues;
    size_t queue_count;
    struct top_task *tasks; /* in the worker's order: the slowest first */
    size_t task_count;
};

/* Reads both documents; `ready` may be empty. NULL when `status` is not what a worker says, or memory is
 * short. */
struct top_status *top_status_read(whippet_bytes status, whippet_bytes ready);
void top_status_destroy(struct top_status *status); /* NULL: nothing */

/* A member of an object (NULL: there is none). */
const char *top_text(const struct cJSON *object, const char *name);
double top_number(const struct cJSON *object, const char *name);
bool top_truth(const struct cJSON *object, const char *name);

#endif
