#include "check_asking.h"
#include <amqp/table.h>
#include <base/bytes.h>
#include <config/retry.h>
#include <string.h>
#include <worker/delay_queue.h>

/* --- Bindings -------------------------------------------------------------------------------------------*/

/* As check_may_declare: the argument that can't be is one that names another exchange. */
static bool may_declare_exchange(whippet_task *task, struct check *check, const struct queue_config *queue,
                                 const struct binding_config *binding)
{
    struct buffer arguments;
    int error = check_open_channel(task, check);
    buffer_init(&arguments);
    if (error == 0 && !table_add_integer(&arguments, bytes_of_text("alternate-exchange"), 0))
        error = WHIPPET_E_MEMORY;
    if (error == 0) {
        struct exchange_declaration declaration = {
            .exchange = binding->exchange,
            .type = binding->exchange_type,
            .durable = true,
            .arguments = bytes_of(buffer_begin(&arguments), buffer_length(&arguments)),
        };
        error = channel_exchange_declare(task, &check->channel, &declaration, REQUEST_SECONDS);
    }
    buffer_destroy(&arguments);
    bool may = check->channel.closed_code != ACCESS_REFUSED;
    if (!may)
        check_add_refusal(check, queue->name, "there is none yet, and declaring exchange", binding->exchange,
                          error);
    channel_abandon(&check->channel);
    return may;
}

static void check_exchange(whippet_task *task, struct check *check, const struct queue_config *queue,
                           const struct binding_config *binding)
{
    struct exchange_declaration look = {.exchange = binding->exchange, .type = "direct", .passive = true};
    int error = check_open_channel(task, check);
    if (error == 0)
        error = channel_exchange_declare(task, &check->channel, &look, REQUEST_SECONDS);
    if (error == 0)
        return;
    if (check->channel.closed_code != NOT_FOUND)
        check_add_refusal(check, queue->name, "exchange", binding->exchange, error);
    else if (binding->exchange_type != NULL && may_declare_exchange(task, check, queue, binding))
        findings_add(&check->findings, FINDING_NOTE, queue->name,
                     "start the worker, or create the exchange, before anything is published to it",
                     "there is no exchange \"%s\" yet; the worker will declare it (%s)", binding->exchange,
                     binding->exchange_type);
    else if (binding->exchange_type == NULL)
        findings_add(&check->findings, FINDING_PROBLEM, queue->name,
                     "create it, or set \"exchange_type\" in the binding to have it created",
                     "there is no exchange \"%s\"", binding->exchange);
}

/* Unbinding takes the permissions that binding takes; what is unbound here is not there, as nobody binds with
 * such an argument. */
static void check_may_bind(whippet_task *task, struct check *check, const struct queue_config *queue,
                           const struct binding_config *binding)
{
    struct buffer arguments;
    int error = check_open_channel(task, check);
    buffer_init(&arguments);
    if (error == 0 && !table_add_text(&arguments, bytes_of_text("whippet-check"), bytes_of_text("none")))
        error = WHIPPET_E_MEMORY;
    if (error == 0)
        error = channel_queue_unbind(task, &check->channel, queue->name, binding->exchange,
                                     binding->routing_key != NULL ? binding->routing_key : "",
                                     bytes_of(buffer_begin(&arguments), buffer_length(&arguments)),
                                     REQUEST_SECONDS);
    buffer_destroy(&arguments);
    if (error != 0 && check->channel.closed_code == ACCESS_REFUSED)
        check_add_refusal(check, queue->name, "binding to exchange", binding->exchange, error);
    if (error != 0)
        channel_abandon(&check->channel);
}

/* --- Queues ---------------------------------------------------------------------------------------------*/

