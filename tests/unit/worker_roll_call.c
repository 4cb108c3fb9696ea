/* Lists of all that is in flight, made while the loop turns. */
#include "worker_testing.h"
#include <base/memory.h>

TestSuite(roll_call, .fini = work_close, .timeout = 180);

#define QUEUE(name, more) "{\"name\":\"" name "\",\"processor\":\"counting\"" more "}"

enum {
    MANY = 1000
};

static struct in_flight_list *shown(void)
{
    return in_flight_board_look(&work.worker->stats.board);
}

/* The newest, once none is under way; makes one where none was. To be released. */
static struct in_flight_list *show(void)
{
    roll_call_show(work.worker);
    rig_until(work.worker->showing.at == NULL);
    struct in_flight_list *list = shown();
    cr_assert_not_null(list);
    return list;
}

static void hold_many(void)
{
    char body[16];
    work_open(QUEUE("q", ",\"concurrency\":1000,\"prefetch\":1500"));
    for (int i = 0; i < MANY; i++) {
        snprintf(body, sizeof body, "h%d", i);
        work_deliver("q", body);
    }
    rig_until(work_held_count() == MANY);
}

static void release_all(void)
{
    while (work_held_count() > 0) {
        work_release(NULL, WHIPPET_ACK);
        rig_turn();
    }
}

static void assert_in_order(const struct in_flight_list *list)
{
    for (const struct in_flight_row *row = list->first; row->next != NULL; row = row->next)
        cr_assert_leq(row->arrived_at, row->next->arrived_at);
}

Test(roll_call, goes_over_many_in_slices_between_which_the_loop_turns)
{
    hold_many();
    roll_call_show(work.worker);
    size_t at_once = work.worker->to_be_shown->count;
    cr_assert(at_once > 0 && at_once <= 250, "%zu at once", at_once);
    cr_assert_null(shown(), "half a list");
    struct in_flight_list *list = show();
    cr_assert_eq(list->count, MANY, "%zu", list->count);
    assert_in_order(list);
    in_flight_list_release(list);
    release_all();
}

Test(roll_call, calls_everybody_else_once_when_some_leave_whose_turn_is_next)
{
    hold_many();
    roll_call_show(work.worker);
    size_t called = work.worker->to_be_shown->count, left = 0;
    char body[16];
    while (work.worker->showing.at != NULL) {
        const struct list *before = work.worker->showing.at;
        if (before != &work.worker->in_flight) {
            const struct delivery *next = list_entry(before, struct delivery, place);
            whippet_bytes bytes = whippet_body(&next->message);
            snprintf(body, sizeof body, "%.*s", (int)bytes.len, (const char *)bytes.data);
            work_release(body, WHIPPET_ACK);
            left++;
        }
        rig_turn();
    }
    struct in_flight_list *list = shown();
    cr_assert_gt(left, 2);
    cr_assert(list->count < MANY && list->count >= MANY - left, "%zu of which %zu left", list->count, left);
    cr_assert_geq(list->count, called);
    assert_in_order(list);
    in_flight_list_release(list);
    release_all();
}

Test(roll_call, leaves_who_came_after_its_beginning_to_the_next)
{
    hold_many();
    roll_call_show(work.worker);
    for (int i = 0; i < 10; i++)
        work_deliver("q", "h");
    rig_until(worker_in_flight(work.worker) == MANY + 10);
    struct in_flight_list *first = show(), *second = show();
    cr_assert_eq(first->count, MANY);
    cr_assert_lt(first->as_of, second->as_of);
    cr_assert_eq(second->count, MANY + 10);
    in_flight_list_release(first);
    in_flight_list_release(second);
    release_all();
}

Test(roll_call, tells_those_at_work_from_those_that_rest)
{
    work_open(QUEUE("q", ",\"concurrency\":2,\"retry\":{\"delay\":\"60s\"}"));
    rig.broker->confirm = FAKE_HOLDS;
    work_deliver("q", "r");
    rig_until(counter_get(&work_subscription(0)->stats.counters.phases[PHASE_RETRYING]) == 1);
    work_deliver("q", "x");
    rig_until(fake_published(rig.broker) == 1);
    work_deliver("q", "h");
    work_deliver("q", "waits");
    rig_until(worker_in_flight(work.worker) == 4);
    struct in_flight_list *list = show();
    const struct in_flight_row *rests = list->first, *settles = rests->next, *works = settles->next;
    cr_assert_str_eq(rests->state, "between two attempts");
    cr_assert_eq(rests->at_work_since, 0);
    cr_assert_str_eq(settles->state, "on its way to another queue");
    cr_assert_geq(settles->at_work_since, settles->arrived_at);
    cr_assert_str_eq(works->state, "held by the test");
    cr_assert_geq(works->at_work_since, works->arrived_at);
    cr_assert_str_eq(works->next->state, "waiting for its turn");
    cr_assert_eq(works->next->at_work_since, 0);
    in_flight_list_release(list);
    const struct fake_publish *publish = &rig.broker->publishes[0];
    rig.broker->confirm = FAKE_CONFIRMS;
    fake_confirm(publish->link, publish->channel, publish->tag, false, false);
    rig_until(rig.broker->acked == 2); /* and the one that waited for its turn */
    release_all();
}

static bool refuse(size_t size)
{
    (void)size;
    return false;
}

Test(roll_call, comes_to_nothing_without_memory_and_succeeds_later)
{
    hold_many();
    memory_permit = refuse;
    roll_call_show(work.worker);
    memory_permit = NULL;
    cr_assert_null(work.worker->to_be_shown);
    roll_call_show(work.worker);
    memory_permit = refuse; /* between two slices */
    rig_until(work.worker->showing.at == NULL);
    memory_permit = NULL;
    cr_assert_null(shown());
    struct in_flight_list *list = show();
    cr_assert_eq(list->count, MANY);
    in_flight_list_release(list);
    release_all();
}

Test(roll_call, is_repeated_when_a_reader_just_takes_hold_of_the_board)
{
    work_open(QUEUE("q", ""));
    pthread_mutex_lock(&work.worker->stats.board.lock);
    roll_call_show(work.worker);
    rig_turn_for(0.02);
    cr_assert_not_null(work.worker->to_be_shown);
    pthread_mutex_unlock(&work.worker->stats.board.lock);
    in_flight_list_release(show());
}
