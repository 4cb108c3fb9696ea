/* One queue's consumer: from idle to consuming, and over again whenever something is lost. */
#include "../../src/async/loop_state.h"
#include "short_memory.h"
#include "worker_testing.h"

#define QUEUE(more) "{\"name\":\"q\",\"processor\":\"counting\"" more "}"

TestSuite(subscription, .fini = work_close, .timeout = 180);

static struct subscription *subscription(void)
{
    return work_subscription(0);
}

static const char *state_name(void)
{
    return subscription_state_name(subscription()->state);
}

/* Brings a worker up whose broker `unfriendly` has changed before. */
static void begin(const char *queue)
{
    rig_open();
    memset(&work, 0, sizeof work);
    list_init(&work.held);
    work_make(queue);
    rig.check = work_check;
    loop_refresh_now(rig.loop);
    cr_assert(worker_start(work.worker));
}

/* What the client has said, method by method, on all channels but 0. */
static struct {
    amqp_method_number_t methods[200];
    size_t count;
    amqp_queue_declare_t declares[20];
    char queues[20][64];
    char types[20][32];
    size_t declare_count;
    amqp_basic_qos_t qos;
    amqp_basic_consume_t consume;
    int64_t priority;
    amqp_method_number_t unanswered; /* is heard, and not answered */
} heard;

static void hear_declare(const amqp_queue_declare_t *declare)
{
    size_t index = heard.declare_count++ % 20;
    heard.declares[index] = *declare;
    snprintf(heard.queues[index], sizeof heard.queues[index], "%.*s", (int)declare->queue.len,
             (char *)declare->queue.bytes);
    heard.types[index][0] = '\0';
    for (int i = 0; i < declare->arguments.num_entries; i++) {
        const amqp_table_entry_t *entry = &declare->arguments.entries[i];
        if (entry->key.len == 12 && memcmp(entry->key.bytes, "x-queue-type", 12) == 0)
            snprintf(heard.types[index], sizeof heard.types[index], "%.*s", (int)entry->value.value.bytes.len,
                     (char *)entry->value.value.bytes.bytes);
    }
}

static bool hear(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                 amqp_method_number_t id, void *decoded)
{
    (void)broker;
    if (channel == 0 || strcmp(link->name, "whippet consume") != 0)
        return false;
    if (heard.count < 200)
        heard.methods[heard.count++] = id;
    if (id == AMQP_QUEUE_DECLARE_METHOD)
        hear_declare(decoded);
    if (id == AMQP_BASIC_QOS_METHOD)
        heard.qos = *(amqp_basic_qos_t *)decoded;
    if (id == AMQP_BASIC_CONSUME_METHOD) {
        heard.consume = *(amqp_basic_consume_t *)decoded;
        if (heard.consume.arguments.num_entries > 0)
            heard.priority = heard.consume.arguments.entries[0].value.value.i64;
    }
    return id == heard.unanswered;
}

static void begin_hearing(const char *queue)
{
    begin(queue);
    rig.broker->on_method = hear;
}

/* --- Beginning ------------------------------------------------------------------------------------------*/

Test(subscription, looks_for_the_queues_first_and_declares_nothing_that_is_there)
{
    begin_hearing(
        QUEUE(",\"prefetch\":77,\"concurrency\":3,\"priority\":-4,\"exclusive\":true,\"type\":\"classic\""));
    rig_until(work_is_consuming());
    cr_assert_eq(heard.declare_count, 2);
    cr_assert(heard.declares[0].passive && heard.declares[1].passive);
    cr_assert_str_eq(heard.queues[0], "q");
    cr_assert_str_eq(heard.queues[1], "q.dead");
    cr_assert_eq(heard.qos.prefetch_count, 77);
    cr_assert_eq(heard.qos.prefetch_size, 0);
    cr_assert_not(heard.qos.global, "quorum queues refuse a global prefetch");
    cr_assert(heard.consume.exclusive);
    cr_assert_not(heard.consume.no_ack);
    cr_assert_eq(heard.priority, -4);
}

Test(subscription, declares_what_is_missing_as_durable_and_of_its_type)
{
    begin_hearing(QUEUE(""));
    rig.broker->missing = "q.dead";
    rig_until(work_is_consuming());
    cr_assert_eq(heard.declare_count, 3);
    cr_assert_not(heard.declares[2].passive);
    cr_assert(heard.declares[2].durable);
    cr_assert_str_eq(heard.queues[2], "q.dead");
    cr_assert_str_eq(heard.types[2], "quorum");
}

