#include "refusal.h"
#include <base/log_repeated.h>
#include <base/memory.h>
#include <io/publisher.h>
#include <math.h>

static const double REQUEST_SECONDS = 10; /* for each of the channel's own requests */
static const double REOPEN_SECONDS = 1;   /* after the broker closed the channel, or did not open it */

struct publisher {
    struct connection *connection;
    const char *name;
    struct channel channel;
    bool is_confirming; /* the channel is open and in confirm mode */
    bool stopping;
    bool hurried;
    whippet_task *task;    /* publisher_main; NULL when it does not run */
    struct waiter changed; /* publisher_main waits here: the connection came, or the channel went */
    struct waiter ended;
    uint64_t last_tag;       /* of the message published last on the channel */
    struct list unconfirmed; /* struct pending, oldest first */
    size_t unconfirmed_count;
    struct list waiting; /* struct turn: callers that wait for room, in order */
    struct refusals refusals;
    struct log_repetition failed_openings;
};

/* What a caller is woken with whose message is to be sent once more: no error, and no success. */
enum {
    SEND_AGAIN = 1
};

/* A message that waits for its confirm; lives on its caller's stack. */
struct pending {
    struct list link;
    uint64_t delivery_tag;
    const struct publishing *publishing;
    bool returned;
    struct waiter waiter;
    struct whippet_failure *failure;
};

/* A caller that waits for room. */
struct turn {
    struct list link;
    struct waiter waiter;
};

/* --- Confirms -------------------------------------------------------------------------------------------*/

static void wake_next(struct publisher *publisher)
{
    if (list_empty(&publisher->waiting) || !publisher_is_ready(publisher))
        return;
    struct turn *turn = list_entry(publisher->waiting.next, struct turn, link);
    waiter_wake(&turn->waiter, 0);
}

/* It may take long until it is ready again. */
static bool is_out(const struct publisher *publisher)
{
    return !publisher->is_confirming || connection_is_blocked(publisher->connection);
}

static void wake_all_waiting(struct publisher *publisher)
{
    list_each (link, &publisher->waiting)
        waiter_wake(&list_entry(link, struct turn, link)->waiter, 0);
}

/* Whoever is woken sees for itself whether there is still something to wait for. */
static void wake_hurried(struct publisher *publisher)
{
    if (publisher->hurried && is_out(publisher))
        wake_all_waiting(publisher);
}

static void tell_sent(const struct publishing *publishing, bool is_sent)
{
    if (publishing->is_sent != NULL)
        *publishing->is_sent = is_sent;
}

static void settle(struct publisher *publisher, struct pending *pending, int result)
{
    if (result == SEND_AGAIN)
        tell_sent(pending->publishing, false);
    list_remove(&pending->link);
    publisher->unconfirmed_count--;
    waiter_wake(&pending->waiter, result);
}

static void settle_confirmed(struct publisher *publisher, struct pending *pending, bool nacked)
{
    if (nacked)
        settle(publisher, pending,
               failure_set(pending->failure, WHIPPET_E_NACKED,
                           "the broker could not take the message (basic.nack)"));
    else
        settle(publisher, pending, pending->returned ? WHIPPET_E_UNROUTABLE : 0);
}

static void on_confirmed(void *owner, uint64_t delivery_tag, bool multiple, bool nacked)
{
    struct publisher *publisher = owner;
    struct list *next;
    for (struct list *link = publisher->unconfirmed.next; link != &publisher->unconfirmed; link = next) {
        struct pending *pending = list_entry(link, struct pending, link);
        next = link->next;
        if (pending->delivery_tag > delivery_tag)
            break;
        if (multiple || pending->delivery_tag == delivery_tag)
            settle_confirmed(publisher, pending, nacked);
    }
    wake_next(publisher);
}

/* basic.return names no delivery tag. It comes before the confirm, so what it is about is still unconfirmed.
 * Two that are alike in all of this are the same message to everybody, unless their other properties differ:
 * an exchange may route by headers. */
static bool is_returned(const struct pending *pending, const struct message *message, bool exactly)
{
    const struct publishing *publishing = pending->publishing;
    return !pending->returned && bytes_equal_text(message->routing_key, publishing->routing_key) &&
           bytes_equal_text(message->exchange, publishing->exchange) &&
           (exactly ? bytes_equal(message->properties, publishing->properties)
                    : bytes_equal(properties_get(message->properties, PROPERTY_MESSAGE_ID),
                                  properties_get(publishing->properties, PROPERTY_MESSAGE_ID))) &&
           bytes_equal(message->body, publishing->body);
}

