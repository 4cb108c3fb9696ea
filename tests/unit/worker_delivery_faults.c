/* Deliveries when anything may happen to them, and without memory. */
#include "short_memory.h"
#include "worker_testing.h"

#define QUEUE(name, more) "{\"name\":\"" name "\",\"processor\":\"counting\"" more "}"

static struct queue_counters *counters_of(size_t queue)
{
    return &work_subscription(queue)->stats.counters;
}

TestSuite(delivery, .fini = work_close, .timeout = 120);

/* --- Anything goes --------------------------------------------------------------------------------------*/

static uint64_t seed;

static unsigned below(unsigned limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % limit);
}

static void deliver_at_random(const char *queue)
{
    static const char *const BODIES[] = {"a", "a", "a", "r", "x", "s", "S", "h", "t", "h"};
    struct fake_link *link = work_consume_link();
    unsigned channel = fake_consumer(link, queue);
    if (channel == 0 || link->channels[channel].delivered > 100000)
        return;
    if (below(30) == 0) {
        char *body = work_pattern(4000);
        fake_deliver(rig.broker, link, channel, NULL, body, 4000);
        free(body);
    } else {
        fake_deliver(rig.broker, link, channel, NULL, BODIES[below(10)], 1);
    }
}

static void confirm_all(void)
{
    for (size_t i = 0; i < fake_published(rig.broker); i++) {
        struct fake_publish *publish = &rig.broker->publishes[i];
        if (publish->whole && publish->tag != 0 && publish->link->is_open)
            fake_confirm(publish->link, publish->channel, publish->tag, false, false);
    }
}

static void something_happens(void)
{
    static const whippet_verdict VERDICTS[] = {WHIPPET_ACK, WHIPPET_RETRY, WHIPPET_REJECT};
    struct fake_link *link = work_consume_link();
    unsigned choice = below(1000);
    if (choice < 600) {
        deliver_at_random(below(2) == 0 ? "one" : "two");
    } else if (choice < 900) {
        if (!list_empty(&work.held))
            waiter_wake(&list_entry(work.held.next, struct work_held, link)->waiter, (int)VERDICTS[below(3)]);
    } else if (choice < 985) {
        rig.broker->confirm = (enum fake_confirm)below(3);
    } else if (choice < 990) {
        unsigned channel = link != NULL ? fake_consumer(link, "one") : 0;
        if (channel != 0)
            fake_channel_close(rig.broker, link, channel, 406, "PRECONDITION_FAILED");
    } else if (choice < 993 && rig.broker->link_count < FAKE_LINKS - 8) {
        if (link != NULL)
            fake_link_reset(rig.broker, link);
    } else if (choice < 996 && rig.broker->link_count < FAKE_LINKS - 8) {
        link = fake_link_named(rig.broker, "publish");
        if (link != NULL)
            fake_link_reset(rig.broker, link);
    }
}

static void play(uint64_t with_seed)
{
    seed = with_seed * 0x9E3779B97F4A7C15u | 1;
    work_open(QUEUE(
        "one",
        ",\"concurrency\":4,\"prefetch\":20,\"max_message_size\":1000,\"timeout\":\"15ms\","
        "\"retry\":{\"attempts\":3,\"delay\":\"3ms\"}") "," QUEUE("two", ",\"concurrency\":1,\"max_message_"
                                                                         "size\":1000,\"timeout\":\"15ms\","
                                                                         "\"on_failure\":\"discard\","
                                                                         "\"retry\":{\"attempts\":2,"
                                                                         "\"delay\":\"1ms\"}"));
    for (int step = 0; step < 1500; step++) {
        something_happens();
        rig_turn();
    }
    rig.broker->confirm = FAKE_CONFIRMS;
    confirm_all();
    while (!list_empty(&work.held)) {
        if (!list_entry(work.held.next, struct work_held, link)->waiter.woken)
            work_release(NULL, WHIPPET_ACK);
        rig_turn();
    }
    for (size_t i = 0; i < 2; i++)
        rig_until(queue_counters_in_flight(counters_of(i)) == 0);
    rig_until(fake_outstanding(rig.broker) == 0);
}

Test(delivery, ends_in_exactly_one_way_whatever_happens)
{
    for (uint64_t i = 1; i <= 4; i++) {
        if (i > 1)
            work_close();
        play(i);
    }
}

/* --- Without memory -------------------------------------------------------------------------------------*/

