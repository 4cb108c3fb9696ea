#include "dead_pass.h"
#include "dead_count.h"
#include <base/memory.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum {
    WINDOW = 1000,                      /* the prefetch; quorum queues allow 2,000 */
    HELD_MAX = WINDOW - DEAD_HANDS_MAX, /* letters that stay and are held: the window is never full of them */
    LETTER_BYTES_MAX = 32 * 1024 * 1024, /* beyond which nothing is read until half of it is handled */
    BODY_MAX = 512 * 1024 * 1024,        /* RabbitMQ's own limit: what may have to be moved is read whole */
    AMQP_NOT_FOUND = 404,
};

static const double REQUEST_SECONDS = 10;
static const double IDLE_SECONDS = 1;     /* nothing came for so long: has somebody else taken the rest? */
static const double CONFIRM_SECONDS = 60; /* that a copy's confirm is waited for */
static const double LOOK_UP_SECONDS = 0.2;
static const double SILENCE_SECONDS = 10; /* that the first letter is waited for */
static const double TIMELY_SECONDS =
    600; /* that a letter is kept unacknowledged; the broker allows 30 minutes */

/* A hand without a letter. */
struct taker {
    struct list link;
    struct waiter waiter;
};

/* --- Deliveries -----------------------------------------------------------------------------------------*/

/* What stays from now on can be held, all of it: nothing more is to be delivered. */
static void stop(struct dead_pass *pass)
{
    pass->stopping = true;
    pass->hold_max = UINT64_MAX;
    list_each (link, &pass->waiting)
        waiter_wake(&list_entry(link, struct taker, link)->waiter, 0);
    waiter_wake(&pass->ended, 0);
}

static void fail(struct dead_pass *pass, int error, const char *text)
{
    if (pass->failure.error == 0)
        failure_set(&pass->failure, error, "%s", text);
    stop(pass);
}

static void pace_reading(struct dead_pass *pass)
{
    bool pause = pass->letter_bytes > (pass->paused ? LETTER_BYTES_MAX / 2 : LETTER_BYTES_MAX);
    if (pause != pass->paused)
        connection_pause_reading(pass->link->consume, pause);
    pass->paused = pause;
}

static void arrive(struct dead_pass *pass, struct message *message, uint64_t body_size)
{
    uint64_t tag = message->delivery_tag;
    struct dead_letter *letter = dead_letter_create(message, body_size, pass->queue);
    if (letter == NULL || settlement_delivered(&pass->settlement, tag) != SETTLEMENT_DONE) {
        if (letter != NULL)
            dead_letter_destroy(letter);
        fail(pass, WHIPPET_E_MEMORY, "out of memory");
        return;
    }
    pass->arrived++;
    pass->letter_bytes += message_footprint(message);
    list_append(&pass->inbox, &letter->link);
    pace_reading(pass);
    struct list *taker = list_take_first(&pass->waiting);
    if (taker != NULL)
        waiter_wake(&list_entry(taker, struct taker, link)->waiter, 0);
}

static void on_delivered(void *owner, struct message *message)
{
    arrive(owner, message, message->body.len);
}

/* Its body is left out, or its headers, which are larger than a frame. */
static void on_oversized(void *owner, const struct oversized *oversized, bool complete)
{
    const struct message *message = oversized->message;
    if (!complete)
        return;
    struct message *copy = message_create(message->exchange, message->routing_key, message->properties, 0);
    if (copy == NULL) {
        fail(owner, WHIPPET_E_MEMORY, "out of memory");
        return;
    }
    copy->delivery_tag = message->delivery_tag;
    copy->redelivered = message->redelivered;
    copy->headers = message->headers;
    arrive(owner, copy, oversized->body_size);
}

static void on_closed(void *owner, const struct whippet_failure *why)
{
    fail(owner, WHIPPET_E_CLOSED, why->text);
}

