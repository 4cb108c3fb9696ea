/* Fair turns: how many attempts a queue may start before the others, and the sockets, have theirs.
 *
 * A processor that never suspends runs to its end inside its start, and the next message starts when it has
 * ended: without a limit, all that a queue has prefetched would run before the loop turns once. So each queue
 * has a number of starts, and the turn of the loop a time; who has used up his waits for the end of the turn,
 * where the waiting get theirs one after the other. */
#include "worker_internal.h"

/* More than one read brings of small messages: what waits for its turn lies about meanwhile, and memory that
 * is taken and given back in turn costs a third of what it does in heaps. */
enum {
    TURN_STARTS = 512
};
static const double TURN_SECONDS = 0.005; /* after which nobody starts a second one in this turn */

static bool turn_is_over(const struct worker *worker)
{
    return worker->clock - loop_now(worker->loop) > TURN_SECONDS;
}

static void on_turn_end(struct posted *posted)
{
    struct worker *worker = list_entry(posted, struct worker, turn_end);
    struct list waiting, *link;
    list_init(&waiting);
    list_append_all(&waiting, &worker->awaiting_turn);
    while ((link = list_take_first(&waiting)) != NULL) {
        struct subscription *subscription = list_entry(link, struct subscription, turn);
        subscription->starts_left = TURN_STARTS;
        subscription_dispatch(subscription);
    }
}

void turns_init(struct worker *worker)
{
    list_init(&worker->awaiting_turn);
    worker->turn_end.function = on_turn_end;
}

void turns_join(struct subscription *subscription)
{
    list_init(&subscription->turn);
    subscription->starts_left = TURN_STARTS;
}

void turns_leave(struct subscription *subscription)
{
    list_remove(&subscription->turn);
}

/* Each turn of the loop reads the clock once. */
static void begin_turn(struct subscription *subscription)
{
    double now = loop_now(subscription->worker->loop);
    if (subscription->turn_at == now)
        return;
    subscription->turn_at = now;
    subscription->starts_left = TURN_STARTS;
}

bool turns_take(struct subscription *subscription)
{
    struct worker *worker = subscription->worker;
    begin_turn(subscription);
    bool is_first = subscription->starts_left == TURN_STARTS; /* which is had in any case: all get on */
    if (subscription->starts_left > 0 && (is_first || !turn_is_over(worker))) {
        subscription->starts_left--;
        return true;
    }
    if (list_empty(&subscription->turn)) {
        list_append(&worker->awaiting_turn, &subscription->turn);
        scheduler_post(loop_scheduler(worker->loop), &worker->turn_end);
    }
    return false;
}
