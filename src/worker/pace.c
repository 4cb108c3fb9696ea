/* The pace: acks are gathered, and while there is a lot to do so are reads.
 *
 * Both wait for more to come, and both only while more is coming. Each ack costs the broker most of what a
 * message costs it, and each small read costs us most of what a message costs us (docs/performance.md), so
 * under load a little patience buys throughput; a lone message must not pay for it. */
#include "worker_internal.h"
#include <base/clock.h>
#include <math.h>

/* How long the loop lets input gather between two polls, and when that is worth it: with as many deliveries
 * expected meanwhile, of which the broker must have this many times as many left to send before it has to
 * wait for acks. A prefetch below their product is never slowed down. */
static const double GATHER_SECONDS = 300e-6;
static const double GATHER_DELIVERIES = 8;
static const double GATHER_CREDIT = 4;

/* While gathering, acks are held until they are an eighth of the prefetch, or this old, or nothing comes. So
 * they are, but for the last, while this share of the prefetch is here and has not begun: the broker could
 * not be of use sooner. */
enum {
    ACK_SHARE = 8,
    STOCK_SHARE = 2,
};

/* As many, and as large a share of the prefetch, are worth a write of their own before the turn ends. */
enum {
    ACK_AT_ONCE = 32,
    ACK_AT_ONCE_SHARE = 3,
};
static const double ACK_SECONDS = 0.010;
static const double ACK_QUIET_SECONDS = 0.001;

static const double RATE_SMOOTHING =
    0.2; /* the newest turn's weight; of one as long as ACK_SECONDS: all of it */

static void on_ack_timer(struct timer *timer)
{
    struct worker *worker = list_entry(timer, struct worker, ack_timer);
    if (connection_session(worker->consume) != NULL)
        connection_touch(worker->consume);
}

void pace_init(struct worker *worker)
{
    worker->ack_timer.function = on_ack_timer;
    worker->last_flush = loop_now(worker->loop);
}

/* --- Acks -----------------------------------------------------------------------------------------------*/

/* In the middle of a turn too, so that a broker that is as fast as we are sends on while we work on the rest.
 */
void pace_ack_pending(struct subscription *subscription)
{
    struct worker *worker = subscription->worker;
    struct consumer *consumer = subscription->consumer;
    size_t pending = settlement_pending(&consumer->settlement);
    if (pending == 1)
        consumer->oldest_ack_at = loop_now(worker->loop);
    connection_touch(worker->consume);
    if (pending < ACK_AT_ONCE || pending * ACK_AT_ONCE_SHARE < subscription->config->prefetch)
        return;
    consumer_flush(consumer);
    connection_send_now(worker->consume);
}

static bool has_stock(const struct subscription *subscription)
{
    const struct settlement *settlement = &subscription->consumer->settlement;
    size_t used = settlement_unacknowledged(settlement);
    size_t begun = settlement_pending(settlement) + subscription->running;
    return !subscription->worker->stopping && used > begun &&
           (used - begun) * STOCK_SHARE >= subscription->config->prefetch;
}

/* The moment when its acks are to go out, or to be looked at again. */
static double ack_moment(const struct subscription *subscription, double now)
{
    const struct consumer *consumer = subscription->consumer;
    double latest = consumer->oldest_ack_at + ACK_SECONDS;
    if (settlement_pending(&consumer->settlement) * ACK_SHARE >= subscription->config->prefetch)
        return now;
    if (has_stock(subscription) || now >= latest)
        return latest;
    return subscription->worker->gathering ? now + ACK_QUIET_SECONDS : now;
}

void pace_flush_acks(struct worker *worker)
{
    each_subscription (subscription, worker)
        consumer_flush(subscription->consumer);
}

/* Returns when those that are held back are to be looked at again; INFINITY: there are none. */
static double flush_due_acks(struct worker *worker, double now)
{
    double next = INFINITY;
    each_subscription (subscription, worker) {
        struct consumer *consumer = subscription->consumer;
        if (settlement_pending(&consumer->settlement) == 0 || !consumer->channel.is_open)
            continue;
        double moment = ack_moment(subscription, now);
        if (moment <= now)
            consumer_flush(consumer);
        else
            next = fmin(next, moment);
    }
    return next;
}

/* --- Gathering ------------------------------------------------------------------------------------------*/

/* Deliveries that the broker may still send before it has to wait for acks. */
static size_t credit_left(const struct worker *worker)
{
    size_t credit = 0;
    each_subscription (subscription, worker) {
        size_t used = settlement_unacknowledged(&subscription->consumer->settlement);
        if (subscription->state == SUBSCRIPTION_CONSUMING && used < subscription->config->prefetch)
            credit += subscription->config->prefetch - used;
    }
    return credit;
}

static void measure_rate(struct worker *worker, double now)
{
    double elapsed = now - worker->last_flush;
    if (elapsed <= 0)
        return;
    double rate = (double)worker->turn_deliveries / elapsed;
    double weight = fmax(RATE_SMOOTHING, fmin(elapsed / ACK_SECONDS, 1));
    worker->delivery_rate += weight * (rate - worker->delivery_rate);
    worker->last_flush = now;
    worker->turn_deliveries = 0;
}

static void decide_gathering(struct worker *worker)
{
    double expected = worker->delivery_rate * GATHER_SECONDS;
    worker->gathering = !worker->stopping && expected >= GATHER_DELIVERIES &&
                        expected * GATHER_CREDIT <= (double)credit_left(worker);
    loop_set_gather(worker->loop, worker->gathering ? GATHER_SECONDS : 0);
}

void pace_end_rush(struct worker *worker)
{
    worker->gathering = false;
    worker->delivery_rate = 0;
    loop_set_gather(worker->loop, 0);
}

void pace_turn_ends(struct worker *worker)
{
    struct timers *timers = &loop_scheduler(worker->loop)->timers;
    double now = worker_read_clock(worker);
    measure_rate(worker, now);
    decide_gathering(worker);
    double next = flush_due_acks(worker, now);
    if (next == INFINITY || !timer_start(timers, &worker->ack_timer, next))
        timer_stop(timers, &worker->ack_timer);
}
