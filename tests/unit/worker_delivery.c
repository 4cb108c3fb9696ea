/* The way of a message from delivery to outcome, against a fake broker. */
#include "../../src/async/loop_state.h"
#include "worker_testing.h"

#define QUEUE(name, more) "{\"name\":\"" name "\",\"processor\":\"counting\"" more "}"
#define QUICK_RETRY       ",\"retry\":{\"delay\":\"20ms\"}"

static struct queue_counters *counters_of(size_t queue)
{
    return &work_subscription(queue)->stats.counters;
}

static uint64_t attempts(enum attempt_result result)
{
    return counter_get(&counters_of(0)->attempts[result]);
}

static uint64_t stale(void)
{
    return counter_get(&counters_of(0)->stale_settlements);
}

TestSuite(delivery, .fini = work_close, .timeout = 120);

/* --- One message ----------------------------------------------------------------------------------------*/

Test(delivery, is_acked_once_its_processor_says_so)
{
    work_open(QUEUE("q", ""));
    uint64_t tag = work_deliver("q", "h1");
    rig_until(work_held_count() == 1);
    rig_settle_down();
    cr_assert_eq(rig.broker->ack_frames, 0, "acked before its processor has ended");
    work_release("h1", WHIPPET_ACK);
    rig_until(rig.broker->acked == 1);
    cr_assert_eq(fake_tag_state(work_consume_link(), work_channel("q"), tag), FAKE_TAG_ACKED);
    cr_assert_eq(work_count(0, OUTCOME_ACKED), 1);
    cr_assert_eq(attempts(ATTEMPT_OK), 1);
}

Test(delivery, that_keeps_failing_is_attempted_five_times_with_the_delay_between)
{
    work_open(QUEUE("q", QUICK_RETRY));
    work_deliver("q", "r1");
    rig_until(rig.broker->acked == 1);
    cr_assert_eq(work.start_count, 5, "%zu attempts", work.start_count);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_eq(work.starts[i].attempt, i + 1);
        double pause = i > 0 ? work.starts[i].at - work.starts[i - 1].at : 0.02;
        cr_assert(pause > 0.0199, "attempt %u came after %.4f s", i + 1, pause);
    }
    cr_assert_eq(attempts(ATTEMPT_RETRY), 5);
    cr_assert_eq(work_count(0, OUTCOME_DEAD_LETTERED), 1);
    cr_assert_eq(fake_published(rig.broker), 1);
    cr_assert_str_eq(rig.broker->publishes[0].routing_key, "q.dead");
    cr_assert(rig.broker->publishes[0].mandatory);
}

static double pause_before(unsigned start)
{
    return work.starts[start].at - work.starts[start - 1].at;
}

Test(delivery, that_asks_for_a_longer_pause_has_it)
{
    work_open(QUEUE("q", QUICK_RETRY));
    work_deliver("q", "p1");
    rig_until(work.start_count == 3);
    cr_assert_geq(pause_before(1), 0.1999);
    cr_assert_geq(pause_before(2), 0.1999);
}

Test(delivery, that_asks_for_a_shorter_pause_has_the_queues_own)
{
    work_open(QUEUE("q", ",\"retry\":{\"delay\":\"300ms\"}"));
    work_deliver("q", "p1");
    rig_until(work.start_count == 2);
    cr_assert_geq(pause_before(1), 0.2999);
}

Test(delivery, that_asks_for_a_pause_has_it_whatever_the_jitter_of_the_queues_own)
{
    work_open(QUEUE("q", ",\"retry\":{\"delay\":\"300ms\",\"jitter\":1}"));
    work_deliver("q", "p1");
    rig_until(work.start_count == 5);
    for (unsigned i = 1; i < 5; i++)
        cr_assert_geq(pause_before(i), 0.1999, "attempt %u came after %.4f s", i + 1, pause_before(i));
}

Test(delivery, has_no_longer_pause_than_the_queues_longest)
{
    work_open(QUEUE("q", ",\"retry\":{\"delay\":\"20ms\",\"max_delay\":\"100ms\"}"));
    work_deliver("q", "P1");
    rig_until(work.start_count == 5);
    cr_assert_geq(pause_before(1), 0.0999);
}