Test(subscription, sets_the_prefetch_before_it_consumes)
{
    begin_hearing(QUEUE(""));
    rig_until(work_is_consuming());
    size_t qos = 0, consume = 0;
    for (size_t i = 0; i < heard.count; i++) {
        if (heard.methods[i] == AMQP_BASIC_QOS_METHOD)
            qos = i;
        if (heard.methods[i] == AMQP_BASIC_CONSUME_METHOD)
            consume = i;
    }
    cr_assert(qos > 0 && qos < consume, "qos %zu, consume %zu", qos, consume);
}

Test(subscription, asks_for_no_dead_letter_queue_where_failures_are_discarded)
{
    begin_hearing(QUEUE(",\"on_failure\":\"discard\""));
    rig_until(subscription()->state == SUBSCRIPTION_CONSUMING);
    cr_assert_eq(heard.declare_count, 1);
}

Test(subscription, is_not_consuming_before_the_broker_has_said_so)
{
    begin_hearing(QUEUE(""));
    heard.unanswered = AMQP_BASIC_CONSUME_METHOD;
    rig_until(heard.count > 0 && heard.methods[heard.count - 1] == AMQP_BASIC_CONSUME_METHOD);
    rig_settle_down();
    cr_assert_eq(subscription()->state, SUBSCRIPTION_OPENING, "it is %s", state_name());
    fake_link_reset(rig.broker, work_consume_link());
    heard.unanswered = 0;
    rig_until(work_is_consuming());
}

Test(subscription, waits_for_the_connection_as_long_as_it_takes)
{
    rig_open();
    memset(&work, 0, sizeof work);
    list_init(&work.held);
    work_make(QUEUE(""));
    fake_broker_shut(rig.broker);
    loop_refresh_now(rig.loop);
    cr_assert(worker_start(work.worker));
    rig_until(connection_failure(work.worker->consume)->error != 0);
    rig_turn_for(0.1);
    cr_assert_eq(subscription()->state, SUBSCRIPTION_IDLE, "it is %s", state_name());
    fake_broker_reopen(rig.broker);
    rig_until(work_is_consuming());
}

/* --- Failing --------------------------------------------------------------------------------------------*/

Test(subscription, says_which_queue_is_missing_and_tries_again)
{
    begin(QUEUE(",\"declare\":\"passive\""));
    rig.broker->missing = "q";
    rig_until(subscription()->state == SUBSCRIPTION_FAILED);
    cr_assert_not_null(strstr(subscription()->failure.text, "queue \"q\""), "%s",
                       subscription()->failure.text);
    cr_assert_not_null(strstr(subscription()->failure.text, "NOT_FOUND"), "%s", subscription()->failure.text);
    cr_assert_eq(subscription()->failures, 1);
    rig.broker->missing = NULL;
    rig_until(work_is_consuming());
    cr_assert_eq(subscription()->failures, 0, "the backoff begins anew");
}

/* Where the allocator gives a new session the place of the old one, too. */
Test(subscription, that_backs_off_tries_again_at_once_on_a_new_connection)
{
    begin(QUEUE(",\"declare\":\"passive\""));
    rig.broker->missing = "q";
    rig_until(subscription()->state == SUBSCRIPTION_FAILED);
    subscription()->failures = 6;
    rig.loop->ahead += 2;
    rig_until(subscription()->failures == 7 && subscription()->state == SUBSCRIPTION_FAILED);
    rig.broker->missing = NULL;
    double began = clock_monotonic();
    fake_link_reset(rig.broker, work_consume_link());
    rig_until(work_is_consuming());
    cr_assert_lt(clock_monotonic() - began, 10, "a pause of 15 s at least was waited out");
}

static bool refuse_consume(struct fake_broker *broker, struct fake_link *link, unsigned channel,
                           amqp_method_number_t id, void *decoded)
{
    (void)decoded;
    if (id != AMQP_BASIC_CONSUME_METHOD)
        return false;
    fake_channel_close(broker, link, channel, 403, "ACCESS_REFUSED - no read permission");
    return true;
}

Test(subscription, says_in_the_brokers_words_why_it_may_not_consume)
{
    begin(QUEUE(""));
    rig.broker->on_method = refuse_consume;
    rig_until(subscription()->state == SUBSCRIPTION_FAILED);
    cr_assert_not_null(strstr(subscription()->failure.text, "ACCESS_REFUSED"), "%s",
                       subscription()->failure.text);
    cr_assert_eq(fake_outstanding(rig.broker), 0);
    rig.broker->on_method = NULL;
    rig_until(work_is_consuming());
}