static void on_cancelled(void *owner)
{
    fail(owner, WHIPPET_E_CLOSED, "the broker cancelled the consumer: the queue was deleted, or moved");
}

static const struct channel_handlers HANDLERS = {
    .closed = on_closed,
    .cancelled = on_cancelled,
    .delivered = on_delivered,
    .oversized_end = on_oversized,
};

/* --- Settling -------------------------------------------------------------------------------------------*/

static void send_ack(void *owner, uint64_t tag, bool multiple)
{
    struct dead_pass *pass = owner;
    channel_ack(&pass->channel, tag, multiple);
}

static void on_flush(struct posted *posted)
{
    struct dead_pass *pass = list_entry(posted, struct dead_pass, flush);
    settlement_flush(&pass->settlement, send_ack, pass);
}

static void acknowledge(struct dead_pass *pass, const struct dead_letter *letter)
{
    settlement_ack(&pass->settlement, letter->message->delivery_tag);
    scheduler_post(loop_scheduler(pass->link->loop), &pass->flush);
}

/* A copy to the queue's end, then the ack of the original. */
static int move(whippet_task *task, struct dead_pass *pass, const struct dead_letter *letter,
                struct whippet_failure *failure)
{
    struct buffer properties;
    buffer_init(&properties);
    int error = dead_letter_copy(letter, pass->link->brokers->endpoints[0].user, &properties);
    if (error != 0) {
        failure_set(failure, error, "%s", whippet_error_text(error));
    } else {
        struct publishing publishing = {
            .exchange = "",
            .routing_key = pass->queue,
            .properties = bytes_of(buffer_begin(&properties), buffer_length(&properties)),
            .body = letter->message->body,
        };
        error = publisher_publish(task, pass->link->publisher, &publishing,
                                  loop_now(pass->link->loop) + CONFIRM_SECONDS, failure);
    }
    buffer_destroy(&properties);
    if (error == 0)
        acknowledge(pass, letter);
    return error;
}

/* It lies on in the queue, in its place or at the end. */
static void leave(whippet_task *task, struct dead_pass *pass, const struct dead_letter *letter)
{
    struct whippet_failure failure;
    bool worn = dead_letter_returns(letter) >= DEAD_RETURNS_MAX;
    bool may_move = pass->failure.error == 0 && dead_letter_is_whole(letter);
    if ((pass->held < pass->hold_max && !worn) || !may_move) {
        pass->held++;
    } else if (move(task, pass, letter, &failure) == 0) {
        pass->moved++;
    } else {
        char text[FAILURE_TEXT_SIZE];
        pass->held++;
        snprintf(text, sizeof text, "a letter that stays could not be put back at the queue's end: %.400s",
                 failure.text);
        fail(pass, failure.error, text);
    }
}

/* --- Hands ----------------------------------------------------------------------------------------------*/

/* The next letter, or NULL when there is none any more. */
static struct dead_letter *take(whippet_task *task, struct dead_pass *pass)
{
    while (list_empty(&pass->inbox) && !pass->stopping && pass->met < pass->target) {
        struct taker taker;
        waiter_init(&taker.waiter);
        list_append(&pass->waiting, &taker.link);
        int error = waiter_wait(task, &taker.waiter, INFINITY, "waiting for a dead letter");
        list_remove(&taker.link);
        if (error != 0)
            return NULL;
    }
    if (list_empty(&pass->inbox) || pass->stopping || pass->met >= pass->target)
        return NULL;
    struct dead_letter *letter = list_entry(list_take_first(&pass->inbox), struct dead_letter, link);
    if (++pass->met >= pass->target)
        stop(pass);
    return letter;
}

/* Waits for the moment of the letter of that number; false when it is not to be handled any more. */
static bool await_due(whippet_task *task, const struct dead_pass *pass, uint64_t number)
{
    double left;
    if (pass->rate <= 0)
        return true;
    double due = pass->started + (double)number / pass->rate;
    while (!pass->link->interrupted && pass->failure.error == 0 &&
           (left = due - loop_refresh_now(pass->link->loop)) > 0)
        if (whippet_sleep(task, fmin(left, LOOK_UP_SECONDS)) != 0)
            return false;
    return !pass->link->interrupted && pass->failure.error == 0;
}

