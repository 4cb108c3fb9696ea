/* A message over max_message_size: its body passes from the one connection to another, part by part, into the
 * dead-letter queue, and only what is between the two sockets is ever held. */
#include "worker_internal.h"
#include <base/log.h>
#include <base/memory.h>
#include <math.h>
#include <stdio.h>

static const double STALL_SECONDS = 10;   /* without a byte moving, before the relay gives up */
static const double CONFIRM_SECONDS = 60; /* from the last byte */

struct relay {
    struct list link; /* in worker->relays */
    struct delivery *delivery;
    whippet_task *task;
    struct waiter changed; /* the task waits here: more has come, more has gone, the end, the confirm */
    struct buffer held;    /* has come, and not gone yet */
    uint64_t body_size;
    uint64_t to_come;                  /* of the body, before the broker takes anything else on the channel */
    bool arrived;                      /* all of it has come, or nothing more will */
    bool complete;                     /* and it was all */
    bool given_up;                     /* what still comes is dropped */
    bool paused;                       /* this one keeps reading paused */
    struct relay_connection *relaying; /* NULL: it does not need that any more */
    struct channel channel;
    bool answered; /* the broker confirmed, nacked or returned it */
    struct whippet_failure failure;
};

static struct worker *worker_of(const struct relay *relay)
{
    return relay->delivery->subscription->worker;
}

static void relay_wake(struct relay *relay)
{
    waiter_wake(&relay->changed, 0);
}

static void relay_pause(struct relay *relay, bool paused)
{
    struct worker *worker = worker_of(relay);
    if (relay->paused == paused)
        return;
    relay->paused = paused;
    worker->paused_relays += paused ? 1 : -1u;
    if (connection_session(worker->consume) != NULL)
        connection_pause_reading(worker->consume, worker->paused_relays > 0);
}

/* --- Its channel ----------------------------------------------------------------------------------------*/

static void on_closed(void *owner, const struct whippet_failure *why)
{
    struct relay *relay = owner;
    failure_set(&relay->failure, WHIPPET_E_CLOSED, "%s", why->text);
    relay_wake(relay);
}

static void on_returned(void *owner, const struct channel_reason *reason, const struct message *message)
{
    struct relay *relay = owner;
    (void)message;
    failure_set(&relay->failure, WHIPPET_E_UNROUTABLE, "no dead-letter queue took it: %d %.*s", reason->code,
                (int)reason->text.len, (const char *)reason->text.data);
}

static void on_confirmed(void *owner, uint64_t delivery_tag, bool multiple, bool nacked)
{
    struct relay *relay = owner;
    (void)delivery_tag;
    (void)multiple;
    if (nacked)
        failure_set(&relay->failure, WHIPPET_E_NACKED, "the broker could not take it (basic.nack)");
    relay->answered = true;
    relay_wake(relay);
}

static const struct channel_handlers HANDLERS = {
    .closed = on_closed, .returned = on_returned, .confirmed = on_confirmed};

/* --- Its task -------------------------------------------------------------------------------------------*/

static int relay_wait(whippet_task *task, struct relay *relay, double until, const char *activity)
{
    waiter_init(&relay->changed);
    int error = waiter_wait(task, &relay->changed, until, activity);
    return error != 0 ? failure_set(&relay->failure, error, "%s: %s", activity, whippet_error_text(error))
                      : 0;
}

static bool is_blocked(const struct relay *relay)
{
    const struct connection *connection = relay_connection_open(relay->relaying);
    return connection_is_blocked(worker_of(relay)->publish) ||
           (connection != NULL && connection_is_blocked(connection));
}

static int check_alarm(struct relay *relay)
{
    return is_blocked(relay) ? failure_set(&relay->failure, WHIPPET_E_UNAVAILABLE,
                                           "the broker has raised an alarm and takes no messages")
                             : 0;
}

static int await_connection(whippet_task *task, struct relay *relay)
{
    double until = loop_now(worker_of(relay)->loop) + STALL_SECONDS;
    while (relay_connection_open(relay->relaying) == NULL) {
        const char *trouble = relay_connection_trouble(relay->relaying);
        if (trouble != NULL)
            return failure_set(&relay->failure, WHIPPET_E_UNAVAILABLE,
                               "the connection to pass it on by can't be had: %s", trouble);
        int error = relay_wait(task, relay, until, "waiting for a connection to pass it on by");
        if (error != 0)
            return error;
    }
    return check_alarm(relay);
}

