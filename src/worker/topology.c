/* What must exist at the broker before a queue can be consumed. Everything is looked for first and declared
 * only when it is missing, so that what exists with other arguments is used as it is, and is no error
 * (celery/celery#6509). */
#include "worker_internal.h"
#include <base/memory.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <worker/arguments.h>
#include <worker/delay_queue.h>

static const double REQUEST_SECONDS = 10;
static const char DELIVERY_LIMIT[] = "x-delivery-limit";

enum {
    AMQP_NOT_FOUND = 404
};

/* Declarations fail by closing their channel, so they have one of their own that is opened anew when needed.
 */
struct declarer {
    whippet_task *task;
    struct connection *connection;
    struct channel channel;
    struct whippet_failure *failure;
};

static const struct channel_handlers NO_HANDLERS = {0};

static int declarer_open(struct declarer *declarer)
{
    if (declarer->channel.is_open)
        return 0;
    int error = channel_open(declarer->task, &declarer->channel, declarer->connection, &NO_HANDLERS, declarer,
                             REQUEST_SECONDS);
    if (error != 0)
        failure_set(declarer->failure, error, "opening a channel: %s",
                    channel_error_text(&declarer->channel, error));
    return error;
}

/* What a failed request comes to; `what` and `name` say what it was about, `advice` what to do. */
static int declarer_fail(struct declarer *declarer, int error, const char *what, const char *name,
                         const char *advice)
{
    channel_abandon(&declarer->channel);
    return failure_set(declarer->failure, error, "%s \"%s\": %s%s", what, name,
                       channel_error_text(&declarer->channel, error), advice);
}

static const char *declare_advice(const struct declarer *declarer)
{
    switch (declarer->channel.closed_code) {
    case 403:
        return "; grant the user configure, write and read permission on it (rabbitmqctl set_permissions)";
    case 406: return "; it exists with other arguments: use \"declare\": \"if-missing\", or delete it";
    default: return "";
    }
}

/* 1: it is there. 0: it is not. Below: an error. */
static int queue_exists(struct declarer *declarer, const char *queue)
{
    struct queue_declaration look = {.queue = queue, .passive = true};
    int error = declarer_open(declarer);
    if (error != 0)
        return error;
    error = channel_queue_declare(declarer->task, &declarer->channel, &look, REQUEST_SECONDS);
    if (error == 0)
        return 1;
    if (declarer->channel.closed_code == AMQP_NOT_FOUND)
        return 0;
    return declarer_fail(declarer, error, "queue", queue, declare_advice(declarer));
}

static const char *queue_type_name(enum queue_type type)
{
    switch (type) {
    case QUEUE_TYPE_CLASSIC: return "classic";
    case QUEUE_TYPE_STREAM: return "stream";
    default: return "quorum";
    }
}

/* From 4.0 RabbitMQ drops a message of a quorum queue at its 21st return, and counts each stop of a worker
 * and each lost connection as one, however the message comes back (docs/guarantees.md). */
static bool drops_what_returns(const struct connection *connection)
{
    const struct session *session = connection_session(connection);
    unsigned major = 0;
    return session != NULL && sscanf(session_server(session), "RabbitMQ %u.", &major) == 1 && major >= 4;
}

/* Whether a queue that is made for want of one is to be told that it may return messages as often as it
 * must. */
static bool wants_no_limit(const struct declarer *declarer, enum queue_type type,
                           const struct cJSON *arguments)
{
    return type == QUEUE_TYPE_QUORUM && drops_what_returns(declarer->connection) &&
           cJSON_GetObjectItemCaseSensitive(arguments, DELIVERY_LIMIT) == NULL;
}