Test(delivery, that_is_rejected_is_not_attempted_again)
{
    work_open(QUEUE("q", QUICK_RETRY));
    work_deliver("q", "x1");
    rig_until(rig.broker->acked == 1);
    cr_assert_eq(work.start_count, 1);
    cr_assert_eq(attempts(ATTEMPT_REJECT), 1);
    cr_assert_eq(work_count(0, OUTCOME_DEAD_LETTERED), 1);
    cr_assert_eq(work_failures(0, FAILURE_REJECTED), 1);
}

Test(delivery, is_acked_only_after_the_confirm_of_its_dead_letter)
{
    work_open(QUEUE("q", QUICK_RETRY));
    rig.broker->confirm = FAKE_HOLDS;
    work_deliver("q", "x1");
    rig_until(fake_published(rig.broker) == 1 && rig.broker->publishes[0].whole);
    rig_settle_down();
    cr_assert_eq(rig.broker->ack_frames, 0);
    struct fake_publish *publish = &rig.broker->publishes[0];
    fake_confirm(publish->link, publish->channel, publish->tag, false, false);
    rig_until(rig.broker->acked == 1);
}

Test(delivery, stays_unacked_while_its_dead_letter_is_refused_and_is_tried_again)
{
    work_open(QUEUE("q", ""));
    rig.broker->confirm = FAKE_NACKS;
    work_deliver("q", "x1");
    rig_until(fake_published(rig.broker) == 1);
    rig_settle_down();
    cr_assert_eq(rig.broker->ack_frames + rig.broker->nack_frames, 0);
    rig.broker->confirm = FAKE_CONFIRMS;
    rig_until(rig.broker->acked == 1);
    cr_assert_eq(fake_published(rig.broker), 2);
}

Test(delivery, has_its_dead_letter_queue_declared_anew_when_nobody_took_the_copy)
{
    work_open(QUEUE("q", ""));
    rig.broker->confirm = FAKE_RETURNS;
    work_deliver("q", "x1");
    rig_until(fake_published(rig.broker) == 1);
    rig_settle_down();
    cr_assert_eq(rig.broker->ack_frames, 0);
    rig.broker->confirm = FAKE_CONFIRMS;
    rig_until(rig.broker->acked == 1);
}

Test(delivery, that_fails_for_good_is_discarded_where_that_is_asked_for)
{
    work_open(QUEUE("q", ",\"on_failure\":\"discard\""));
    work_deliver("q", "x1");
    rig_until(rig.broker->acked == 1);
    cr_assert_eq(work_count(0, OUTCOME_DISCARDED), 1);
    cr_assert_eq(fake_published(rig.broker), 0);
}

Test(delivery, that_runs_out_of_time_counts_as_a_failed_attempt)
{
    work_open(QUEUE("q", ",\"timeout\":\"10ms\",\"retry\":{\"attempts\":2,\"delay\":\"1ms\"}"));
    work_deliver("q", "t1");
    rig_until(rig.broker->acked == 1);
    cr_assert_eq(attempts(ATTEMPT_TIMEOUT), 2);
    cr_assert_eq(work_count(0, OUTCOME_DEAD_LETTERED), 1);
    cr_assert_eq(work_failures(0, FAILURE_TIMEOUT), 1);
}

Test(delivery, with_a_verdict_that_is_none_counts_as_a_failed_attempt)
{
    work_open(QUEUE("q", ",\"retry\":{\"attempts\":1}"));
    work_deliver("q", "h1");
    rig_until(work_held_count() == 1);
    work_release(NULL, (whippet_verdict)77);
    rig_until(rig.broker->acked == 1);
    cr_assert_eq(attempts(ATTEMPT_RETRY), 1);
    cr_assert_eq(work_count(0, OUTCOME_DEAD_LETTERED), 1);
    cr_assert_eq(work_failures(0, FAILURE_RETRY_EXHAUSTED), 1);
}