Test(subscription, of_one_queue_that_fails_does_not_keep_another_from_consuming)
{
    begin(QUEUE(",\"declare\":\"passive\"") ",{\"name\":\"other\",\"processor\":\"counting\"}");
    rig.broker->missing = "q";
    rig_until(subscription()->state == SUBSCRIPTION_FAILED);
    rig_until(work_subscription(1)->state == SUBSCRIPTION_CONSUMING);
    work_deliver("other", "a");
    rig_until(rig.broker->acked == 1);
}

/* --- Losing ---------------------------------------------------------------------------------------------*/

Test(subscription, comes_back_after_its_connection_was_lost)
{
    work_open(QUEUE(""));
    for (int i = 0; i < 3; i++) {
        fake_link_reset(rig.broker, work_consume_link());
        rig_until(subscription()->state != SUBSCRIPTION_CONSUMING);
        rig_until(work_is_consuming());
        work_deliver("q", "a");
        rig_until(rig.broker->acked == (uint64_t)i + 1);
    }
}

Test(subscription, comes_back_after_the_broker_closed_its_channel)
{
    work_open(QUEUE(""));
    work_deliver("q", "h1");
    rig_until(work_held_count() == 1);
    fake_channel_close(rig.broker, work_consume_link(), work_channel("q"), 406,
                       "PRECONDITION_FAILED - timeout");
    rig_until(subscription()->state != SUBSCRIPTION_CONSUMING);
    rig_until(work_is_consuming());
    cr_assert_eq(rig.broker->link_count, 2, "a channel's error took the connection down");
    work_release("h1", WHIPPET_ACK);
    work_deliver("q", "a");
    rig_until(rig.broker->acked == 1);
}

static void cancel_by_broker(void)
{
    struct fake_link *link = work_consume_link();
    unsigned channel = work_channel("q");
    wire_cancel(&link->out, channel, link->channels[channel].consumer_tag, false);
    link->channels[channel].is_consuming = false;
}

/* Until another channel consumes; returns its number. */
static unsigned consume_anew(unsigned before)
{
    rig_until(work_is_consuming() && fake_consumer(work_consume_link(), "q") != 0 &&
              fake_consumer(work_consume_link(), "q") != before);
    return work_channel("q");
}

static bool is_open(unsigned channel)
{
    return work_consume_link()->channels[channel].is_open;
}

static enum fake_tag tag_of(unsigned channel, uint64_t tag)
{
    return (enum fake_tag)work_consume_link()->channels[channel].tags[tag - 1];
}

Test(subscription, consumes_anew_on_another_channel_when_the_broker_cancels_it)
{
    work_open(QUEUE(""));
    unsigned before = work_channel("q");
    work_deliver("q", "h1");
    work_deliver("q", "h2");
    rig_until(work_held_count() == 2);
    cancel_by_broker();
    unsigned after = consume_anew(before);
    work_deliver("q", "h3");
    work_deliver("q", "h4");
    rig_until(work_held_count() == 4);
    work_release("h1", WHIPPET_ACK);
    rig_until(rig.broker->acked == 1);
    cr_assert(is_open(before), "what is still at work can't be settled any more");
    work_release("h2", WHIPPET_ACK);
    rig_until(rig.broker->acked == 2);
    cr_assert_eq(tag_of(after, 1), FAKE_TAG_OUTSTANDING);
    rig_until(!is_open(before));
    work_release("h3", WHIPPET_ACK);
    work_release("h4", WHIPPET_ACK);
    rig_until(rig.broker->acked == 4);
    cr_assert_eq(counter_get(&subscription()->stats.counters.stale_settlements), 0);
    cr_assert_eq(rig.broker->nack_frames, 0);
}

Test(subscription, closes_the_channel_of_a_cancelled_consumer_that_left_nothing_behind)
{
    work_open(QUEUE(""));
    unsigned before = work_channel("q");
    cancel_by_broker();
    consume_anew(before);
    rig_until(!is_open(before));
    work_deliver("q", "a");
    rig_until(rig.broker->acked == 1);
}