static void check_dead_letter(whippet_task *task, struct check *check, const struct queue_config *queue)
{
    if (queue->on_failure == ON_FAILURE_DISCARD) {
        findings_add(&check->findings, FINDING_NOTE, queue->name,
                     "set \"on_failure\": \"dead-letter\" to have it kept",
                     "what fails is discarded: it has no dead-letter queue");
        return;
    }
    if (check_queue_exists(task, check, queue->name, queue->dead_letter) == 0 &&
        check_may_declare(task, check, queue->name, queue->dead_letter, NULL))
        findings_add(&check->findings, FINDING_NOTE, queue->name, "start the worker, or create it",
                     "there is no dead-letter queue \"%s\" yet; the worker will declare it",
                     queue->dead_letter);
}

/* One that is there is declared as the worker does at each start. */
static void check_delay_queue_as_is(whippet_task *task, struct check *check, const struct queue_config *queue,
                                    const char *name, const struct buffer *arguments)
{
    struct queue_declaration declaration = {
        .queue = name,
        .durable = true,
        .arguments = bytes_of(buffer_begin(arguments), buffer_length(arguments)),
    };
    int error = check_open_channel(task, check);
    if (error == 0)
        error = channel_queue_declare(task, &check->channel, &declaration, REQUEST_SECONDS);
    if (error == 0)
        return;
    if (check->channel.closed_code != PRECONDITION_FAILED) {
        check_add_refusal(check, queue->name, "delay queue", name, error);
        return;
    }
    findings_add(&check->findings, FINDING_PROBLEM, queue->name, "delete it once it is empty",
                 "the delay queue \"%s\" exists with other arguments: %s", name, check_words(check, error));
    channel_abandon(&check->channel);
}

static void check_delay_queue(whippet_task *task, struct check *check, const struct queue_config *queue,
                              uint64_t milliseconds)
{
    char name[RETRY_QUEUE_NAME_SIZE];
    struct buffer arguments;
    retry_queue_name(queue->name, milliseconds, name);
    int there = check_queue_exists(task, check, queue->name, name);
    buffer_init(&arguments);
    if (!delay_queue_write_arguments(&arguments, queue->name, milliseconds))
        check->findings.short_of_memory = true;
    else if (there > 0)
        check_delay_queue_as_is(task, check, queue, name, &arguments);
    else if (there == 0)
        check_may_declare(task, check, queue->name, name, &arguments);
    buffer_destroy(&arguments);
}

static void check_delay_queues(whippet_task *task, struct check *check, const struct queue_config *queue)
{
    uint64_t delays[RETRY_QUEUES_MAX];
    if (queue->retry_via != RETRY_VIA_BROKER)
        return;
    unsigned count = retry_queue_delays(&queue->retry, delays);
    for (unsigned i = 0; i < count; i++)
        check_delay_queue(task, check, queue, delays[i]);
}

void check_belongings(whippet_task *task, struct check *check, const struct queue_config *queue)
{
    for (size_t i = 0; i < queue->binding_count; i++) {
        check_exchange(task, check, queue, &queue->bindings[i]);
        check_may_bind(task, check, queue, &queue->bindings[i]);
    }
    check_dead_letter(task, check, queue);
    check_delay_queues(task, check, queue);
}

/* --- Publishing -----------------------------------------------------------------------------------------*/

/* Dead letters go through the default exchange. A message that no queue takes comes back, which says that it
 * was allowed to go. */
void check_may_publish(whippet_task *task, struct check *check)
{
    static const uint8_t NO_PROPERTIES[2];
    struct whippet_failure failure = {0};
    struct publishing publishing = {
        .exchange = "",
        .routing_key = "whippet.check.there.is.no.such.queue",
        .properties = bytes_of(NO_PROPERTIES, sizeof NO_PROPERTIES),
    };
    int error = publisher_publish(task, check->link->publisher, &publishing,
                                  loop_now(check->link->loop) + REQUEST_SECONDS, &failure);
    if (error != 0 && error != WHIPPET_E_UNROUTABLE)
        findings_add(&check->findings, FINDING_PROBLEM, NULL,
                     strstr(failure.text, "ACCESS_REFUSED") != NULL ? check->grant : FIX_OVERLOAD,
                     "publishing to the default exchange, as dead letters are: %s", failure.text);
}