/* --- Slots ----------------------------------------------------------------------------------------------*/

Test(delivery, never_runs_more_at_once_than_concurrency_says)
{
    work_open(QUEUE("q", ",\"concurrency\":3,\"prefetch\":100"));
    for (int i = 0; i < 60; i++)
        work_deliver("q", "s");
    rig_until(rig.broker->acked == 60);
    cr_assert_eq(work.most_inside[0], 3, "%u at once", work.most_inside[0]);
}

Test(delivery, waits_its_turn_in_the_order_it_came)
{
    char body[16];
    work_open(QUEUE("q", ",\"concurrency\":1,\"prefetch\":100"));
    for (int i = 0; i < 50; i++) {
        snprintf(body, sizeof body, i % 2 == 0 ? "s%d" : "a%d", i);
        work_deliver("q", body);
    }
    rig_until(rig.broker->acked == 50);
    for (int i = 0; i < 50; i++) {
        snprintf(body, sizeof body, i % 2 == 0 ? "s%d" : "a%d", i);
        cr_assert_str_eq(work.starts[i].body, body, "number %d to start was %s", i, work.starts[i].body);
    }
}

Test(delivery, holds_no_slot_between_two_attempts)
{
    work_open(QUEUE("q", ",\"concurrency\":1,\"prefetch\":100,\"retry\":{\"delay\":\"2s\",\"attempts\":2}"));
    work_deliver("q", "r1");
    rig_until(counter_get(&counters_of(0)->phases[PHASE_RETRYING]) == 1);
    size_t stacks = loop_scheduler(rig.loop)->tasks;
    for (int i = 0; i < 20; i++)
        work_deliver("q", "a");
    rig_until(rig.broker->acked == 20);
    cr_assert_eq(work_starts("r1"), 1, "the others had to wait for it");
    cr_assert_eq(loop_scheduler(rig.loop)->tasks, stacks, "it keeps a stack");
    rig_until(rig.broker->acked == 21);
}

Test(delivery, holds_its_slot_until_its_dead_letter_is_confirmed)
{
    work_open(QUEUE("q", ",\"concurrency\":1,\"prefetch\":10"));
    rig.broker->confirm = FAKE_HOLDS;
    work_deliver("q", "x1");
    work_deliver("q", "a");
    rig_until(fake_published(rig.broker) == 1 && rig.broker->publishes[0].whole);
    rig_settle_down();
    cr_assert_eq(work_starts("a"), 0);
    fake_confirm(rig.broker->publishes[0].link, rig.broker->publishes[0].channel, 1, false, false);
    rig_until(rig.broker->acked == 2);
}

Test(delivery, of_a_slow_queue_does_not_delay_another_queue)
{
    work_open(QUEUE("slow", ",\"concurrency\":1") "," QUEUE("quick", ""));
    work_deliver("slow", "h1");
    work_deliver("slow", "h2");
    rig_until(work_held_count() == 1);
    for (int i = 0; i < 100; i++)
        work_deliver("quick", "a");
    rig_until(work_count(1, OUTCOME_ACKED) == 100);
    cr_assert_eq(work_count(0, OUTCOME_ACKED), 0);
    work_release("h1", WHIPPET_ACK);
    rig_until(work_held_count() == 1 && work_count(0, OUTCOME_ACKED) == 1);
    work_release("h2", WHIPPET_ACK);
    rig_until(rig.broker->acked == 102);
}

/* --- Headers that can't be read -------------------------------------------------------------------------*/

static void make_deep(struct wire *properties)
{
    struct wire entries = {0};
    wire_nested_tables(&entries, 40);
    wire_properties_with_headers(properties, &entries);
    wire_destroy(&entries);
}

Test(delivery, with_headers_nested_too_deep_is_dead_lettered_without_an_attempt)
{
    struct wire properties = {0};
    work_open(QUEUE("q", ""));
    make_deep(&properties);
    fake_deliver(rig.broker, work_consume_link(), work_channel("q"), &properties, "a", 1);
    wire_destroy(&properties);
    rig_until(rig.broker->acked == 1);
    cr_assert_eq(work.start_count, 0);
    cr_assert_eq(work_count(0, OUTCOME_DEAD_LETTERED), 1);
}