Test(subscription, retries_and_dead_letters_what_came_by_a_cancelled_consumer)
{
    work_open(QUEUE(",\"retry\":{\"attempts\":2,\"delay\":\"20ms\"}"));
    unsigned before = work_channel("q");
    work_deliver("q", "r1");
    rig_until(work_starts("r1") == 1);
    cancel_by_broker();
    consume_anew(before);
    rig_until(rig.broker->acked == 1);
    cr_assert_eq(work_starts("r1"), 2);
    cr_assert_eq(rig.broker->publish_count, 1);
    cr_assert_eq(work_count(0, OUTCOME_DEAD_LETTERED), 1);
    rig_until(!is_open(before));
}

static bool no_consumer(size_t size)
{
    return size != sizeof(struct consumer);
}

Test(subscription, that_has_no_memory_for_its_next_consumer_leaves_the_last_one_s_work_alone)
{
    work_open(QUEUE(""));
    unsigned before = work_channel("q");
    work_deliver("q", "h1");
    rig_until(work_held_count() == 1);
    memory_permit = no_consumer;
    cancel_by_broker();
    rig_until(subscription()->state == SUBSCRIPTION_FAILED && subscription()->failures > 0);
    rig_settle_down();
    memory_permit = NULL;
    cr_assert(is_open(before), "what is at work can't be settled any more");
    work_release("h1", WHIPPET_ACK);
    rig_until(rig.broker->acked == 1);
    cr_assert_eq(work_count(0, OUTCOME_ACKED), 1);
    consume_anew(before);
}

/* --- Losing at once, and over again ---------------------------------------------------------------------*/

static size_t taken_away;

/* Cancels each consumer as soon as it is there. */
static void take_away_at_once(void)
{
    work_check();
    struct fake_link *link = work_consume_link();
    unsigned channel = link != NULL ? fake_consumer(link, "q") : 0;
    if (channel == 0 || subscription()->state != SUBSCRIPTION_CONSUMING)
        return;
    taken_away++;
    cancel_by_broker();
}

static void begin_taking_away(void)
{
    begin(QUEUE(""));
    taken_away = 0;
    rig.check = take_away_at_once;
}

Test(subscription, whose_consumer_is_cancelled_again_and_again_asks_ever_more_seldom)
{
    begin_taking_away();
    rig_until(taken_away == 1);
    double begun_at = clock_monotonic();
    rig_until(taken_away == 5);
    /* Half of 0.1, 0.2, 0.4 and 0.8 s at the least. */
    cr_assert_geq(clock_monotonic() - begun_at, 0.75);
    rig_until(subscription()->state == SUBSCRIPTION_FAILED);
    char why[SHARED_TEXT_SIZE];
    shared_text_get(&subscription()->stats.failure, why);
    cr_assert_not_null(strstr(why, "cancelled the consumer"), "%s", why);
}

Test(subscription, whose_consumer_is_left_in_peace_at_last_consumes_on)
{
    begin_taking_away();
    rig_until(subscription()->in_vain == 2);
    rig.check = work_check;
    rig_until(work_is_consuming());
    work_deliver("q", "a");
    rig_until(rig.broker->acked == 1);
}

Test(subscription, forgets_the_consumers_in_vain_after_one_that_lived)
{
    begin_taking_away();
    rig_until(subscription()->in_vain == 2);
    rig.check = work_check;
    rig_until(work_is_consuming());
    rig_turn_for(5.1);
    unsigned before = work_channel("q");
    cancel_by_broker();
    rig_until(subscription()->in_vain == 0);
    consume_anew(before);
}

Test(subscription, forgets_the_consumers_in_vain_with_the_connection)
{
    begin_taking_away();
    rig_until(taken_away == 3);
    fake_link_reset(rig.broker, work_consume_link());
    rig.check = work_check;
    rig_until(subscription()->in_vain == 0);
    rig_until(work_is_consuming());
}

Test(subscription, stops_while_it_waits_for_its_next_consumer)
{
    begin_taking_away();
    rig_until(taken_away == 6 && subscription()->state == SUBSCRIPTION_FAILED);
    /* A turn with nothing to do takes a millisecond at the least: the pause takes many of them, and few turns
     * that take long are not the pause. */
    double begun_at = clock_monotonic();
    unsigned turns = 0;
    worker_stop(work.worker);
    while (!work.worker->ended) {
        rig_turn();
        turns++;
        cr_assert(turns < 500 || clock_monotonic() < begun_at + 1.5, "it waits for the pause to end");
    }
}

/* --- Several consumers' messages ------------------------------------------------------------------------*/

