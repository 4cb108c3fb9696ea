/* What `check --broker` asks, and what the answers mean where that is the same for all. */
#ifndef CMD_CHECK_ASKING_H
#define CMD_CHECK_ASKING_H

#include "broker_link.h"
#include "check_broker.h"
#include "findings.h"
#include <base/buffer.h>

enum {
    ACCESS_REFUSED = 403,
    NOT_FOUND = 404,
    RESOURCE_LOCKED = 405,
    PRECONDITION_FAILED = 406,
};

static const double REQUEST_SECONDS = 10;

extern const char FIX_OVERLOAD[];

struct check {
    const struct config *config;
    const struct check_request *request;
    struct broker_link *link;
    struct findings findings;
    struct channel channel;        /* opened anew after each refusal */
    char grant[FINDING_TEXT_SIZE]; /* the command that gives the user all permissions */
};

/* 0 with `check->channel` open; or an error. */
int check_open_channel(whippet_task *task, struct check *check);

/* The broker's words for a request that failed. */
const char *check_words(const struct check *check, int error);

/* Says what a refused request means, where that is the same for all. */
void check_add_refusal(struct check *check, const char *queue, const char *what, const char *name, int error);

/* 1: there is; 0: there is none; below: a refusal, which was added. */
int check_queue_exists(whippet_task *task, struct check *check, const char *queue, const char *name);

/* False after it said that the worker could not make the queue `name`, which is missing; `arguments` are
 * those it would have, encoded; NULL: none that take a permission. Takes them. */
bool check_may_declare(whippet_task *task, struct check *check, const char *queue, const char *name,
                       struct buffer *arguments);

/* What belongs to a queue: its bindings and their exchanges, its dead-letter queue, its delay queues. */
void check_belongings(whippet_task *task, struct check *check, const struct queue_config *queue);

/* Whether dead letters may be published. */
void check_may_publish(whippet_task *task, struct check *check);

#endif