/* Each of them ends within its own start. */
Test(delivery, of_tens_of_thousands_without_an_attempt_takes_no_stack_for_each)
{
    struct wire properties = {0};
    work_open(
        QUEUE("q", ",\"type\":\"classic\",\"concurrency\":1,\"prefetch\":65535,\"on_failure\":\"discard\""));
    make_deep(&properties);
    work_deliver("q", "h1");
    for (int i = 0; i < 60000; i++)
        fake_deliver(rig.broker, work_consume_link(), work_channel("q"), &properties, "a", 1);
    wire_destroy(&properties);
    struct queue_counters *counters = counters_of(0);
    while (counter_get(&counters->phases[PHASE_WAITING]) < 60000) {
        rig_step();
    }
    work_release("h1", WHIPPET_ACK);
    rig_until(rig.broker->acked == 60001);
    cr_assert_eq(work_count(0, OUTCOME_DISCARDED), 60000);
}

Test(delivery, of_thousands_that_never_suspend_takes_no_stack_for_each)
{
    work_open(QUEUE("q", ",\"type\":\"classic\",\"concurrency\":1,\"prefetch\":65535"));
    work_deliver("q", "h1");
    for (int i = 0; i < 15000; i++)
        work_deliver("q", "a");
    struct queue_counters *counters = counters_of(0);
    while (counter_get(&counters->phases[PHASE_WAITING]) < 15000) {
        rig_step();
    }
    work_release("h1", WHIPPET_ACK);
    rig_until(rig.broker->acked == 15001);
    cr_assert_eq(work.most_inside[0], 1);
}

/* --- When the channel goes ------------------------------------------------------------------------------*/

static void lose_everything(void)
{
    uint64_t before = connection_reconnects(work.worker->consume);
    fake_link_reset(rig.broker, work_consume_link());
    rig_until(connection_reconnects(work.worker->consume) > before && work_is_consuming());
}

Test(delivery, that_ends_after_its_connection_has_gone_is_dropped_and_counted)
{
    work_open(QUEUE("q", ""));
    work_deliver("q", "h1");
    work_deliver("q", "h2");
    rig_until(work_held_count() == 2);
    lose_everything();
    work_deliver("q", "h3");
    rig_until(work_held_count() == 3);
    work_release("h1", WHIPPET_ACK);
    work_release("h2", WHIPPET_REJECT);
    rig_until(work.end_count == 2);
    rig_settle_down();
    cr_assert_eq(rig.broker->ack_frames + rig.broker->nack_frames, 0,
                 "the tag of another connection was settled");
    cr_assert_eq(work_count(0, OUTCOME_RETURNED), 2);
    cr_assert_eq(stale(), 1, "%llu", (unsigned long long)stale());
    cr_assert_eq(fake_published(rig.broker), 0, "a copy of what is in its queue again");
    work_release("h3", WHIPPET_ACK);
    rig_until(rig.broker->acked == 1);
}

Test(delivery, that_waits_or_is_between_attempts_is_returned_with_its_channel)
{
    work_open(QUEUE("q", ",\"concurrency\":1,\"prefetch\":100,\"retry\":{\"delay\":\"10s\"}"));
    work_deliver("q", "r1");
    rig_until(counter_get(&counters_of(0)->phases[PHASE_RETRYING]) == 1);
    work_deliver("q", "h1");
    work_deliver("q", "a");
    rig_until(counter_get(&counters_of(0)->phases[PHASE_WAITING]) == 1);
    fake_channel_close(rig.broker, work_consume_link(), work_channel("q"), 406,
                       "PRECONDITION_FAILED - timeout");
    rig_until(work_count(0, OUTCOME_RETURNED) == 2);
    cr_assert_eq(work_starts("a"), 0);
    work_release("h1", WHIPPET_ACK);
    rig_until(work_count(0, OUTCOME_RETURNED) == 3);
    cr_assert_eq(stale(), 1);
    rig_until(work_is_consuming());
}