static enum dead_fate decide(whippet_task *task, struct dead_pass *pass, const struct dead_letter *letter)
{
    if (!dead_filter_matches(&pass->filter, letter))
        return DEAD_STAYS;
    uint64_t number = pass->matched++;
    if (pass->limit > 0 && pass->matched >= pass->limit)
        stop(pass);
    if (pass->limit > 0 && number >= pass->limit) {
        pass->matched--;
        return DEAD_STAYS;
    }
    if (!await_due(task, pass, number)) {
        pass->matched--;
        return DEAD_STAYS;
    }
    return pass->handle(task, pass, letter);
}

static void let_go(struct dead_pass *pass, struct dead_letter *letter)
{
    pass->letter_bytes -= message_footprint(letter->message);
    dead_letter_destroy(letter);
    pace_reading(pass);
}

static int hand(whippet_task *task, void *arg)
{
    struct dead_pass *pass = arg;
    struct dead_letter *letter;
    while ((letter = take(task, pass)) != NULL) {
        enum dead_fate fate = decide(task, pass, letter);
        if (fate == DEAD_FATAL)
            stop(pass);
        if (fate == DEAD_DONE) {
            pass->done++;
            acknowledge(pass, letter);
        } else {
            leave(task, pass, letter);
        }
        let_go(pass, letter);
    }
    if (--pass->hands_left == 0)
        waiter_wake(&pass->ended, 0);
    return 0;
}

/* --- The pass -------------------------------------------------------------------------------------------*/

/* What `request` made of the channel, as a failure. */
static int request_failed(struct dead_pass *pass, int error, const char *doing)
{
    const struct whippet_failure *why = &pass->channel.closed_by;
    pass->missing = pass->channel.closed_code == AMQP_NOT_FOUND;
    pass->failure.error = 0;
    if (pass->missing)
        return failure_set(&pass->failure, error, "there is no queue \"%s\"", pass->queue);
    return failure_set(&pass->failure, error, "%s \"%s\": %s", doing, pass->queue,
                       why->error != 0 ? why->text : whippet_error_text(error));
}

/* How many letters are to be met. */
static uint64_t find_target(const struct dead_pass *pass)
{
    uint64_t target = pass->ready;
    if (pass->look > 0 && pass->look < target)
        target = pass->look;
    return pass->among > 0 && pass->among < target ? pass->among : target;
}

/* The prefetch: no more than is wanted, for what is not handled goes back, and is counted as delivered; nor
 * than the rate gets through before the broker takes it for stuck
 * (https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout). */
static uint16_t find_window(const struct dead_pass *pass)
{
    uint64_t window = pass->look > 0 ? pass->look : WINDOW;
    double timely = pass->rate * TIMELY_SECONDS;
    if (pass->limit > 0 && pass->filter.match == NULL && pass->filter.reason == NULL && pass->limit < window)
        window = pass->limit;
    if (pass->target < window)
        window = pass->target;
    if (timely > 0 && timely < (double)window)
        window = timely > 1 ? (uint64_t)timely : 1;
    return (uint16_t)window;
}

/* What is held is so until the pass ends: where the rate makes that too long, nothing is. */
static uint64_t find_hold_max(const struct dead_pass *pass)
{
    uint64_t most = pass->limit > 0 && pass->limit < pass->target ? pass->limit : pass->target;
    if (pass->look > 0)
        return pass->look;
    return (double)most > pass->rate * TIMELY_SECONDS && pass->rate > 0 ? 0 : HELD_MAX;
}

static int count_ready(whippet_task *task, struct dead_pass *pass, uint64_t *ready)
{
    return dead_count_ready(task, &pass->channel, pass->link->loop, pass->queue, ready);
}

