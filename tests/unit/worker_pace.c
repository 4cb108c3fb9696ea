/* When acks go out, and when the loop gathers. */
#include "../../src/async/loop_state.h"
#include "worker_testing.h"

#define QUEUE(more) "{\"name\":\"q\",\"type\":\"classic\",\"processor\":\"counting\"" more "}"

TestSuite(pace, .fini = work_close, .timeout = 180);

static struct settlement *settlement(void)
{
    return &work_subscription(0)->consumer->settlement;
}

static void deliver_many(int count)
{
    struct fake_link *link = work_consume_link();
    unsigned channel = work_channel("q");
    for (int i = 0; i < count; i++)
        fake_deliver(rig.broker, link, channel, NULL, "a", 1);
}

/* A rate that gathering is worth it for, as if it had been measured. */
static void pretend_a_rush(void)
{
    work.worker->delivery_rate = 1e5;
    work.worker->last_flush = clock_monotonic();
}

/* As in the middle of a rush, however long the last turn took on this machine. */
static void gather_now(void)
{
    pretend_a_rush();
    work.worker->gathering = true;
    loop_set_gather(rig.loop, 300e-6);
}

Test(pace, acks_a_lone_message_in_the_turn_it_ends)
{
    work_open(QUEUE(",\"prefetch\":500"));
    deliver_many(1);
    while (work.start_count == 0)
        rig_step();
    cr_assert_eq(settlement_pending(settlement()), 0, "the ack is held back");
    rig_until(rig.broker->acked == 1);
    cr_assert_not(work.worker->gathering);
}

/* Tried anew where this machine took so long that the messages' turn was over in between. */
Test(pace, acks_what_ends_in_one_turn_with_one_frame)
{
    uint64_t frames = 0;
    work_open(QUEUE(",\"prefetch\":500"));
    for (unsigned i = 1; i <= 20 && frames != 1; i++) {
        uint64_t before = rig.broker->ack_frames;
        deliver_many(30);
        rig_until(rig.broker->acked == i * 30);
        frames = rig.broker->ack_frames - before;
    }
    cr_assert_eq(frames, 1, "%llu frames", (unsigned long long)frames);
}

Test(pace, acks_a_third_of_the_prefetch_in_the_middle_of_a_turn)
{
    work_open(QUEUE(",\"prefetch\":800"));
    deliver_many(800);
    size_t most = 0;
    while (rig.broker->acked < 800) {
        rig_step();
        size_t pending = settlement_pending(settlement());
        most = pending > most ? pending : most;
    }
    cr_assert_lt(most, 267, "%zu were held", most);
    cr_assert_geq(rig.broker->ack_frames, 3);
}

/* Ten messages whose acks are held back: tried anew where this machine took so long that the bound was over.
 */
static void hold_ten(void)
{
    for (int i = 1; i <= 100; i++) {
        deliver_many(10);
        while (work.start_count < (size_t)i * 10) {
            pretend_a_rush();
            rig_step();
        }
        if (settlement_pending(settlement()) == 10)
            return;
        rig_until(fake_outstanding(rig.broker) == 0);
    }
    cr_assert_fail("acks are not held back while it gathers");
}

Test(pace, holds_acks_back_while_gathering_and_no_longer_than_the_bound)
{
    work_open(QUEUE(",\"prefetch\":2000"));
    hold_ten();
    cr_assert(work.worker->gathering);
    uint64_t frames = rig.broker->ack_frames;
    double begun = work_subscription(0)->consumer->oldest_ack_at;
    while (settlement_pending(settlement()) > 0) {
        pretend_a_rush();
        rig_turn();
        cr_assert(clock_monotonic() - begun < 5);
    }
    double held = clock_monotonic() - begun;
    /* A turn that took this machine long is the end of a rush, and they go at once. */
    cr_assert(held >= 0.010 || !work.worker->gathering, "let go after %.4f s", held);
    rig_until(fake_outstanding(rig.broker) == 0);
    cr_assert_eq(rig.broker->ack_frames, frames + 1);
}

Test(pace, lets_acks_go_once_nothing_comes_any_more)
{
    work_open(QUEUE(",\"prefetch\":2000"));
    hold_ten();
    rig_until(fake_outstanding(rig.broker) == 0);
    /* Whatever it believed then, a lone message that comes a while later is acked in the turn it ends. */
    pretend_a_rush();
    rig_turn_for(0.02);
    size_t started = work.start_count;
    deliver_many(1);
    while (work.start_count == started)
        rig_step();
    cr_assert_eq(settlement_pending(settlement()), 0, "the ack is held back");
}

/* One runs until it is told to end, and so many wait behind it. */
static void open_with_stock(const char *queue, int waiting)
{
    work_open(queue);
    fake_deliver(rig.broker, work_consume_link(), work_channel("q"), NULL, "hold", 4);
    for (int i = 0; i < waiting; i++)
        fake_deliver(rig.broker, work_consume_link(), work_channel("q"), NULL, "hold", 4);
    rig_until(list_length(&work_subscription(0)->waiting) == (uint64_t)waiting && work_held_count() == 1);
}