static int open_channel(whippet_task *task, struct relay *relay)
{
    struct connection *connection = relay_connection_open(relay->relaying);
    int error = channel_open(task, &relay->channel, connection, &HANDLERS, relay, STALL_SECONDS);
    if (error == 0)
        error = channel_confirm_select(task, &relay->channel, STALL_SECONDS);
    return error == 0 ? 0
                      : failure_set(&relay->failure, error, "opening a channel to publish on: %s",
                                    whippet_error_text(error));
}

static int publish_head(struct relay *relay)
{
    struct buffer properties;
    int error = WHIPPET_E_LIMIT;
    if (!delivery_is_current(relay->delivery))
        return failure_set(&relay->failure, WHIPPET_E_CLOSED, "it is in its queue again");
    buffer_init(&properties);
    /* With the original headers if they fit a frame together with ours, else without. */
    for (int with_headers = 1; with_headers >= 0 && error == WHIPPET_E_LIMIT; with_headers--) {
        buffer_clear(&properties);
        error = dead_letter_properties(relay->delivery, failure_reason_label(FAILURE_TOO_LARGE),
                                       with_headers != 0, &properties);
        if (error == 0)
            error = channel_publish_begin(
                &relay->channel, "", relay->delivery->subscription->config->dead_letter,
                bytes_of(buffer_begin(&properties), buffer_length(&properties)), relay->body_size);
    }
    buffer_destroy(&properties);
    if (error != 0)
        return failure_set(&relay->failure, error, "publishing: %s", whippet_error_text(error));
    relay->to_come = relay->body_size;
    return 0;
}

/* Sends on what is held; 0 when all of the body has gone. */
static int pass_body(whippet_task *task, struct relay *relay)
{
    struct worker *worker = worker_of(relay);
    while (relay->failure.error == 0 && check_alarm(relay) == 0) {
        size_t held = buffer_length(&relay->held);
        if (held == 0 && relay->arrived)
            break;
        if (held == 0 || connection_backlog(relay->channel.connection) >= RELAY_BACKLOG_MAX) {
            int error = relay_wait(task, relay, loop_now(worker->loop) + STALL_SECONDS,
                                   "passing on a message over max_message_size");
            if (error != 0)
                return error;
            continue;
        }
        int error = channel_publish_part(&relay->channel, bytes_of(buffer_begin(&relay->held), held));
        if (error != 0)
            return failure_set(&relay->failure, error, "publishing: %s", whippet_error_text(error));
        buffer_consume(&relay->held, held);
        relay->to_come -= held;
        relay_pause(relay, false);
    }
    if (relay->failure.error == 0 && !relay->complete)
        failure_set(&relay->failure, WHIPPET_E_CLOSED, "the rest of it did not come");
    return relay->failure.error;
}

static int await_confirm(whippet_task *task, struct relay *relay)
{
    double until = loop_now(worker_of(relay)->loop) + CONFIRM_SECONDS;
    while (!relay->answered && relay->failure.error == 0) {
        int error = relay_wait(task, relay, until, "waiting for the broker's confirm");
        if (error != 0)
            return error;
    }
    return relay->failure.error;
}

static int pass_on(whippet_task *task, struct relay *relay)
{
    int error = await_connection(task, relay);
    if (error == 0)
        error = open_channel(task, relay);
    if (error == 0)
        error = publish_head(relay);
    if (error == 0)
        error = pass_body(task, relay);
    if (error == 0)
        error = await_confirm(task, relay);
    return error;
}

/* A channel in the middle of a body takes nothing else, not even its own end. */
static void leave_channel(struct relay *relay)
{
    if (relay->to_come > 0)
        channel_forget(&relay->channel);
    else
        channel_abandon(&relay->channel);
}

static void leave_connection(struct relay *relay)
{
    if (relay->relaying != NULL)
        relay_connection_leave(relay->relaying, relay->to_come > 0);
    relay->relaying = NULL;
}

/* Before that it would only come again, and from RabbitMQ 4.0 a quorum queue counts how often it was
 * returned. */
