/* Retries through the broker, in a whole worker against a fake broker. */
#include "../../src/async/loop_state.h"
#include "worker_testing.h"

#define QUEUE(more)                                                                                          \
    "{\"name\":\"q\",\"processor\":\"counting\",\"retry\":{\"via\":\"broker\",\"attempts\":3,\"delay\":"     \
    "\"3s\"}" more "}"

static struct wire headers;

static void open_all(void)
{
    headers = (struct wire){0};
}

static void close_all(void)
{
    work_close();
    wire_destroy(&headers);
}

TestSuite(retry_queue, .init = open_all, .fini = close_all);

static void deliver_with_headers(const char *body)
{
    struct wire properties = {0};
    wire_properties_with_headers(&properties, &headers);
    fake_deliver(rig.broker, work_consume_link(), work_channel("q"), &properties, body, strlen(body));
    wire_destroy(&properties);
}

/* What comes back from a delay queue after the attempt of that number. */
static void write_retry(int64_t attempt, const char *queue)
{
    wire_entry(&headers, "whippet-attempt", 'l');
    wire_longlong(&headers, (uint64_t)attempt);
    wire_entry_text(&headers, "whippet-queue", queue);
    wire_entry_text(&headers, "whippet-exchange", "events");
    wire_entry_text(&headers, "whippet-routing-key", "order.new");
}

static const struct fake_publish *published(size_t index)
{
    cr_assert_gt(rig.broker->publish_count, index);
    return &rig.broker->publishes[index];
}

static whippet_value header_of(const struct fake_publish *publish, const char *name)
{
    whippet_bytes properties = bytes_of(publish->properties.data, publish->properties.length);
    return table_find(properties_get(properties, PROPERTY_HEADERS), bytes_of_text(name));
}

static void assert_text(const struct fake_publish *publish, const char *name, const char *expected)
{
    whippet_value value = header_of(publish, name);
    cr_assert_eq(value.kind, WHIPPET_VALUE_TEXT, "there is no text %s", name);
    cr_assert(bytes_equal_text(value.bytes, expected), "%s is \"%.*s\"", name, (int)value.bytes.len,
              (const char *)value.bytes.data);
}

Test(retry_queue, takes_a_message_whose_attempt_failed_and_then_it_is_acknowledged)
{
    work_open(QUEUE(""));
    rig.broker->confirm = FAKE_HOLDS;
    uint64_t tag = work_deliver("q", "r1");
    rig_until(rig.broker->publish_count == 1 && published(0)->whole);
    rig_settle_down();
    cr_assert_eq(rig.broker->acked, 0, "it is acknowledged before the copy is confirmed");
    cr_assert_str_eq(published(0)->exchange, "");
    cr_assert_str_eq(published(0)->routing_key, "q.retry.3s");
    cr_assert(published(0)->mandatory);
    cr_assert_eq(header_of(published(0), "whippet-attempt").integer, 1);
    assert_text(published(0), "whippet-queue", "q");
    fake_confirm(published(0)->link, published(0)->channel, published(0)->tag, false, false);
    rig_until(fake_tag_state(work_consume_link(), work_channel("q"), tag) == FAKE_TAG_ACKED);
    cr_assert_eq(work_count(0, OUTCOME_RETRIED), 1);
}

Test(retry_queue, brings_a_message_back_with_its_count_and_its_origin)
{
    work_open(QUEUE(""));
    write_retry(2, "q");
    wire_entry_text(&headers, "whippet-user-id", "alice");
    deliver_with_headers("r1");
    rig_until(rig.broker->publish_count == 1 && published(0)->whole);
    cr_assert_eq(work.starts[0].attempt, 3);
    cr_assert_str_eq(published(0)->routing_key, "q.dead");
    cr_assert_eq(header_of(published(0), "whippet-attempts").integer, 3);
    cr_assert_eq(header_of(published(0), "whippet-attempt").kind, WHIPPET_VALUE_ABSENT);
    assert_text(published(0), "whippet-exchange", "events");
    assert_text(published(0), "whippet-routing-key", "order.new");
    assert_text(published(0), "whippet-user-id", "alice");
}

Test(retry_queue, says_again_in_each_round_where_the_message_came_from)
{
    work_open(QUEUE(""));
    write_retry(1, "q");
    deliver_with_headers("r1");
    rig_until(rig.broker->publish_count == 1 && published(0)->whole);
    cr_assert_str_eq(published(0)->routing_key, "q.retry.3s");
    cr_assert_eq(header_of(published(0), "whippet-attempt").integer, 2);
    assert_text(published(0), "whippet-exchange", "events");
    assert_text(published(0), "whippet-routing-key", "order.new");
}

/* Somebody else's word is not taken for ours. */
Test(retry_queue, of_another_queue_counts_for_nothing_here)
{
    work_open(QUEUE(""));
    write_retry(2, "another");
    deliver_with_headers("a1");
    rig_until(work_starts("a1") == 1);
    cr_assert_eq(work.starts[0].attempt, 1);
}