/* NULL: none. Where a broker has changed the properties (RabbitMQ takes BCC out), the message id has to do.
 */
static struct pending *find_returned(const struct publisher *publisher, const struct message *message)
{
    for (int exactly = 1; exactly >= 0; exactly--) {
        list_each (link, &publisher->unconfirmed) {
            struct pending *pending = list_entry(link, struct pending, link);
            if (is_returned(pending, message, exactly != 0))
                return pending;
        }
    }
    return NULL;
}

/* No queue takes what goes to a client's direct reply-to: RabbitMQ hands it over, and returns it all the
 * same. */
static bool is_direct_reply(const struct message *message)
{
    return message->exchange.len == 0 && bytes_start_with(message->routing_key, "amq.rabbitmq.reply-to.");
}

static void on_returned(void *owner, const struct channel_reason *reason, const struct message *message)
{
    struct publisher *publisher = owner;
    if (is_direct_reply(message))
        return;
    struct pending *pending = find_returned(publisher, message);
    if (pending == NULL)
        return;
    pending->returned = true;
    failure_set(pending->failure, WHIPPET_E_UNROUTABLE,
                "no queue took the message (exchange \"%s\", routing key \"%s\"): %d %.*s",
                pending->publishing->exchange, pending->publishing->routing_key, reason->code,
                (int)reason->text.len, (const char *)reason->text.data);
}

static void fail_unconfirmed(struct publisher *publisher, const struct whippet_failure *why)
{
    while (!list_empty(&publisher->unconfirmed)) {
        struct pending *pending = list_entry(publisher->unconfirmed.next, struct pending, link);
        settle(publisher, pending,
               failure_set(pending->failure, WHIPPET_E_CLOSED, "no confirm came: %s", why->text));
    }
}

static bool is_refused(const struct pending *pending, const struct whippet_failure *why)
{
    return refusal_is_about(why, pending->publishing->exchange, pending->publishing->routing_key) ||
           refusal_is_about_size(why, pending->publishing->body.len);
}

/* True when the reason for which the broker closed the channel is about some of what is unconfirmed. */
static bool explains(const struct publisher *publisher, const struct whippet_failure *why)
{
    if (publisher->channel.closed_code == 0)
        return false;
    list_each (link, &publisher->unconfirmed)
        if (is_refused(list_entry(link, struct pending, link), why))
            return true;
    return false;
}

/* Where one names an exchange that is not there or that it may not use, or is too large, others must not pay:
 * what the broker's reason is not about is sent again. */
static void settle_refused(struct publisher *publisher, const struct whippet_failure *why)
{
    double now = loop_now(connection_loop(publisher->connection));
    while (!list_empty(&publisher->unconfirmed)) {
        struct pending *pending = list_entry(publisher->unconfirmed.next, struct pending, link);
        const char *exchange = pending->publishing->exchange;
        const char *routing_key = pending->publishing->routing_key;
        if (!is_refused(pending, why)) {
            settle(publisher, pending, SEND_AGAIN);
            continue;
        }
        if (refusal_is_about(why, exchange, routing_key))
            refusals_note(&publisher->refusals, exchange, routing_key, why, now);
        settle(publisher, pending, failure_set(pending->failure, WHIPPET_E_CLOSED, "%s", why->text));
    }
}

static void on_channel_closed(void *owner, const struct whippet_failure *why)
{
    struct publisher *publisher = owner;
    publisher->is_confirming = false;
    if (explains(publisher, why))
        settle_refused(publisher, why);
    else
        fail_unconfirmed(publisher, why);
    wake_hurried(publisher);
    waiter_wake(&publisher->changed, WHIPPET_E_CLOSED);
}

/* --- The channel ----------------------------------------------------------------------------------------*/

static const struct channel_handlers HANDLERS = {
    .closed = on_channel_closed,
    .returned = on_returned,
    .confirmed = on_confirmed,
};