/* `exactly`: with these arguments and none of ours beyond the type. */
static int queue_declare(struct declarer *declarer, const char *queue, enum queue_type type,
                         const struct cJSON *arguments, bool exactly)
{
    struct buffer entries;
    bool limitless = !exactly && wants_no_limit(declarer, type, arguments);
    buffer_init(&entries);
    int error = declarer_open(declarer);
    if (error == 0 &&
        (!table_add_text(&entries, bytes_of_text("x-queue-type"), bytes_of_text(queue_type_name(type))) ||
         (limitless && !table_add_integer(&entries, bytes_of_text(DELIVERY_LIMIT), -1))))
        error = failure_set(declarer->failure, WHIPPET_E_MEMORY, "queue \"%s\": out of memory", queue);
    if (error == 0 && (error = arguments_write(&entries, arguments)) != 0)
        failure_set(declarer->failure, error, "queue \"%s\": its arguments: %s", queue,
                    whippet_error_text(error));
    if (error == 0) {
        struct queue_declaration declaration = {
            .queue = queue,
            .durable = true,
            .arguments = bytes_of(buffer_begin(&entries), buffer_length(&entries)),
        };
        error = channel_queue_declare(declarer->task, &declarer->channel, &declaration, REQUEST_SECONDS);
        if (error != 0)
            declarer_fail(declarer, error, "queue", queue, declare_advice(declarer));
    }
    buffer_destroy(&entries);
    return error;
}

static int ensure_queue(struct declarer *declarer, const struct queue_config *config)
{
    if (config->declare == QUEUE_DECLARE_CREATE)
        return queue_declare(declarer, config->name, config->type, config->arguments, true);
    int there = queue_exists(declarer, config->name);
    if (there != 0)
        return there > 0 ? 0 : there;
    if (config->declare == QUEUE_DECLARE_PASSIVE)
        return declarer_fail(declarer, WHIPPET_E_CLOSED, "queue", config->name,
                             "; create it, or set \"declare\": \"if-missing\"");
    return queue_declare(declarer, config->name, config->type, config->arguments, false);
}

static int ensure_exchange(struct declarer *declarer, const struct binding_config *binding)
{
    struct exchange_declaration look = {.exchange = binding->exchange, .type = "direct", .passive = true};
    int error = declarer_open(declarer);
    if (error != 0)
        return error;
    error = channel_exchange_declare(declarer->task, &declarer->channel, &look, REQUEST_SECONDS);
    if (error == 0)
        return 0;
    if (declarer->channel.closed_code != AMQP_NOT_FOUND)
        return declarer_fail(declarer, error, "exchange", binding->exchange, "");
    if (binding->exchange_type == NULL)
        return declarer_fail(declarer, error, "exchange", binding->exchange,
                             "; create it, or set \"exchange_type\" to have it created");
    struct exchange_declaration declaration = {
        .exchange = binding->exchange, .type = binding->exchange_type, .durable = true};
    error = declarer_open(declarer);
    if (error == 0) {
        error = channel_exchange_declare(declarer->task, &declarer->channel, &declaration, REQUEST_SECONDS);
        if (error != 0)
            declarer_fail(declarer, error, "exchange", binding->exchange, declare_advice(declarer));
    }
    return error;
}

static int ensure_binding(struct declarer *declarer, const char *queue, const struct binding_config *binding)
{
    struct buffer entries;
    int error = ensure_exchange(declarer, binding);
    if (error != 0)
        return error;
    buffer_init(&entries);
    error = arguments_write(&entries, binding->arguments);
    if (error != 0) {
        failure_set(declarer->failure, error, "binding \"%s\" to \"%s\": its arguments: %s", queue,
                    binding->exchange, whippet_error_text(error));
    } else {
        error =
            channel_queue_bind(declarer->task, &declarer->channel, queue, binding->exchange,
                               binding->routing_key != NULL ? binding->routing_key : "",
                               bytes_of(buffer_begin(&entries), buffer_length(&entries)), REQUEST_SECONDS);
        if (error != 0)
            declarer_fail(declarer, error, "binding to exchange", binding->exchange,
                          declare_advice(declarer));
    }
    buffer_destroy(&entries);
    return error;
}

static int ensure_dead_letter(struct declarer *declarer, const struct queue_config *config)
{
    if (config->on_failure != ON_FAILURE_DEAD_LETTER)
        return 0;
    int there = queue_exists(declarer, config->dead_letter);
    if (there != 0)
        return there > 0 ? 0 : there;
    /* A stream keeps no dead letters: they could never be taken out of it. */
    enum queue_type type = config->type == QUEUE_TYPE_STREAM ? QUEUE_TYPE_QUORUM : config->type;
    return queue_declare(declarer, config->dead_letter, type, NULL, false);
}