static void await_end_of_alarm(whippet_task *task, struct relay *relay)
{
    int error = 0;
    while (error == 0 && is_blocked(relay) && delivery_is_current(relay->delivery) &&
           relay_connection_trouble(relay->relaying) == NULL) {
        waiter_init(&relay->changed);
        error = waiter_wait(task, &relay->changed, INFINITY, "waiting for the end of the broker's alarm");
    }
}

/* A delay that is a delay queue's may be longer than the broker lets a message be unacknowledged: it would
 * take all that came by the channel away. */
static double pause_before_return(const struct delivery *delivery)
{
    double delay = delivery->subscription->config->retry.delay;
    return fmax(fmin(delay, delivery_patience_left(delivery) / 2), 1);
}

/* Not to come again at once: unless it is in its queue already, or somebody else's turn. */
static void rest(whippet_task *task, struct relay *relay)
{
    const struct delivery *delivery = relay->delivery;
    double until = loop_now(worker_of(relay)->loop) + pause_before_return(delivery);
    int error = 0;
    while (error == 0 && delivery_is_current(delivery) && !subscription_is_leaving(delivery->subscription)) {
        waiter_init(&relay->changed);
        error = waiter_wait(task, &relay->changed, until, "before it goes back to its queue");
    }
}

/* The body's remainder is still to come by, and the message is not to come again at once. A stop waits for
 * none of that: relays_hurry. */
static void wait_it_out(whippet_task *task, struct relay *relay)
{
    struct log_fields fields = relay->delivery->fields;
    fields.error = relay->failure.text;
    log_limited(relay->delivery->subscription, LOG_NOT_HANDED_OVER, &fields,
                "a message of %llu bytes, over max_message_size, could not be dead-lettered; "
                "it goes back to its queue",
                (unsigned long long)relay->body_size);
    relay->given_up = true;
    buffer_destroy(&relay->held);
    relay_pause(relay, false);
    if (worker_of(relay)->stopping)
        return;
    await_end_of_alarm(task, relay);
    leave_connection(relay);
    waiter_init(&relay->changed);
    while (!relay->arrived && waiter_wait(task, &relay->changed, INFINITY, "skipping a message") == 0)
        waiter_init(&relay->changed);
    rest(task, relay);
}

static int relay_main(whippet_task *task, void *arg)
{
    struct relay *relay = arg;
    int error = pass_on(task, relay);
    if (error == 0) {
        struct log_fields fields = relay->delivery->fields;
        fields.error = relay->delivery->reason;
        fields.outcome = delivery_outcome_label(OUTCOME_DEAD_LETTERED);
        log_limited(relay->delivery->subscription, LOG_DEAD_LETTERED, &fields,
                    "dead-lettered to %s (too-large)", relay->delivery->subscription->config->dead_letter);
    } else if (error == WHIPPET_E_UNROUTABLE) {
        struct whippet_failure ignored;
        topology_ensure_dead_letter(task, worker_of(relay)->publish, relay->delivery->subscription->config,
                                    &ignored);
    }
    leave_channel(relay);
    if (error != 0)
        wait_it_out(task, relay);
    leave_connection(relay);
    return error;
}

static void relay_ended(void *arg, int result)
{
    struct relay *relay = arg;
    struct subscription *subscription = relay->delivery->subscription;
    relay_pause(relay, false);
    leave_connection(relay);
    if (subscription->relay == relay)
        subscription->relay = NULL;
    list_remove(&relay->link);
    relay->delivery->task = NULL;
    delivery_end(relay->delivery, result == 0 ? OUTCOME_DEAD_LETTERED : OUTCOME_RETURNED);
    buffer_destroy(&relay->held);
    memory_free(relay);
}

/* --- What comes -----------------------------------------------------------------------------------------*/

static void explain(const struct oversized *oversized, uint64_t limit, char *text, size_t size)
{
    unsigned long long body = oversized->body_size, head = oversized->headless_size;
    if (head > SESSION_HEADER_HELD)
        snprintf(text, size, "headers of %llu bytes, over the %d that are held, are left out of this copy",
                 head, SESSION_HEADER_HELD);
    else if (head > 0)
        snprintf(text, size,
                 "headers of %llu bytes, beside %llu of body over max_message_size (%llu) by what no frame "
                 "holds, are left out of this copy",
                 head, body, (unsigned long long)limit);
    else
        snprintf(text, size, "%llu bytes, over max_message_size (%llu)", body, (unsigned long long)limit);
}