static void report_channel(struct publisher *publisher, int error)
{
    const struct whippet_failure *why = &publisher->channel.closed_by;
    struct log_fields fields = {.connection = connection_name(publisher->connection),
                                .error = why->error != 0 ? why->text : whippet_error_text(error)};
    log_repeated(&publisher->failed_openings, loop_now(connection_loop(publisher->connection)),
                 WHIPPET_WARNING, &fields, "the channel to publish on (%s) is not open; trying again",
                 publisher->name);
}

/* Opens the channel and stays until it is gone. 0, or why it could not be opened. */
static int serve(whippet_task *task, struct publisher *publisher)
{
    struct channel *channel = &publisher->channel;
    int error = channel_open(task, channel, publisher->connection, &HANDLERS, publisher, REQUEST_SECONDS);
    if (error == 0)
        error = channel_confirm_select(task, channel, REQUEST_SECONDS);
    if (error != 0) {
        channel_abandon(channel);
        return error;
    }
    publisher->last_tag = 0;
    publisher->is_confirming = true;
    wake_next(publisher);
    waiter_init(&publisher->changed);
    if (channel->is_open)
        waiter_wait(task, &publisher->changed, INFINITY, "ready to publish");
    publisher->is_confirming = false;
    return channel->closed_code == 0 ? 0 : WHIPPET_E_CLOSED;
}

static int publisher_main(whippet_task *task, void *arg)
{
    struct publisher *publisher = arg;
    int error = 0;
    while (!publisher->stopping && error != WHIPPET_E_CANCELLED) {
        if (connection_session(publisher->connection) == NULL) {
            waiter_init(&publisher->changed);
            error = waiter_wait(task, &publisher->changed, INFINITY, "waiting for the connection");
            if (error != WHIPPET_E_CANCELLED)
                error = 0;
            continue;
        }
        error = serve(task, publisher);
        if (error != 0 && error != WHIPPET_E_CANCELLED && connection_session(publisher->connection) != NULL) {
            report_channel(publisher, error);
            error = whippet_sleep(task, REOPEN_SECONDS);
        }
    }
    channel_abandon(&publisher->channel);
    publisher->is_confirming = false;
    return 0;
}

static void main_ended(void *arg, int result)
{
    struct publisher *publisher = arg;
    (void)result;
    publisher->task = NULL;
    waiter_wake(&publisher->ended, 0);
}

struct publisher *publisher_create(struct connection *connection, const char *name)
{
    struct publisher *publisher = memory_allocate_zeroed(sizeof *publisher);
    if (publisher == NULL)
        return NULL;
    publisher->connection = connection;
    publisher->name = name;
    list_init(&publisher->unconfirmed);
    list_init(&publisher->waiting);
    waiter_init(&publisher->changed);
    waiter_init(&publisher->ended);
    return publisher;
}

void publisher_destroy(struct publisher *publisher)
{
    memory_free(publisher);
}

bool publisher_start(struct publisher *publisher)
{
    bool started = false;
    whippet_task *task = task_start(loop_scheduler(connection_loop(publisher->connection)), publisher_main,
                                    publisher, INFINITY, NULL, main_ended, &started);
    if (started && task != NULL)
        publisher->task = task;
    return started;
}

void publisher_stop(whippet_task *task, struct publisher *publisher)
{
    static const struct whippet_failure STOPPED = {.error = WHIPPET_E_CLOSED, .text = "the worker stops"};
    publisher->stopping = true;
    if (publisher->task != NULL) {
        task_cancel(publisher->task);
        waiter_wait_shielded(task, &publisher->ended, "stopping the publisher");
    }
    fail_unconfirmed(publisher, &STOPPED);
    wake_all_waiting(publisher);
}

void publisher_hurry(struct publisher *publisher)
{
    publisher->hurried = true;
    wake_hurried(publisher);
}

void publisher_connection_changed(struct publisher *publisher)
{
    if (connection_session(publisher->connection) != NULL && !publisher->is_confirming)
        waiter_wake(&publisher->changed, 0);
    wake_hurried(publisher);
    wake_next(publisher);
}

/* --- Publishing -----------------------------------------------------------------------------------------*/

bool publisher_is_ready(const struct publisher *publisher)
{
    return publisher->is_confirming && !connection_is_blocked(publisher->connection) &&
           publisher->unconfirmed_count < PUBLISHER_UNCONFIRMED_MAX &&
           connection_backlog(publisher->connection) < PUBLISHER_BACKLOG_MAX;
}