static int begin(whippet_task *task, struct dead_pass *pass)
{
    int error = channel_open(task, &pass->channel, pass->link->consume, &HANDLERS, pass, REQUEST_SECONDS);
    if (error != 0)
        return request_failed(pass, error, "opening a channel for");
    error = count_ready(task, pass, &pass->ready);
    if (error != 0)
        return request_failed(pass, error, "looking for the queue");
    pass->counted = true;
    pass->target = find_target(pass);
    if (pass->target == 0)
        return 0;
    if (!pass->stopping)
        pass->hold_max = find_hold_max(pass);
    error = channel_qos(task, &pass->channel, find_window(pass), REQUEST_SECONDS);
    struct consumption consumption = {
        .queue = pass->queue, .consumer_tag = "whippet-dead", .max_message_size = BODY_MAX};
    if (error == 0)
        error = channel_consume(task, &pass->channel, &consumption, REQUEST_SECONDS);
    return error == 0 ? 0 : request_failed(pass, error, "consuming");
}

static void drop(void *owner, struct message *message)
{
    (void)owner;
    message_destroy(message);
}

/* Whether consuming as only a stream allows it is allowed: from behind its end, where nothing comes
 * (https://www.rabbitmq.com/docs/streams#consuming). */
static bool is_stream(whippet_task *task, const struct dead_pass *pass)
{
    static const struct channel_handlers DROPPING = {.delivered = drop};
    struct channel channel = {0};
    struct buffer arguments;
    buffer_init(&arguments);
    int error = channel_open(task, &channel, pass->link->consume, &DROPPING, NULL, REQUEST_SECONDS);
    if (error == 0 && !table_add_text(&arguments, bytes_of_text("x-stream-offset"), bytes_of_text("next")))
        error = WHIPPET_E_MEMORY;
    if (error == 0)
        error = channel_qos(task, &channel, 1, REQUEST_SECONDS);
    struct consumption consumption = {
        .queue = pass->queue,
        .consumer_tag = "whippet-dead-look",
        .arguments = bytes_of(buffer_begin(&arguments), buffer_length(&arguments)),
    };
    if (error == 0)
        error = channel_consume(task, &channel, &consumption, REQUEST_SECONDS);
    buffer_destroy(&arguments);
    channel_abandon(&channel);
    return error == 0;
}

/* There are letters, and not one has come. */
static void explain_silence(whippet_task *task, struct dead_pass *pass, uint64_t ready)
{
    char text[FAILURE_TEXT_SIZE];
    bool asked = pass->asked_for_stream;
    pass->asked_for_stream = true;
    if (!asked && is_stream(task, pass)) {
        snprintf(text, sizeof text,
                 "\"%s\" is a stream: what is in it can be read, and not be taken out; this command is for "
                 "queues",
                 pass->queue);
        fail(pass, WHIPPET_E_INVALID, text);
    } else if (pass->arrived == 0 && loop_now(pass->link->loop) > pass->started + SILENCE_SECONDS) {
        snprintf(text, sizeof text,
                 "%" PRIu64
                 " messages are ready in \"%s\" and none came within %g s: does another consumer come "
                 "first (x-single-active-consumer, or a higher priority)? Stop it meanwhile",
                 ready, pass->queue, SILENCE_SECONDS);
        fail(pass, WHIPPET_E_TIMEOUT, text);
    }
}

/* Nothing has come for a while: the rest may be in other hands. */
static void look_for_more(whippet_task *task, struct dead_pass *pass)
{
    uint64_t ready = 0;
    uint64_t arrived = pass->arrived;
    if (list_empty(&pass->waiting) || !pass->channel.is_open)
        return;
    if (count_ready(task, pass, &ready) != 0 || pass->arrived != arrived || !list_empty(&pass->inbox))
        return;
    if (ready == 0)
        stop(pass);
    else if (arrived == 0)
        explain_silence(task, pass, ready);
}

