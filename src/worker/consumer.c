/* A channel with its consumer: what the broker says on it, and what it is told of what came by it. */
#include "worker_internal.h"
#include <base/memory.h>

struct consumer *consumer_create(struct subscription *subscription)
{
    struct consumer *consumer = memory_allocate_zeroed(sizeof *consumer);
    if (consumer == NULL)
        return NULL;
    consumer->subscription = subscription;
    consumer->users = 1;
    settlement_init(&consumer->settlement);
    return consumer;
}

void consumer_hold(struct consumer *consumer)
{
    consumer->users++;
}

void consumer_release(struct consumer *consumer)
{
    if (--consumer->users > 0)
        return;
    channel_abandon(&consumer->channel);
    settlement_destroy(&consumer->settlement);
    memory_free(consumer);
}

void consumer_leave(struct consumer *consumer)
{
    consumer_flush(consumer);
    consumer_release(consumer);
}

/* False once another one has taken its place. */
static bool is_newest(const struct consumer *consumer)
{
    return consumer->subscription->consumer == consumer;
}

void consumer_abandon(struct consumer *consumer)
{
    channel_abandon(&consumer->channel);
    if (is_newest(consumer))
        oversized_end(consumer->subscription, false); /* the rest of it does not come any more */
    consumer_return_all(consumer);
}

/* --- What it is told ------------------------------------------------------------------------------------*/

void consumer_abort(struct consumer *consumer, const char *why)
{
    session_abort(connection_session(consumer->channel.connection), why);
}

static void told(struct consumer *consumer, int error)
{
    if (error == WHIPPET_E_MEMORY)
        consumer_abort(consumer, "out of memory for an ack or a nack");
}

static void send_ack(void *owner, uint64_t delivery_tag, bool multiple)
{
    struct consumer *consumer = owner;
    told(consumer, channel_ack(&consumer->channel, delivery_tag, multiple));
}

void consumer_flush(struct consumer *consumer)
{
    if (consumer->channel.is_open)
        settlement_flush(&consumer->settlement, send_ack, consumer);
}

void consumer_ack(struct consumer *consumer, uint64_t delivery_tag)
{
    if (settlement_ack(&consumer->settlement, delivery_tag) != SETTLEMENT_DONE)
        return;
    if (is_newest(consumer))
        pace_ack_pending(consumer->subscription);
    else
        consumer_flush(consumer);
}

void consumer_return(struct consumer *consumer, uint64_t delivery_tag)
{
    if (settlement_return(&consumer->settlement, delivery_tag) == SETTLEMENT_DONE)
        told(consumer, channel_nack(&consumer->channel, delivery_tag, false, true));
}

/* --- What the broker says -------------------------------------------------------------------------------*/

static void on_delivered(void *owner, struct message *message)
{
    struct consumer *consumer = owner;
    struct subscription *subscription = consumer->subscription;
    subscription->worker->turn_deliveries++;
    switch (settlement_delivered(&consumer->settlement, message->delivery_tag)) {
    case SETTLEMENT_DONE: delivery_arrived(subscription, message); return;
    case SETTLEMENT_MEMORY: consumer_abort(consumer, "out of memory for a delivery tag"); break;
    case SETTLEMENT_UNKNOWN:
        consumer_abort(consumer, "a delivery tag came twice, or out of all order");
        break;
    }
    message_destroy(message);
}

static void on_cancelled(void *owner)
{
    struct consumer *consumer = owner;
    consumer->cancelled = true;
    subscription_wake(consumer->subscription);
}

static void on_closed(void *owner, const struct whippet_failure *why)
{
    struct consumer *consumer = owner;
    struct subscription *subscription = consumer->subscription;
    (void)why;
    if (is_newest(consumer)) {
        oversized_end(subscription, false);
        subscription_wake(subscription);
    }
    consumer_return_all(consumer);
}

static void on_oversized_begin(void *owner, const struct oversized *oversized)
{
    struct consumer *consumer = owner;
    consumer->subscription->worker->turn_deliveries++;
    if (settlement_delivered(&consumer->settlement, oversized->message->delivery_tag) == SETTLEMENT_DONE)
        oversized_begin(consumer->subscription, oversized);
    else
        consumer_abort(consumer, "a delivery that can't be kept account of");
}

static void on_oversized_part(void *owner, const struct oversized *oversized, whippet_bytes part)
{
    const struct consumer *consumer = owner;
    (void)oversized;
    oversized_part(consumer->subscription, part);
}

static void on_oversized_end(void *owner, const struct oversized *oversized, bool complete)
{
    const struct consumer *consumer = owner;
    (void)oversized;
    oversized_end(consumer->subscription, complete);
}

static const struct channel_handlers HANDLERS = {
    .closed = on_closed,
    .cancelled = on_cancelled,
    .delivered = on_delivered,
    .oversized_begin = on_oversized_begin,
    .oversized_part = on_oversized_part,
    .oversized_end = on_oversized_end,
};

int consumer_open(whippet_task *task, struct consumer *consumer, double seconds)
{
    return channel_open(task, &consumer->channel, consumer->subscription->worker->consume, &HANDLERS,
                        consumer, seconds);
}