static struct delivery *oversized_delivery(struct subscription *subscription,
                                           const struct oversized *oversized)
{
    const struct message *head = oversized->message;
    struct message *message = message_create(head->exchange, head->routing_key, head->properties, 0);
    if (message == NULL)
        return NULL;
    message->delivery_tag = head->delivery_tag;
    message->redelivered = head->redelivered;
    message->headers = head->headers;
    struct delivery *delivery = delivery_create(subscription, message);
    if (delivery == NULL) {
        message_destroy(message);
        return NULL;
    }
    char reason[256];
    explain(oversized, subscription->config->max_message_size, reason, sizeof reason);
    delivery->reason = memory_copy_text(reason);
    delivery->failure = FAILURE_TOO_LARGE;
    delivery->state = DELIVERY_HANDING_OVER;
    list_append(&subscription->at_work, &delivery->link);
    return delivery;
}

static void refuse(struct subscription *subscription)
{
    consumer_abort(subscription->consumer, "out of memory for a message over max_message_size");
}

/* What still comes of its body finds no relay, and is dropped. */
static void discard(struct delivery *delivery)
{
    struct log_fields fields = delivery->fields;
    fields.error = delivery->reason;
    fields.outcome = delivery_outcome_label(OUTCOME_DISCARDED);
    log_limited(delivery->subscription, LOG_DISCARDED, &fields,
                "discarded (too-large): on_failure is \"discard\"");
    delivery_end(delivery, OUTCOME_DISCARDED);
}

void oversized_begin(struct subscription *subscription, const struct oversized *oversized)
{
    struct relay *relay = memory_allocate_zeroed(sizeof *relay);
    if (relay == NULL) {
        refuse(subscription);
        return;
    }
    queue_counters_arrived(&subscription->stats.counters, PHASE_RUNNING,
                           loop_now(subscription->worker->loop));
    relay->delivery = oversized_delivery(subscription, oversized);
    if (relay->delivery == NULL) {
        queue_counters_ended(&subscription->stats.counters, PHASE_RUNNING, OUTCOME_RETURNED);
        memory_free(relay);
        refuse(subscription);
        return;
    }
    if (subscription->config->on_failure == ON_FAILURE_DISCARD) {
        discard(relay->delivery);
        memory_free(relay);
        return;
    }
    relay->body_size = oversized->body_size;
    buffer_init(&relay->held);
    waiter_init(&relay->changed);
    list_append(&subscription->worker->relays, &relay->link);
    subscription->relay = relay;
    relay->relaying = subscription->worker->relaying;
    relay_connection_join(relay->relaying);
    bool started = false;
    whippet_task *task = task_start(loop_scheduler(subscription->worker->loop), relay_main, relay, INFINITY,
                                    &relay->delivery->fields, relay_ended, &started);
    if (!started)
        relay_ended(relay, WHIPPET_E_MEMORY);
    else if (task != NULL) /* else it has ended already, and is gone */
        relay->task = relay->delivery->task = task;
}

void oversized_part(struct subscription *subscription, whippet_bytes part)
{
    struct relay *relay = subscription->relay;
    if (relay == NULL || relay->given_up)
        return;
    if (!buffer_append(&relay->held, part.data, part.len))
        failure_set(&relay->failure, WHIPPET_E_MEMORY, "out of memory");
    relay_pause(relay, buffer_length(&relay->held) > RELAY_HELD_MAX);
    relay_wake(relay);
}

void oversized_end(struct subscription *subscription, bool complete)
{
    struct relay *relay = subscription->relay;
    subscription->relay = NULL;
    if (relay == NULL)
        return;
    relay->arrived = true;
    relay->complete = complete;
    relay_wake(relay);
}

void relays_hurry(struct worker *worker)
{
    list_each (link, &worker->relays) {
        struct relay *relay = list_entry(link, struct relay, link);
        if (relay->given_up)
            task_cancel(relay->task);
    }
}

void relays_poke(struct worker *worker)
{
    list_each (link, &worker->relays)
        relay_wake(list_entry(link, struct relay, link));
}