size_t publisher_unconfirmed(const struct publisher *publisher)
{
    return publisher->unconfirmed_count;
}

static const char *why_not_ready(const struct publisher *publisher)
{
    if (publisher->stopping)
        return "the worker stops";
    if (connection_session(publisher->connection) == NULL)
        return "there is no connection to the broker";
    if (!publisher->is_confirming)
        return "the channel to publish on is not open";
    if (connection_is_blocked(publisher->connection))
        return "the broker has raised an alarm and takes no messages";
    return "too many messages wait for the broker's confirm";
}

static bool is_given_up(const struct publisher *publisher)
{
    return publisher->stopping || (publisher->hurried && is_out(publisher));
}

/* Suspends until it is this caller's turn and there is room. */
static int await_turn(whippet_task *task, struct publisher *publisher, double until,
                      struct whippet_failure *failure)
{
    struct turn turn;
    int error = 0;
    list_append(&publisher->waiting, &turn.link);
    while (error == 0 && (publisher->waiting.next != &turn.link || !publisher_is_ready(publisher))) {
        waiter_init(&turn.waiter);
        error = is_given_up(publisher) ? WHIPPET_E_CLOSED
                                       : waiter_wait(task, &turn.waiter, until, "waiting to publish");
    }
    list_remove(&turn.link);
    if (error != 0) {
        failure_set(failure, error, "not published: %s; %s", whippet_error_text(error),
                    why_not_ready(publisher));
        wake_next(publisher);
    }
    return error;
}

static int await_confirm(whippet_task *task, struct publisher *publisher, struct pending *pending,
                         double until)
{
    waiter_init(&pending->waiter);
    list_append(&publisher->unconfirmed, &pending->link);
    publisher->unconfirmed_count++;
    wake_next(publisher);
    int result = waiter_wait(task, &pending->waiter, until, "waiting for the broker's confirm");
    if (list_empty(&pending->link))
        return result;
    list_remove(&pending->link);
    publisher->unconfirmed_count--;
    wake_next(publisher);
    return failure_set(pending->failure, result, "no confirm came: %s", whippet_error_text(result));
}

/* What was refused a moment ago would cost all the channel once more. */
static int check_refusals(struct publisher *publisher, const struct publishing *publishing,
                          struct whippet_failure *failure)
{
    double now = loop_now(connection_loop(publisher->connection));
    const struct whippet_failure *why =
        refusals_find(&publisher->refusals, publishing->exchange, publishing->routing_key, now);
    if (why == NULL)
        return 0;
    wake_next(publisher);
    return failure_set(failure, WHIPPET_E_CLOSED, "not published, as a moment ago %s", why->text);
}

static int check_task(const whippet_task *task, struct publisher *publisher, struct whippet_failure *failure)
{
    int struck = task_struck(task);
    if (struck == 0)
        return 0;
    wake_next(publisher);
    return failure_set(failure, struck, "not published: %s", whippet_error_text(struck));
}

static int publish_once(whippet_task *task, struct publisher *publisher, const struct publishing *publishing,
                        double until, struct whippet_failure *failure)
{
    int error = check_task(task, publisher, failure);
    if (error == 0 && (!list_empty(&publisher->waiting) || !publisher_is_ready(publisher))) {
        error = await_turn(task, publisher, until, failure);
        if (error == 0)
            error = check_task(task, publisher, failure);
    }
    if (error == 0)
        error = check_refusals(publisher, publishing, failure);
    if (error != 0)
        return error;
    error = channel_publish(&publisher->channel, publishing->exchange, publishing->routing_key,
                            publishing->properties, publishing->body);
    if (error != 0) {
        wake_next(publisher);
        return failure_set(failure, error, "not published: %s",
                           error == WHIPPET_E_LIMIT ? "properties and headers do not fit a frame"
                                                    : whippet_error_text(error));
    }
    tell_sent(publishing, true);
    struct pending pending = {
        .delivery_tag = ++publisher->last_tag, .publishing = publishing, .failure = failure};
    return await_confirm(task, publisher, &pending, until);
}

int publisher_publish(whippet_task *task, struct publisher *publisher, const struct publishing *publishing,
                      double until, struct whippet_failure *failure)
{
    int result;
    do
        result = publish_once(task, publisher, publishing, until, failure);
    while (result == SEND_AGAIN);
    return result;
}