static void end_one(void)
{
    size_t ended = work.end_count;
    work_release(NULL, WHIPPET_ACK);
    while (work.end_count == ended)
        rig_step();
}

Test(pace, holds_acks_back_for_a_while_where_half_the_prefetch_has_not_begun)
{
    open_with_stock(QUEUE(",\"prefetch\":40,\"concurrency\":1"), 30);
    end_one();
    /* Where this machine took longer than they are held, they have gone in time. */
    double begun = work_subscription(0)->consumer->oldest_ack_at;
    cr_assert(settlement_pending(settlement()) == 1 || clock_monotonic() - begun >= 0.010,
              "the ack is not held back");
    rig_until(rig.broker->acked == 1);
    cr_assert_geq(clock_monotonic() - begun, 0.010, "let go after %.4f s", clock_monotonic() - begun);
}

Test(pace, acks_at_once_where_the_broker_may_have_to_wait_for_it)
{
    open_with_stock(QUEUE(",\"prefetch\":40,\"concurrency\":1"), 15);
    end_one();
    cr_assert_eq(settlement_pending(settlement()), 0, "the ack is held back");
}

Test(pace, does_not_wake_up_where_nothing_is_held)
{
    work_open(QUEUE(",\"prefetch\":2000"));
    deliver_many(100);
    rig_until(rig.broker->acked == 100);
    rig_settle_down();
    cr_assert_not(timer_armed(&work.worker->ack_timer));
}

/* However fast messages come. */
static void assert_never_gathers(const char *queue)
{
    work_open(queue);
    for (int i = 0; i < 300; i++) {
        if (fake_outstanding(rig.broker) == 0)
            deliver_many((int)work_subscription(0)->config->prefetch);
        work.worker->delivery_rate = 1e7;
        rig_step();
        cr_assert_not(work.worker->gathering, "it gathers");
        cr_assert_eq(rig.loop->gather, 0);
    }
    rig_until(fake_outstanding(rig.broker) == 0);
}

Test(pace, never_gathers_with_a_prefetch_of_1)
{
    assert_never_gathers(QUEUE(",\"prefetch\":1"));
}

Test(pace, never_gathers_with_a_prefetch_of_10)
{
    assert_never_gathers(QUEUE(",\"prefetch\":10"));
}

Test(pace, never_gathers_below_the_least_prefetch_that_is_worth_it)
{
    assert_never_gathers(QUEUE(",\"prefetch\":31"));
}

Test(pace, gathers_only_while_the_broker_may_still_send)
{
    work_open(QUEUE(",\"prefetch\":100,\"concurrency\":1"));
    pretend_a_rush();
    work_deliver("q", "h1");
    rig_until(work_held_count() == 1);
    deliver_many(80);
    while (settlement_unacknowledged(settlement()) < 81) {
        pretend_a_rush();
        rig_step();
    }
    pretend_a_rush();
    connection_touch(work.worker->consume);
    rig_step();
    cr_assert_not(work.worker->gathering, "19 are left, and it gathers");
    work_release("h1", WHIPPET_ACK);
    rig_until(rig.broker->acked == 81);
}

Test(pace, stops_gathering_with_the_worker)
{
    work_open(QUEUE(",\"prefetch\":2000"));
    deliver_many(1);
    while (work.start_count < 1) {
        pretend_a_rush();
        rig_step();
    }
    gather_now();
    worker_stop(work.worker);
    cr_assert_eq(rig.loop->gather, 0);
    rig_until(work.worker->ended);
    cr_assert_eq(rig.loop->gather, 0);
    rig_settle_down();
    cr_assert_eq(rig.broker->acked, 1, "the ack was lost with the stop");
}

Test(pace, stops_gathering_when_the_connection_goes)
{
    work_open(QUEUE(",\"prefetch\":2000"));
    deliver_many(1);
    while (work.start_count < 1) {
        pretend_a_rush();
        rig_step();
    }
    gather_now();
    rig_settle_down();
    fake_link_reset(rig.broker, work_consume_link());
    rig_until(!work_is_consuming());
    rig_until(work_is_consuming());
    deliver_many(1);
    rig_until(fake_outstanding(rig.broker) == 0);
    cr_assert_eq(rig.loop->gather, 0);
}

Test(pace, wastes_no_time_on_a_connection_that_is_gone)
{
    work_open(QUEUE(",\"prefetch\":2000"));
    deliver_many(1);
    while (work.start_count < 1) {
        pretend_a_rush();
        rig_step();
    }
    gather_now();
    fake_broker_shut(rig.broker);
    fake_link_reset(rig.broker, work_consume_link());
    rig_until(connection_session(work.worker->consume) == NULL);
    rig_turn_for(0.05);
    bool gathers = rig.loop->gather > 0;
    fake_broker_reopen(rig.broker);
    rig_until(work_is_consuming());
    cr_assert_not(gathers, "with nothing to read, the loop still pauses before each poll");
}