Test(subscription, that_lost_two_channels_in_turn_settles_each_message_on_its_own)
{
    work_open(QUEUE(""));
    unsigned first = work_channel("q");
    work_deliver("q", "h1");
    rig_until(work_held_count() == 1);
    cancel_by_broker();
    unsigned second = consume_anew(first);
    work_deliver("q", "h2");
    rig_until(work_held_count() == 2);
    cancel_by_broker();
    unsigned third = consume_anew(second);
    work_deliver("q", "h3");
    rig_until(work_held_count() == 3);
    work_release("h2", WHIPPET_ACK);
    rig_until(!is_open(second));
    cr_assert_eq(tag_of(first, 1), FAKE_TAG_OUTSTANDING);
    cr_assert_eq(tag_of(third, 1), FAKE_TAG_OUTSTANDING);
    work_release("h3", WHIPPET_ACK);
    work_release("h1", WHIPPET_ACK);
    rig_until(rig.broker->acked == 3);
}

/* What rests goes back, each message on the channel that it came by. */
Test(subscription, returns_at_the_stop_what_came_by_a_cancelled_consumer)
{
    work_open(QUEUE(",\"concurrency\":1,\"prefetch\":2"));
    unsigned before = work_channel("q");
    work_deliver("q", "h1");
    work_deliver("q", "a");
    rig_until(work_held_count() == 1);
    cancel_by_broker();
    consume_anew(before);
    worker_stop(work.worker);
    rig_until(rig.broker->nack_frames == 1);
    cr_assert_eq(tag_of(before, 2), FAKE_TAG_REQUEUED);
    work_release("h1", WHIPPET_ACK);
    rig_until(rig.broker->acked == 1);
}

Test(subscription, that_loses_its_connection_loses_what_cancelled_consumers_left)
{
    work_open(QUEUE(",\"retry\":{\"delay\":\"1000s\",\"attempts\":2}"));
    unsigned before = work_channel("q");
    work_deliver("q", "r1");
    work_deliver("q", "h1");
    rig_until(work_held_count() == 1 && work_starts("r1") == 1);
    cancel_by_broker();
    consume_anew(before);
    fake_link_reset(rig.broker, work_consume_link());
    rig_until(connection_reconnects(work.worker->consume) == 1 && work_is_consuming());
    cr_assert_eq(work_count(0, OUTCOME_RETURNED), 1);
    work_release("h1", WHIPPET_ACK);
    rig_until(work_count(0, OUTCOME_RETURNED) == 2);
    cr_assert_eq(counter_get(&subscription()->stats.counters.stale_settlements), 1);
}

Test(subscription, ends_the_connection_when_a_tag_comes_twice)
{
    work_open(QUEUE(""));
    work_deliver("q", "h1");
    rig_until(work_held_count() == 1);
    struct fake_link *link = work_consume_link();
    unsigned channel = work_channel("q");
    wire_deliver(&link->out, channel, link->channels[channel].consumer_tag, 1);
    wire_content(&link->out, channel, NULL, "a", 1, 4096);
    rig_until(connection_reconnects(work.worker->consume) == 1);
    cr_assert_not_null(strstr(connection_failure(work.worker->consume)->text, "tag"), "%s",
                       connection_failure(work.worker->consume)->text);
    rig_until(work_is_consuming());
    work_release("h1", WHIPPET_ACK);
}

Test(subscription, lets_a_busy_queue_run_past_one_slow_message)
{
    enum {
        MANY = SETTLEMENT_WINDOW_MAX + 1000
    };
    work_open("{\"name\":\"q\",\"type\":\"classic\",\"processor\":\"counting\",\"prefetch\":4000}");
    struct fake_link *link = work_consume_link();
    unsigned channel = work_channel("q");
    work_deliver("q", "h1");
    for (int sent = 0; sent < MANY;) {
        for (; sent < MANY && fake_outstanding(rig.broker) < 3000; sent++)
            fake_deliver(rig.broker, link, channel, NULL, "a", 1);
        rig_step();
        cr_assert_eq(connection_reconnects(work.worker->consume), 0, "%s",
                     connection_failure(work.worker->consume)->text);
    }
    work_release("h1", WHIPPET_ACK);
    rig_until(rig.broker->acked == MANY + 1);
}

/* --- Stopping -------------------------------------------------------------------------------------------*/