static void cancel_hands(struct dead_pass *pass, unsigned hands)
{
    for (unsigned i = 0; i < hands; i++)
        whippet_cancel(pass->tasks[i]);
}

static void work(whippet_task *task, struct dead_pass *pass)
{
    unsigned hands = 0;
    pass->started = loop_now(pass->link->loop);
    while (hands < pass->hands && hands < pass->target &&
           (pass->tasks[hands] = whippet_spawn(task, hand, pass)) != NULL)
        hands++;
    pass->hands_left = hands;
    if (hands == 0)
        fail(pass, WHIPPET_E_MEMORY, "out of memory");
    bool cancelled = false;
    while (pass->hands_left > 0) {
        waiter_init(&pass->ended);
        if (pass->link->lost && !cancelled) {
            cancelled = true;
            cancel_hands(pass, hands);
        }
        double until = pass->stopping ? INFINITY : loop_now(pass->link->loop) + IDLE_SECONDS;
        if (waiter_wait(task, &pass->ended, until, "passing over dead letters") == WHIPPET_E_TIMEOUT)
            look_for_more(task, pass);
    }
    whippet_join_all(task);
}

/* What was delivered and not taken goes back like what was taken and stays. */
static void empty_inbox(whippet_task *task, struct dead_pass *pass)
{
    struct list *link;
    while ((link = list_take_first(&pass->inbox)) != NULL) {
        struct dead_letter *letter = list_entry(link, struct dead_letter, link);
        if (task != NULL)
            leave(task, pass, letter);
        dead_letter_destroy(letter);
    }
}

/* RabbitMQ puts acks for a quorum queue aside while more than a few of them wait to be written down, and
 * throws them away when the channel is closed: what was replayed would be there once more
 * (rabbit_fifo_client.erl, `unsent_commands`; seen in 3.10.8 on a busy machine). basic.cancel is answered
 * when those before it are written; what was put aside is sent then, before the channel looks at the next
 * request, which is this. */
static void await_acks(whippet_task *task, struct dead_pass *pass)
{
    uint64_t ready;
    if (pass->channel.is_open && pass->done + pass->moved > 0)
        count_ready(task, pass, &ready);
}

static void end(whippet_task *task, struct dead_pass *pass)
{
    if (pass->paused)
        connection_pause_reading(pass->link->consume, false);
    pass->paused = false;
    pass->letter_bytes = 0;
    settlement_flush(&pass->settlement, send_ack, pass);
    if (pass->channel.is_open && pass->target > 0)
        channel_cancel(task, &pass->channel, REQUEST_SECONDS);
    await_acks(task, pass);
    empty_inbox(pass->channel.is_open ? task : NULL, pass);
    posted_cancel(&pass->flush);
    settlement_flush(&pass->settlement, send_ack, pass);
    await_acks(task, pass);
    channel_close(task, &pass->channel, REQUEST_SECONDS);
    channel_abandon(&pass->channel);
    empty_inbox(NULL, pass);
    settlement_destroy(&pass->settlement);
}

static void on_changed(void *owner)
{
    struct dead_pass *pass = owner;
    if (pass->link->lost)
        fail(pass, WHIPPET_E_CLOSED, "the connection to the broker was lost");
    else
        stop(pass);
}

int dead_pass_run(whippet_task *task, struct dead_pass *pass)
{
    list_init(&pass->inbox);
    list_init(&pass->waiting);
    waiter_init(&pass->ended);
    settlement_init(&pass->settlement);
    pass->flush.function = on_flush;
    pass->link->changed = on_changed;
    pass->link->owner = pass;
    if (pass->link->lost || pass->link->interrupted)
        on_changed(pass);
    if (!pass->stopping && begin(task, pass) == 0 && pass->target > 0)
        work(task, pass);
    end(task, pass);
    pass->link->changed = NULL;
    return pass->failure.error;
}