/* The size of what keeps a dead letter's task going. */
static bool all_but_handovers(size_t size)
{
    return size != sizeof(struct handover);
}

Test(delivery, that_there_is_no_memory_to_dead_letter_gives_its_slot_to_the_next)
{
    work_open(QUEUE("q", ",\"concurrency\":1,\"prefetch\":10"));
    work_deliver("q", "h1");
    work_deliver("q", "a1");
    rig_until(work_held_count() == 1 && counter_get(&counters_of(0)->phases[PHASE_WAITING]) == 1);
    memory_permit = all_but_handovers;
    work_release("h1", WHIPPET_REJECT);
    rig_until(work_starts("a1") == 1);
    memory_permit = NULL;
    rig_until(rig.broker->requeued == 1 && rig.broker->acked == 1);
}

static bool nothing_large(size_t size)
{
    return size < 60000;
}

/* The slow one has each of the others acked by a frame of its own, more than the output queue has room for.
 */
Test(delivery, whose_ack_there_is_no_memory_for_is_in_its_queue_again)
{
    work_open(QUEUE("q", ",\"type\":\"classic\",\"prefetch\":65535"));
    struct fake_link *link = work_consume_link();
    unsigned channel = work_channel("q");
    memory_permit = nothing_large;
    work_deliver("q", "h1");
    for (int i = 0; i < 20000; i++)
        fake_deliver(rig.broker, link, channel, NULL, "a", 1);
    rig_until(work.start_count > 15000 || connection_reconnects(work.worker->consume) > 0);
    memory_permit = NULL;
    rig_until(fake_outstanding(rig.broker) <= 1);
    work_release("h1", WHIPPET_ACK);
    rig_until(work_is_consuming() && fake_outstanding(rig.broker) == 0);
}

Test(delivery, that_there_is_no_memory_to_return_goes_back_with_its_connection)
{
    enum {
        MANY = 20000
    };
    work_open(QUEUE("q", ",\"type\":\"classic\",\"concurrency\":1,\"prefetch\":65535"));
    struct fake_link *link = work_consume_link();
    unsigned channel = work_channel("q");
    work_deliver("q", "h1");
    for (int i = 0; i < MANY; i++)
        fake_deliver(rig.broker, link, channel, NULL, "a", 1);
    rig_until(counter_get(&counters_of(0)->phases[PHASE_WAITING]) == MANY);
    memory_permit = nothing_large;
    worker_stop(work.worker);
    rig_until(work_count(0, OUTCOME_RETURNED) == MANY);
    memory_permit = NULL;
    work_release("h1", WHIPPET_ACK);
    rig_until(work.worker->ended && fake_outstanding(rig.broker) == 0);
}

static void short_scenario(void)
{
    struct fake_link *link = work_consume_link();
    unsigned channel = work_channel("q");
    char *body = work_pattern(4000);
    fake_deliver(rig.broker, link, channel, NULL, "a", 1);
    fake_deliver(rig.broker, link, channel, NULL, "r", 1);
    fake_deliver(rig.broker, link, channel, NULL, "s", 1);
    fake_deliver(rig.broker, link, channel, NULL, "x", 1);
    fake_deliver(rig.broker, link, channel, NULL, body, 4000);
    free(body);
}

/* Each allocation of the scenario fails once, or none succeeds from it on for a while: nothing crashes, the
 * books agree, and in the end the broker holds nothing back for us. */
static void starve(bool (*permit)(size_t size), long step)
{
    work_open(QUEUE("q", ",\"concurrency\":2,\"prefetch\":20,\"max_message_size\":1000,"
                         "\"retry\":{\"attempts\":2,\"delay\":\"1ms\"}"));
    bool reached = true;
    for (long count = 0; reached && rig.broker->link_count < FAKE_LINKS - 6; count += step) {
        allowed = count;
        memory_permit = permit;
        short_scenario();
        for (int turn = 0; turn < 30; turn++)
            rig_turn();
        reached = allowed <= 0;
        memory_permit = NULL;
        rig_until(work_is_consuming() && queue_counters_in_flight(counters_of(0)) == 0);
        rig_until(fake_outstanding(rig.broker) == 0);
    }
    cr_assert_not(reached, "it takes more allocations than were tried");
}

Test(delivery, survives_each_allocation_that_fails)
{
    starve(all_but_one, 1);
}

Test(delivery, survives_a_time_without_memory)
{
    starve(all_up_to, 3);
}
