/* Calling the roll: all that is in flight, one after the other, for the board and for the log.
 *
 * There may be tens of thousands, and nothing else is to be late for them. So a call goes over them in slices
 * of some tens of microseconds, and the loop turns in between. Whoever was in flight at its beginning and
 * still is when his turn comes is called once. */
#include "worker_internal.h"
#include <base/bytes.h>
#include <base/clock.h>
#include <base/log.h>

static const double PAUSE_SECONDS = 0.005; /* between two slices */

enum {
    SHOWN_IN_A_SLICE = 250,
    LOGGED_IN_A_SLICE = 25
};

/* --- Who is there ---------------------------------------------------------------------------------------*/

static struct worker *worker_of(const struct delivery *delivery)
{
    return delivery->subscription->worker;
}

void roll_call_join(struct delivery *delivery)
{
    list_append(&worker_of(delivery)->in_flight, &delivery->place);
}

void roll_call_leave(struct delivery *delivery)
{
    struct worker *worker = worker_of(delivery);
    struct list *place = &delivery->place;
    if (worker->showing.at == place)
        worker->showing.at = place->next;
    if (worker->logging.at == place)
        worker->logging.at = place->next;
    list_remove(place);
}

/* --- A call ---------------------------------------------------------------------------------------------*/

static void begin(struct worker *worker, struct roll_call *call)
{
    call->at = worker->in_flight.next;
    call->as_of = loop_now(worker->loop);
}

/* The next one; NULL when all were called. */
static const struct delivery *next(const struct worker *worker, struct roll_call *call)
{
    if (call->at == &worker->in_flight)
        return NULL;
    const struct delivery *delivery = list_entry(call->at, struct delivery, place);
    if (delivery->arrived_at > call->as_of)
        return NULL;
    call->at = call->at->next;
    return delivery;
}

static bool go_on_later(struct worker *worker, struct roll_call *call)
{
    return timer_start(&loop_scheduler(worker->loop)->timers, &call->timer,
                       loop_now(worker->loop) + PAUSE_SECONDS);
}

/* --- For the board --------------------------------------------------------------------------------------*/

static double at_work_since(const struct delivery *delivery)
{
    if (delivery->state == DELIVERY_WAITING || delivery->state == DELIVERY_RETRYING)
        return 0;
    return delivery->at_work_since > 0 ? delivery->at_work_since : delivery->arrived_at;
}

static bool add_row(struct in_flight_list *list, const struct delivery *delivery)
{
    const struct log_fields *fields = &delivery->fields;
    const struct in_flight_row row = {
        .queue = fields->queue,
        .processor = fields->processor,
        .state = delivery_activity(delivery),
        .attempt = delivery->message.attempt,
        .arrived_at = delivery->arrived_at,
        .at_work_since = at_work_since(delivery),
    };
    return in_flight_list_add(list, &row, fields->message_id);
}

static void end_showing(struct worker *worker)
{
    worker->showing.at = NULL;
    worker->to_be_shown = NULL;
}

/* Without memory the list before stays, and says how old it is. */
static void give_up_showing(struct worker *worker)
{
    in_flight_list_release(worker->to_be_shown);
    end_showing(worker);
}

static void show_some(struct worker *worker)
{
    const struct delivery *delivery = NULL;
    bool made = true;
    for (unsigned i = 0; i < SHOWN_IN_A_SLICE && made; i++) {
        delivery = next(worker, &worker->showing);
        if (delivery == NULL)
            break;
        made = add_row(worker->to_be_shown, delivery);
    }
    if (made && delivery == NULL && in_flight_board_show(&worker->stats.board, worker->to_be_shown))
        end_showing(worker);
    else if (!made || !go_on_later(worker, &worker->showing))
        give_up_showing(worker);
}

static void on_show(struct timer *timer)
{
    show_some(list_entry(timer, struct worker, showing.timer));
}

void roll_call_show(struct worker *worker)
{
    if (worker->showing.at != NULL)
        return;
    begin(worker, &worker->showing);
    worker->to_be_shown = in_flight_list_create(worker->showing.as_of);
    if (worker->to_be_shown != NULL)
        show_some(worker);
    else
        end_showing(worker);
}

/* --- For the log ----------------------------------------------------------------------------------------*/

static void log_some(struct worker *worker)
{
    double now = clock_monotonic();
    for (unsigned i = 0; i < LOGGED_IN_A_SLICE; i++) {
        const struct delivery *delivery = next(worker, &worker->logging);
        if (delivery == NULL) {
            worker->logging.at = NULL;
            return;
        }
        log_event(WHIPPET_INFO, &delivery->fields, "in flight: %s; age %.1f s", delivery_activity(delivery),
                  now - delivery->arrived_at);
    }
    if (!go_on_later(worker, &worker->logging))
        worker->logging.at = NULL;
}

static void on_log(struct timer *timer)
{
    log_some(list_entry(timer, struct worker, logging.timer));
}

/* Asked again meanwhile, it begins again. */
void worker_log_in_flight(struct worker *worker)
{
    timer_stop(&loop_scheduler(worker->loop)->timers, &worker->logging.timer);
    log_event(WHIPPET_INFO, NULL, "%llu in flight", (unsigned long long)worker_in_flight(worker));
    begin(worker, &worker->logging);
    log_some(worker);
}

/* --- Beginning and end ----------------------------------------------------------------------------------*/

void roll_call_init(struct worker *worker)
{
    list_init(&worker->in_flight);
    worker->showing.timer.function = on_show;
    worker->logging.timer.function = on_log;
}

void roll_call_destroy(struct worker *worker)
{
    struct timers *timers = &loop_scheduler(worker->loop)->timers;
    timer_stop(timers, &worker->showing.timer);
    timer_stop(timers, &worker->logging.timer);
    give_up_showing(worker);
}
