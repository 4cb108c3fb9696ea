/* Messages over max_message_size: passed on part by part, never held whole. */
#include "../../src/async/loop_state.h"
#include "worker_testing.h"

#define QUEUE(name, more) "{\"name\":\"" name "\",\"processor\":\"counting\"" more "}"
#define SMALL             ",\"max_message_size\":1000,\"retry\":{\"delay\":0}"

TestSuite(oversized, .fini = work_close, .timeout = 120);

static struct fake_publish *copy(void)
{
    return &rig.broker->publishes[fake_published(rig.broker) - 1];
}

Test(oversized, is_passed_on_byte_for_byte_and_then_acked)
{
    enum {
        SIZE = 3000000
    };
    char *body = work_pattern(SIZE);
    work_open(QUEUE("q", SMALL));
    fake_deliver(rig.broker, work_consume_link(), work_channel("q"), NULL, body, SIZE);
    work_deliver("q", "a");
    rig_until(rig.broker->acked == 2);
    cr_assert_eq(fake_published(rig.broker), 1);
    cr_assert_eq(copy()->body.length, SIZE);
    cr_assert(memcmp(copy()->body.data, body, SIZE) == 0, "the copy differs");
    cr_assert_str_eq(copy()->routing_key, "q.dead");
    cr_assert_eq(work_starts(NULL), 1, "no attempt is made of it");
    cr_assert_eq(work_count(0, OUTCOME_DEAD_LETTERED), 1);
    cr_assert_eq(work_failures(0, FAILURE_TOO_LARGE), 1);
    free(body);
}

Test(oversized, is_discarded_where_that_is_asked_for)
{
    char *body = work_pattern(300000);
    work_open(QUEUE("q", SMALL ",\"on_failure\":\"discard\""));
    fake_deliver(rig.broker, work_consume_link(), work_channel("q"), NULL, body, 300000);
    work_deliver("q", "a");
    free(body);
    rig_until(rig.broker->acked == 2);
    cr_assert_eq(work_count(0, OUTCOME_DISCARDED), 1);
    cr_assert_eq(work_failures(0, FAILURE_TOO_LARGE), 1);
    cr_assert_eq(work_starts(NULL), 1);
    cr_assert_eq(fake_published(rig.broker), 0);
}

/* Headers of so many bytes. */
static struct wire long_headers(size_t size)
{
    struct wire entries = {0}, properties = {0};
    wire_entry(&entries, "long", 'x');
    wire_long(&entries, (uint32_t)size);
    wire_fill(&entries, 'x', size);
    wire_properties_with_headers(&properties, &entries);
    wire_destroy(&entries);
    return properties;
}

static bool copy_says(const char *text)
{
    return memmem(copy()->properties.data, copy()->properties.length, text, strlen(text)) != NULL;
}

Test(oversized, is_passed_on_without_the_headers_that_are_too_large)
{
    static const size_t sizes[] = {SESSION_FRAME_MAX + 1000, SESSION_HEADER_HELD + 1};
    work_open(QUEUE("q", SMALL));
    for (size_t i = 0; i < 4; i++) {
        struct wire properties = long_headers(sizes[i / 2]);
        fake_deliver(rig.broker, work_consume_link(), work_channel("q"), &properties, "body", i % 2 * 4);
        wire_destroy(&properties);
        rig_until(rig.broker->acked == i + 1);
        cr_assert_eq(copy()->body.length, i % 2 * 4);
        cr_assert_str_eq(copy()->routing_key, "q.dead");
        cr_assert(copy_says("too-large") && copy_says("left out of this copy"));
        cr_assert_lt(copy()->properties.length, 1000);
    }
    work_deliver("q", "a");
    rig_until(rig.broker->acked == 5);
    cr_assert_eq(work_starts(NULL), 1, "attempts are made of the others only");
    cr_assert_eq(work_count(0, OUTCOME_DEAD_LETTERED), 4);
}

Test(oversized, waits_for_its_confirm)
{
    char *body = work_pattern(5000);
    work_open(QUEUE("q", SMALL));
    rig.broker->confirm = FAKE_HOLDS;
    fake_deliver(rig.broker, work_consume_link(), work_channel("q"), NULL, body, 5000);
    free(body);
    rig_until(fake_published(rig.broker) == 1 && copy()->whole);
    rig_settle_down();
    cr_assert_eq(rig.broker->ack_frames, 0);
    fake_confirm(copy()->link, copy()->channel, copy()->tag, false, false);
    rig_until(rig.broker->acked == 1);
}

/* In the middle of a body: what happens, and that the message ends up in its queue again. */
static void begin_oversized(void)
{
    char *body = work_pattern(100000);
    work_open(QUEUE("q", SMALL));
    fake_deliver_begin(rig.broker, work_consume_link(), work_channel("q"), NULL, 200000);
    fake_body(rig.broker, work_consume_link(), work_channel("q"), body, 100000);
    rig_until(fake_published(rig.broker) == 1 && copy()->body.length > 50000);
    free(body);
}