Test(delivery, whose_dead_letter_was_on_its_way_when_the_channel_went_is_not_acked)
{
    work_open(QUEUE("q", ""));
    rig.broker->confirm = FAKE_HOLDS;
    work_deliver("q", "x1");
    rig_until(fake_published(rig.broker) == 1 && rig.broker->publishes[0].whole);
    lose_everything();
    fake_confirm(rig.broker->publishes[0].link, rig.broker->publishes[0].channel, 1, false, false);
    rig_until(work_count(0, OUTCOME_RETURNED) == 1);
    cr_assert_eq(stale(), 1);
    cr_assert_eq(rig.broker->ack_frames, 0);
}

Test(delivery, whose_dead_letter_lost_its_connection_is_published_anew)
{
    work_open(QUEUE("q", ""));
    rig.broker->confirm = FAKE_HOLDS;
    work_deliver("q", "x1");
    rig_until(fake_published(rig.broker) == 1 && rig.broker->publishes[0].whole);
    fake_link_reset(rig.broker, fake_link_named(rig.broker, "publish"));
    rig.broker->confirm = FAKE_CONFIRMS;
    rig_until(rig.broker->acked == 1);
    cr_assert_eq(fake_published(rig.broker), 2);
    cr_assert_eq(work_count(0, OUTCOME_DEAD_LETTERED), 1);
}

Test(delivery, whose_dead_letter_was_not_sent_when_the_channel_went_is_not_sent_any_more)
{
    work_open(QUEUE("q", ""));
    work_raise_alarm();
    work_deliver("q", "x1");
    rig_until(work_starts("x1") == 1);
    rig_settle_down();
    fake_link_reset(rig.broker, work_consume_link());
    rig_until(work_count(0, OUTCOME_RETURNED) == 1);
    work_end_alarm();
    rig_settle_down();
    cr_assert_eq(fake_published(rig.broker), 0, "a copy of what is in its queue again");
    cr_assert_eq(stale(), 0, "%llu", (unsigned long long)stale());
}

Test(delivery, whose_dead_letter_was_refused_and_not_sent_again_when_the_channel_went_is_not_sent_any_more)
{
    work_open(QUEUE("q", ""));
    rig.broker->confirm = FAKE_NACKS;
    work_deliver("q", "x1");
    rig_until(fake_published(rig.broker) == 1);
    rig_settle_down();
    rig.broker->confirm = FAKE_CONFIRMS;
    fake_link_reset(rig.broker, work_consume_link());
    rig_until(work_count(0, OUTCOME_RETURNED) == 1);
    cr_assert_eq(fake_published(rig.broker), 1, "a copy of what is in its queue again");
}

/* --- Attempts that can't begin --------------------------------------------------------------------------*/

static int shortages;

static int start_or_not(struct delivery *delivery, struct whippet_failure *failure)
{
    if (shortages-- > 0)
        return failure_set(failure, WHIPPET_E_MEMORY, "no memory for a task");
    return LOOP_EXECUTOR.start(delivery, failure);
}

Test(delivery, that_can_not_be_started_is_tried_again_and_the_queue_says_why)
{
    static struct executor executor;
    char text[SHARED_TEXT_SIZE];
    work_open(QUEUE("q", ""));
    executor = LOOP_EXECUTOR;
    executor.start = start_or_not;
    work_subscription(0)->executor = &executor;
    shortages = 3;
    work_deliver("q", "a1");
    rig_until(rig.broker->acked == 1);
    cr_assert_lt(shortages, 0);
    cr_assert_eq(work.starts[0].attempt, 1, "what did not begin was no attempt");
    shared_text_get(&work_subscription(0)->stats.last_error, text);
    cr_assert_str_eq(text, "no memory for a task");
}

/* --- Stopping -------------------------------------------------------------------------------------------*/

static struct loop *lookup_loop;
static atomic_bool looked_up;

static void hang(void *arg)
{
    (void)arg;
    usleep(4000000);
    atomic_store(&looked_up, true);
}