/* Quorum, whatever the queue's own type: only there can the broker bring messages back at least once
 * (https://www.rabbitmq.com/docs/quorum-queues#activating-at-least-once-dead-lettering), for which it takes
 * reject-publish: an expired message stays until its queue has it, also while that is away. */
bool delay_queue_write_arguments(struct buffer *entries, const char *queue, uint64_t milliseconds)
{
    return table_add_text(entries, bytes_of_text("x-queue-type"), bytes_of_text("quorum")) &&
           table_add_integer(entries, bytes_of_text("x-message-ttl"), (int64_t)milliseconds) &&
           table_add_text(entries, bytes_of_text("x-dead-letter-exchange"), bytes_of_text("")) &&
           table_add_text(entries, bytes_of_text("x-dead-letter-routing-key"), bytes_of_text(queue)) &&
           table_add_text(entries, bytes_of_text("x-dead-letter-strategy"), bytes_of_text("at-least-once")) &&
           table_add_text(entries, bytes_of_text("x-overflow"), bytes_of_text("reject-publish"));
}

static int ensure_retry_queue(struct declarer *declarer, const struct queue_config *config,
                              uint64_t milliseconds)
{
    char name[RETRY_QUEUE_NAME_SIZE];
    struct buffer entries;
    retry_queue_name(config->name, milliseconds, name);
    buffer_init(&entries);
    int error = declarer_open(declarer);
    if (error == 0 && !delay_queue_write_arguments(&entries, config->name, milliseconds))
        error = failure_set(declarer->failure, WHIPPET_E_MEMORY, "queue \"%s\": out of memory", name);
    if (error == 0) {
        struct queue_declaration declaration = {
            .queue = name,
            .durable = true,
            .arguments = bytes_of(buffer_begin(&entries), buffer_length(&entries)),
        };
        error = channel_queue_declare(declarer->task, &declarer->channel, &declaration, REQUEST_SECONDS);
        if (error != 0)
            declarer_fail(declarer, error, "delay queue", name,
                          declarer->channel.closed_code == 406
                              ? "; it exists with other arguments: delete it once it is empty"
                              : declare_advice(declarer));
    }
    buffer_destroy(&entries);
    return error;
}

static int ensure_retry_queues(struct declarer *declarer, const struct queue_config *config)
{
    uint64_t delays[RETRY_QUEUES_MAX];
    int error = 0;
    if (config->retry_via != RETRY_VIA_BROKER)
        return 0;
    unsigned count = retry_queue_delays(&config->retry, delays);
    for (unsigned i = 0; i < count && error == 0; i++)
        error = ensure_retry_queue(declarer, config, delays[i]);
    return error;
}

static int declarer_finish(struct declarer *declarer, int error)
{
    if (error == 0)
        channel_close(declarer->task, &declarer->channel, REQUEST_SECONDS);
    else
        channel_abandon(&declarer->channel);
    return error;
}

int topology_ensure(whippet_task *task, struct connection *connection, const struct queue_config *config,
                    struct whippet_failure *failure)
{
    struct declarer declarer = {.task = task, .connection = connection, .failure = failure};
    int error = ensure_queue(&declarer, config);
    for (size_t i = 0; i < config->binding_count && error == 0; i++)
        error = ensure_binding(&declarer, config->name, &config->bindings[i]);
    if (error == 0)
        error = ensure_dead_letter(&declarer, config);
    if (error == 0)
        error = ensure_retry_queues(&declarer, config);
    return declarer_finish(&declarer, error);
}

int topology_ensure_dead_letter(whippet_task *task, struct connection *connection,
                                const struct queue_config *config, struct whippet_failure *failure)
{
    struct declarer declarer = {.task = task, .connection = connection, .failure = failure};
    return declarer_finish(&declarer, ensure_dead_letter(&declarer, config));
}

int topology_ensure_retry_queues(whippet_task *task, struct connection *connection,
                                 const struct queue_config *config, struct whippet_failure *failure)
{
    struct declarer declarer = {.task = task, .connection = connection, .failure = failure};
    return declarer_finish(&declarer, ensure_retry_queues(&declarer, config));
}