static void end_oversized(void)
{
    char *body = work_pattern(100000);
    fake_body(rig.broker, work_consume_link(), work_channel("q"), body, 100000);
    free(body);
}

static void assert_returned_and_well(void)
{
    rig_until(work_count(0, OUTCOME_RETURNED) == 1);
    rig_until(work_is_consuming());
    uint64_t acked = rig.broker->acked;
    work_deliver("q", "a");
    rig_until(rig.broker->acked == acked + 1);
    cr_assert_eq(work_count(0, OUTCOME_DEAD_LETTERED), 0);
    cr_assert(list_empty(&work.worker->relays));
    cr_assert_eq(work.worker->paused_relays, 0);
}

Test(oversized, is_returned_when_the_copy_is_nacked)
{
    begin_oversized();
    rig.broker->confirm = FAKE_NACKS;
    end_oversized();
    rig_until(rig.broker->requeued == 1);
    assert_returned_and_well();
}

Test(oversized, is_returned_when_no_queue_takes_the_copy)
{
    begin_oversized();
    rig.broker->confirm = FAKE_RETURNS;
    end_oversized();
    rig_until(rig.broker->requeued == 1);
    assert_returned_and_well();
}

Test(oversized, is_returned_when_the_channel_of_the_copy_goes)
{
    begin_oversized();
    fake_channel_close(rig.broker, copy()->link, copy()->channel, 406, "PRECONDITION_FAILED - too large");
    rig_settle_down();
    end_oversized();
    rig_until(rig.broker->requeued == 1);
    assert_returned_and_well();
}

Test(oversized, is_returned_when_the_connection_of_the_copy_goes)
{
    begin_oversized();
    fake_link_reset(rig.broker, fake_link_named(rig.broker, "relay"));
    rig_settle_down();
    end_oversized();
    rig_until(rig.broker->requeued == 1);
    assert_returned_and_well();
}

Test(oversized, is_returned_when_its_own_channel_goes)
{
    begin_oversized();
    fake_channel_close(rig.broker, work_consume_link(), work_channel("q"), 406,
                       "PRECONDITION_FAILED - timeout");
    assert_returned_and_well();
}

Test(oversized, is_returned_when_its_connection_goes)
{
    begin_oversized();
    fake_link_reset(rig.broker, work_consume_link());
    assert_returned_and_well();
}

/* Another delivery of it is to be dead-lettered, and not both. */
Test(oversized, is_not_passed_on_once_its_connection_has_gone)
{
    char *body = work_pattern(5000);
    work_open(QUEUE("q", SMALL));
    fake_deliver(rig.broker, work_consume_link(), work_channel("q"), NULL, body, 5000);
    free(body);
    rig_until(!list_empty(&work.worker->relays) && work_subscription(0)->relay == NULL);
    cr_assert_null(relay_connection_open(work.worker->relaying), "it may be on its way already");
    fake_link_reset(rig.broker, work_consume_link());
    assert_returned_and_well();
    cr_assert_eq(fake_published(rig.broker), 0, "a copy of what is in its queue again");
}

/* A stop that waited would wait for ten minutes. */
static void stop_at_once(void)
{
    work.config->shutdown_timeout = 600;
    worker_stop(work.worker);
    rig_until(work.worker->ended);
    cr_assert_eq(work_count(0, OUTCOME_RETURNED), 1);
    rig_until(rig.broker->requeued == 1);
}

static void deliver_whole(void)
{
    char *body = work_pattern(5000);
    fake_deliver(rig.broker, work_consume_link(), work_channel("q"), NULL, body, 5000);
    free(body);
}

Test(oversized, that_waits_for_the_end_of_an_alarm_is_returned_when_the_worker_stops)
{
    work_open(QUEUE("q", SMALL));
    work_raise_alarm();
    deliver_whole();
    rig_until(!list_empty(&work.worker->relays) && relay_connection_open(work.worker->relaying) != NULL);
    rig_settle_down();
    stop_at_once();
    cr_assert_eq(fake_published(rig.broker), 0);
}

Test(oversized, that_waits_before_it_goes_back_is_returned_when_the_worker_stops)
{
    work_open(QUEUE("q", ",\"max_message_size\":1000,\"retry\":{\"delay\":\"10m\",\"attempts\":2}"));
    rig.broker->confirm = FAKE_NACKS;
    deliver_whole();
    rig_until(fake_published(rig.broker) == 1 && copy()->whole);
    rig_settle_down();
    stop_at_once();
}

/* By the broker's own word it takes away what is unacknowledged for half an hour, and its neighbours too. */
Test(oversized, that_waits_before_it_goes_back_is_not_held_longer_than_the_broker_lets_it)
{
    work_open(QUEUE("q", ",\"max_message_size\":1000,\"retry\":{\"delay\":\"2h\",\"via\":\"broker\"}"));
    rig.broker->confirm = FAKE_NACKS;
    deliver_whole();
    rig_until(fake_published(rig.broker) == 1 && copy()->whole);
    rig_settle_down();
    cr_assert_eq(work_count(0, OUTCOME_RETURNED), 0);
    rig.loop->ahead += 1700;
    rig_until(work_count(0, OUTCOME_RETURNED) == 1);
    rig_until(rig.broker->requeued == 1);
}