Test(retry_queue, does_not_believe_a_count_that_can_not_be)
{
    static const int64_t COUNTS[] = {0, -1, INT64_MIN, 1001, INT64_MAX};
    work_open(QUEUE(""));
    for (size_t i = 0; i < sizeof COUNTS / sizeof COUNTS[0]; i++) {
        wire_clear(&headers);
        write_retry(COUNTS[i], "q");
        deliver_with_headers("a1");
    }
    wire_clear(&headers);
    wire_entry_text(&headers, "whippet-attempt", "2");
    deliver_with_headers("a1");
    rig_until(work_starts("a1") == 6);
    for (size_t i = 0; i < 6; i++)
        cr_assert_eq(work.starts[i].attempt, 1, "attempt %u", work.starts[i].attempt);
}

/* attempts was lowered while the message waited: it gets one more. */
Test(retry_queue, ends_a_message_that_has_had_more_attempts_than_there_are)
{
    work_open(QUEUE(""));
    write_retry(7, "q");
    deliver_with_headers("r1");
    rig_until(rig.broker->publish_count == 1 && published(0)->whole);
    cr_assert_str_eq(published(0)->routing_key, "q.dead");
}

Test(retry_queue, that_does_not_confirm_leaves_the_message_unacknowledged_and_its_slot_taken)
{
    work_open(QUEUE(",\"concurrency\":1,\"prefetch\":10"));
    rig.broker->confirm = FAKE_NACKS;
    work_deliver("q", "r1");
    work_deliver("q", "a1");
    rig_until(rig.broker->publish_count == 1 && published(0)->whole);
    rig_turn_for(0.2);
    cr_assert_eq(rig.broker->acked, 0);
    cr_assert_eq(work_starts("a1"), 0, "its slot was given away");
    rig.broker->confirm = FAKE_CONFIRMS;
    rig_until(rig.broker->acked == 2);
    cr_assert_eq(rig.broker->publish_count, 2);
    cr_assert_eq(counter_get(&work.worker->stats.sent[SENDING_RETRY].failed), 1);
}

Test(retry_queue, that_is_gone_is_declared_again)
{
    work_open(QUEUE(""));
    rig.broker->confirm = FAKE_RETURNS;
    work_deliver("q", "r1");
    rig_until(rig.broker->publish_count == 1 && published(0)->whole);
    rig_turn_for(0.1);
    rig.broker->confirm = FAKE_CONFIRMS;
    rig_until(rig.broker->acked == 1);
    cr_assert_eq(work_count(0, OUTCOME_RETRIED), 1);
}

Test(retry_queue, that_can_not_take_a_message_of_a_queue_that_is_leaving_has_it_go_back)
{
    static char text[131000];
    work_open(QUEUE(""));
    work_raise_alarm();
    memset(text, 't', sizeof text - 1);
    wire_entry_text(&headers, "large", text);
    deliver_with_headers("r1");
    rig_until(work_starts("r1") == 1);
    rig_settle_down();
    work_retire();
    rig_settle_down();
    work_end_alarm();
    rig_until(list_empty(&work.worker->subscriptions));
    cr_assert_eq(rig.broker->requeued, 1);
    work_close_retired();
}

/* Headers that fill a frame leave no room for ours. */
Test(retry_queue, can_not_take_a_message_whose_headers_fill_a_frame_which_is_retried_from_memory)
{
    static char text[131000];
    work_open(
        "{\"name\":\"q\",\"processor\":\"counting\",\"retry\":{\"via\":\"broker\",\"attempts\":2,\"delay\":"
        "\"10ms\"}}");
    memset(text, 't', sizeof text - 1);
    wire_entry_text(&headers, "large", text);
    deliver_with_headers("r1");
    rig_until(work_starts("r1") == 2);
    rig_until(work_count(0, OUTCOME_DEAD_LETTERED) == 1);
    cr_assert_eq(work.starts[1].attempt, 2);
}

/* Half an hour, as it is unless it is told otherwise. */
Test(retry_queue, whose_delay_is_longer_than_the_broker_s_patience_is_not_waited_for_in_memory)
{
    static char text[131000];
    work_open(
        "{\"name\":\"q\",\"processor\":\"counting\",\"retry\":{\"via\":\"broker\",\"attempts\":3,\"delay\":"
        "\"2h\"}}");
    memset(text, 't', sizeof text - 1);
    wire_entry_text(&headers, "large", text);
    deliver_with_headers("r1");
    rig_until(work_starts("r1") == 1);
    rig_settle_down();
    rig.loop->ahead += 800;
    rig_until(work_starts("r1") == 2);
    rig_settle_down();
    rig.loop->ahead += 400;
    rig_until(work_count(0, OUTCOME_DEAD_LETTERED) == 1);
    cr_assert_eq(work_starts("r1"), 3);
}