Test(subscription, cancels_its_consumer_at_the_stop_and_waits_for_the_answer)
{
    begin_hearing(QUEUE(""));
    rig_until(work_is_consuming());
    heard.unanswered = AMQP_BASIC_CANCEL_METHOD;
    worker_stop(work.worker);
    rig_until(heard.methods[heard.count - 1] == AMQP_BASIC_CANCEL_METHOD);
    /* Deliveries that crossed the cancel. */
    work_deliver("q", "a1");
    work_deliver("q", "a2");
    rig_settle_down();
    cr_assert_eq(subscription()->state, SUBSCRIPTION_DRAINING, "it is %s", state_name());
    cr_assert_eq(work.start_count, 0);
    struct fake_link *link = work_consume_link();
    unsigned channel = work_channel("q");
    wire_cancel_ok(&link->out, channel, link->channels[channel].consumer_tag);
    rig_until(work.worker->ended);
    rig_settle_down();
    cr_assert_eq(rig.broker->requeued, 2);
    cr_assert_eq(rig.broker->nack_frames, 2, "they are given back, not left to the connection's end");
}

Test(subscription, stops_while_it_waits_for_a_connection)
{
    begin(QUEUE(""));
    rig.broker->mood = FAKE_SPEECHLESS;
    rig_until(rig.broker->link_count > 0);
    rig_settle_down();
}

Test(subscription, stops_while_it_backs_off)
{
    begin(QUEUE(",\"declare\":\"passive\""));
    rig.broker->missing = "q";
    rig_until(subscription()->state == SUBSCRIPTION_FAILED);
}

/* Whatever is asked of a broker that has gone silent. */
static void stop_while_unanswered(amqp_method_number_t id)
{
    begin_hearing(QUEUE(""));
    heard.unanswered = id;
    rig_until(heard.count > 0 && heard.methods[heard.count - 1] == id);
    worker_stop(work.worker);
    rig_until(work.worker->ended);
}

Test(subscription, stops_while_it_opens_its_channel)
{
    stop_while_unanswered(AMQP_CHANNEL_OPEN_METHOD);
}

Test(subscription, stops_while_it_declares)
{
    stop_while_unanswered(AMQP_QUEUE_DECLARE_METHOD);
}

Test(subscription, stops_while_it_sets_the_prefetch)
{
    stop_while_unanswered(AMQP_BASIC_QOS_METHOD);
}

Test(subscription, stops_while_it_begins_to_consume)
{
    stop_while_unanswered(AMQP_BASIC_CONSUME_METHOD);
}

Test(subscription, stops_although_its_cancel_is_not_answered)
{
    begin_hearing(QUEUE(""));
    rig_until(work_is_consuming());
    heard.unanswered = AMQP_BASIC_CANCEL_METHOD;
    worker_stop(work.worker);
    rig_until(work.worker->ended);
}

Test(subscription, names_its_states)
{
    work_open(QUEUE(""));
    cr_assert_str_eq(state_name(), "consuming");
    cr_assert_str_eq(subscription_state_name(SUBSCRIPTION_IDLE), "idle");
    cr_assert_str_eq(subscription_state_name(SUBSCRIPTION_OPENING), "opening");
    cr_assert_str_eq(subscription_state_name(SUBSCRIPTION_DECLARING), "declaring");
    cr_assert_str_eq(subscription_state_name(SUBSCRIPTION_DRAINING), "draining");
    cr_assert_str_eq(subscription_state_name(SUBSCRIPTION_FAILED), "failed");
    cr_assert_str_eq(subscription_state_name(SUBSCRIPTION_CLOSED), "closed");
}

/* --- Without memory -------------------------------------------------------------------------------------*/

static void come_back_starving(bool (*permit)(size_t size), long step)
{
    work_open(
        QUEUE(",\"bindings\":[{\"exchange\":\"events\",\"routing_key\":\"a\"}],\"arguments\":{\"a\":[1]}"));
    bool reached = true;
    for (long count = 0; reached && rig.broker->link_count < FAKE_LINKS - 8; count += step) {
        fake_link_reset(rig.broker, work_consume_link());
        rig_until(!work_is_consuming());
        allowed = count;
        memory_permit = permit;
        rig_turn_for(0.03);
        reached = allowed <= 0;
        memory_permit = NULL;
        rig_until(work_is_consuming());
        work_deliver("q", "a");
        rig_until(fake_outstanding(rig.broker) == 0);
    }
    cr_assert_not(reached, "it takes more allocations than were tried");
}

Test(subscription, comes_back_whatever_allocation_fails_once)
{
    come_back_starving(all_but_one, 1);
}

Test(subscription, comes_back_from_a_time_without_memory)
{
    come_back_starving(all_up_to, 1);
}