static void wait_before_it_goes_back(void)
{
    work_open(QUEUE("q", ",\"max_message_size\":1000,\"retry\":{\"delay\":\"10m\",\"attempts\":2}"));
    rig.broker->confirm = FAKE_NACKS;
    deliver_whole();
    rig_until(fake_published(rig.broker) == 1 && copy()->whole);
    rig_settle_down();
    cr_assert_eq(work_count(0, OUTCOME_RETURNED), 0);
}

Test(oversized, that_waits_before_it_goes_back_waits_no_longer_when_its_channel_goes)
{
    wait_before_it_goes_back();
    fake_channel_close(rig.broker, work_consume_link(), work_channel("q"), 406,
                       "PRECONDITION_FAILED - timeout");
    assert_returned_and_well();
}

Test(oversized, that_waits_before_it_goes_back_does_not_hold_a_reload_up)
{
    wait_before_it_goes_back();
    work_retire();
    rig_until(list_empty(&work.worker->subscriptions));
    cr_assert_eq(rig.broker->requeued, 1);
    work_close_retired();
}

Test(oversized, that_fails_while_the_worker_stops_is_returned_at_once)
{
    begin_oversized();
    char *body = work_pattern(100000);
    struct fake_link *link = work_consume_link();
    unsigned channel = work_channel("q");
    work.config->shutdown_timeout = 600;
    rig.broker->confirm = FAKE_NACKS;
    worker_stop(work.worker);
    rig_settle_down();
    fake_body(rig.broker, link, channel, body, 100000);
    free(body);
    rig_until(work.worker->ended);
    cr_assert_eq(work_count(0, OUTCOME_RETURNED), 1);
}

static bool leave_cancel_unanswered(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                                    amqp_method_number_t id, void *decoded)
{
    (void)broker, (void)link, (void)channel, (void)decoded;
    return id == AMQP_BASIC_CANCEL_METHOD;
}

/* Nothing is waited for then: the relay is at its end before it is known to have begun. */
Test(oversized, that_comes_in_an_alarm_while_the_worker_stops_is_returned_at_once)
{
    work_open(QUEUE("q", SMALL));
    work_raise_alarm();
    deliver_whole();
    rig_until(!list_empty(&work.worker->relays) && relay_connection_open(work.worker->relaying) != NULL);
    rig.broker->on_method = leave_cancel_unanswered;
    worker_stop(work.worker);
    rig_until(work_count(0, OUTCOME_RETURNED) == 1);
    deliver_whole();
    rig_until(work_count(0, OUTCOME_RETURNED) == 2);
    rig.broker->on_method = NULL;
    cr_assert(list_empty(&work.worker->relays));
    cr_assert_eq(fake_published(rig.broker), 0);
    rig.loop->ahead += 11; /* the cancel is not answered any more */
    rig_until(work.worker->ended);
}

/* As a reload does that finds the broker busy with the rest of that very body. */
Test(oversized, ends_when_its_channel_is_let_go)
{
    begin_oversized();
    rig.broker->on_method = leave_cancel_unanswered;
    work_retire();
    rig_settle_down();
    for (int i = 0; i < 3 && !list_empty(&work.worker->subscriptions); i++) {
        rig.loop->ahead += 11; /* longer than an answer is waited for, or anything else */
        rig_settle_down();
    }
    cr_assert(list_empty(&work.worker->relays), "the rest of it is waited for on a channel that is gone");
    work_close_retired();
}

Test(oversized, is_never_held_whole_while_the_other_side_is_slow)
{
    enum {
        SIZE = 20000000
    };
    char *body = work_pattern(SIZE);
    work_open(QUEUE("q", SMALL));
    rig.broker->keeps_bodies_off = true;
    fake_deliver_begin(rig.broker, work_consume_link(), work_channel("q"), NULL, SIZE);
    rig_until(fake_published(rig.broker) == 1);
    struct fake_link *relay = copy()->link;
    struct connection *connection = relay_connection_open(work.worker->relaying);
    size_t most = 0;
    int descriptor = relay->descriptor;
    double until = INFINITY;
    relay->descriptor = -1; /* deaf, on this link alone */
    fake_body(rig.broker, work_consume_link(), work_channel("q"), body, SIZE);
    free(body);
    while (clock_monotonic() < until) {
        rig_turn();
        size_t held = connection_backlog(connection);
        most = held > most ? held : most;
        if (work.worker->paused_relays > 0 && until == INFINITY)
            until = clock_monotonic() + 0.1; /* and it stays so */
    }
    cr_assert_gt(work.worker->paused_relays, 0, "reading goes on");
    cr_assert_leq(most, 2 * 1024 * 1024, "%zu bytes were held", most);
    relay->descriptor = descriptor;
    rig_until(rig.broker->acked == 1);
    cr_assert_eq(work.worker->paused_relays, 0);
}