static int look_up(whippet_task *task, void *arg)
{
    return loop_offload(task, hang, arg, NULL);
}

static whippet_verdict process_by_lookup(whippet_task *task, const whippet_message *message, void *state)
{
    (void)message, (void)state;
    lookup_loop = loop_of_task(task);
    return whippet_with_timeout(task, 0.05, look_up, NULL) == WHIPPET_E_TIMEOUT ? WHIPPET_ACK
                                                                                : WHIPPET_REJECT;
}

/* As a host name's, that nobody answers for, in a thread. */
Test(delivery, whose_lookup_hangs_does_not_hold_up_the_worker_s_end)
{
    work_open(QUEUE("q", ",\"run\":\"thread\""));
    work.plugins[0].descriptor.process = process_by_lookup;
    work_deliver("q", "a1");
    rig_until(rig.broker->acked == 1);
    worker_stop(work.worker);
    rig_until(work.worker->ended && loop_scheduler(rig.loop)->tasks == 0);
    cr_assert_eq(worker_offloaded(work.worker), 1);
    rig.check = NULL;
    work_destroy();
    cr_assert(!atomic_load(&looked_up), "it was waited for");
    rig_close();
    while (loop_offloaded(lookup_loop) > 0)
        usleep(10000);
    loop_destroy(lookup_loop);
}

Test(delivery, that_has_not_started_is_returned_at_the_stop_and_what_has_is_finished)
{
    work_open(QUEUE("q", ",\"concurrency\":2,\"prefetch\":100,\"retry\":{\"delay\":\"10s\"}"));
    work_deliver("q", "r1");
    rig_until(counter_get(&counters_of(0)->phases[PHASE_RETRYING]) == 1);
    work_deliver("q", "h1");
    work_deliver("q", "h2");
    work_deliver("q", "a1");
    rig_until(work_held_count() == 2 && counter_get(&counters_of(0)->phases[PHASE_WAITING]) == 1);
    worker_stop(work.worker);
    worker_stop(work.worker);
    rig_until(work_count(0, OUTCOME_RETURNED) == 2);
    work_release("h1", WHIPPET_ACK);
    work_release("h2", WHIPPET_RETRY);
    rig_until(work.worker->ended);
    cr_assert_eq(work_starts("a1"), 0);
    cr_assert_eq(work_count(0, OUTCOME_ACKED), 1);
    cr_assert_eq(work_count(0, OUTCOME_RETURNED), 3, "what wants another attempt is for somebody else");
    rig_settle_down();
    cr_assert_eq(rig.broker->acked, 1);
    cr_assert_eq(rig.broker->requeued, 3);
}

Test(delivery, that_is_rejected_while_stopping_is_still_dead_lettered)
{
    work_open(QUEUE("q", ""));
    work_deliver("q", "h1");
    rig_until(work_held_count() == 1);
    worker_stop(work.worker);
    rig_settle_down();
    work_release("h1", WHIPPET_REJECT);
    rig_until(work.worker->ended);
    rig_settle_down();
    cr_assert_eq(work_count(0, OUTCOME_DEAD_LETTERED), 1);
    cr_assert_eq(rig.broker->acked, 1);
}

/* The pause before the fourth try is four seconds, and the stop has two. */
Test(delivery, whose_dead_letter_waits_for_its_next_try_has_it_when_the_worker_stops)
{
    work_open(QUEUE("q", ""));
    rig.broker->confirm = FAKE_NACKS;
    work_deliver("q", "x1");
    rig_until(fake_published(rig.broker) == 3);
    rig_settle_down();
    rig.broker->confirm = FAKE_CONFIRMS;
    worker_stop(work.worker);
    rig_until(work.worker->ended);
    rig_settle_down();
    cr_assert_eq(work_count(0, OUTCOME_DEAD_LETTERED), 1);
    cr_assert_eq(rig.broker->acked, 1);
}

/* A stop that waited would wait for ten minutes. */
static void stop_at_once(void)
{
    work.config->shutdown_timeout = 600;
    worker_stop(work.worker);
    rig_until(work.worker->ended);
    rig_settle_down();
}

Test(delivery, whose_dead_letter_is_refused_once_more_is_returned_when_the_worker_stops)
{
    work_open(QUEUE("q", ""));
    rig.broker->confirm = FAKE_NACKS;
    work_deliver("q", "x1");
    rig_until(fake_published(rig.broker) == 1);
    rig_settle_down();
    stop_at_once();
    cr_assert_eq(fake_published(rig.broker), 2);
    cr_assert_eq(work_count(0, OUTCOME_RETURNED), 1);
    cr_assert_eq(rig.broker->requeued, 1);
}

Test(delivery, whose_dead_letter_waits_for_the_end_of_an_alarm_is_returned_when_the_worker_stops)
{
    work_open(QUEUE("q", ""));
    work_raise_alarm();
    work_deliver("q", "x1");
    rig_until(work_starts("x1") == 1);
    rig_settle_down();
    stop_at_once();
    cr_assert_eq(fake_published(rig.broker), 0);
    cr_assert_eq(work_count(0, OUTCOME_RETURNED), 1);
    cr_assert_eq(rig.broker->requeued, 1);
}

Test(delivery, that_does_not_end_in_time_is_cancelled_and_returned)
{
    work_open(QUEUE("q", ""));
    work_deliver("q", "t1");
    rig_until(work.start_count == 1);
    double begun = loop_now(work.worker->loop);
    worker_stop(work.worker);
    rig_until(work.worker->ended);
    double took = clock_monotonic() - begun;
    cr_assert(took >= 2 && took < 10, "shutdown_timeout of 2 s took %.2f s", took);
    rig_settle_down();
    cr_assert_eq(work_count(0, OUTCOME_RETURNED), 1);
    cr_assert_eq(attempts(ATTEMPT_CANCELLED), 1);
    cr_assert_eq(rig.broker->requeued, 1);
}

Test(delivery, that_comes_after_the_stop_began_is_returned)
{
    work_open(QUEUE("q", ""));
    work_deliver("q", "a1");
    work_deliver("q", "a2");
    worker_stop(work.worker);
    rig_until(work.worker->ended);
    rig_settle_down();
    cr_assert_eq(work_count(0, OUTCOME_RETURNED) + work_count(0, OUTCOME_ACKED), 2);
    cr_assert_eq(rig.broker->acked + rig.broker->requeued, 2);
}

static struct waiter stubborn;

static whippet_verdict process_stubbornly(whippet_task *task, const whippet_message *message, void *state)
{
    (void)message, (void)state;
    waiter_wait_shielded(task, &stubborn, "nobody ends this");
    return WHIPPET_ACK;
}

static bool leave_close_unanswered(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                                   amqp_method_number_t id, void *decoded)
{
    (void)broker, (void)link, (void)channel, (void)decoded;
    return id == AMQP_CONNECTION_CLOSE_METHOD;
}

Test(delivery, whose_verdict_comes_while_its_connection_is_being_closed_is_not_counted_as_acked)
{
    work_open(QUEUE("q", ""));
    waiter_init(&stubborn);
    work.plugins[0].descriptor.process = process_stubbornly;
    work_deliver("q", "a1");
    rig_until(!list_empty(&work_subscription(0)->at_work));
    work.config->shutdown_timeout = 0.05;
    rig.broker->on_method = leave_close_unanswered;
    worker_stop(work.worker);
    rig_until(connection_state(work.worker->consume) == CONNECTION_CLOSING);
    waiter_wake(&stubborn, 0);
    rig_until(worker_in_flight(work.worker) == 0);
    cr_assert_eq(work_count(0, OUTCOME_ACKED), 0, "the broker was never told");
    cr_assert_eq(work_count(0, OUTCOME_RETURNED), 1);
    cr_assert_eq(counter_get(&work_subscription(0)->stats.counters.stale_settlements), 1);
    rig_until(work.worker->ended);
    cr_assert_eq(rig.broker->acked, 0);
}
