/* Settlement against a model of the broker, which knows what is outstanding at every moment. */
#include <base/memory.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <worker/settlement.h>

/* --- The broker's side ----------------------------------------------------------------------------------*/

enum at_broker {
    NEVER_DELIVERED,
    OUTSTANDING,
    SETTLED
};
enum at_worker {
    UNSETTLED,
    ACKED,
    RETURNED
};

struct model {
    uint8_t *broker; /* enum at_broker, by tag */
    uint8_t *worker; /* enum at_worker, by tag: what the worker has said so far */
    uint64_t size;
    uint64_t highest;
    size_t frames, multiples; /* sent */
    size_t outstanding;       /* at the broker */
};

static struct model model;
static struct settlement settlement;

static void open_both(void)
{
    model = (struct model){.size = 1 << 20};
    model.broker = calloc(model.size, 1);
    model.worker = calloc(model.size, 1);
    settlement_init(&settlement);
}

static void close_both(void)
{
    memory_permit = NULL;
    settlement_destroy(&settlement);
    free(model.broker);
    free(model.worker);
}

TestSuite(settlement, .init = open_both, .fini = close_both);

static void broker_settles(uint64_t tag)
{
    model.broker[tag] = SETTLED;
    model.outstanding--;
}

/* What goes over the wire is judged at the moment it goes. */
static void on_ack(void *owner, uint64_t tag, bool multiple)
{
    cr_assert_eq(owner, &model, "the owner is another");
    cr_assert_leq(tag, model.highest, "tag %llu was never delivered", (unsigned long long)tag);
    cr_assert_eq(model.broker[tag], OUTSTANDING, "tag %llu is acked, and is not outstanding (%d)",
                 (unsigned long long)tag, model.broker[tag]);
    model.frames++;
    model.multiples += multiple;
    for (uint64_t i = multiple ? 1 : tag; i <= tag; i++) {
        if (model.broker[i] != OUTSTANDING)
            continue;
        cr_assert_eq(model.worker[i], ACKED, "the ack of %llu covers %llu, which nobody acked",
                     (unsigned long long)tag, (unsigned long long)i);
        broker_settles(i);
    }
}

static void flush(void)
{
    settlement_flush(&settlement, on_ack, &model);
    cr_assert_eq(settlement_pending(&settlement), 0);
    cr_assert_eq(settlement_unacknowledged(&settlement), model.outstanding,
                 "%zu are kept, %zu are outstanding", settlement_unacknowledged(&settlement),
                 model.outstanding);
}

static void deliver(uint64_t tag)
{
    enum settlement_result result = settlement_delivered(&settlement, tag);
    cr_assert_eq(result, SETTLEMENT_DONE, "delivering %llu: %d", (unsigned long long)tag, result);
    cr_assert_lt(tag, model.size);
    model.broker[tag] = OUTSTANDING;
    model.outstanding++;
    model.highest = tag;
}

static void ack(uint64_t tag)
{
    enum settlement_result result = settlement_ack(&settlement, tag);
    cr_assert_eq(result, SETTLEMENT_DONE, "acking %llu: %d", (unsigned long long)tag, result);
    model.worker[tag] = ACKED;
}

static void give_back(uint64_t tag)
{
    enum settlement_result result = settlement_return(&settlement, tag);
    cr_assert_eq(result, SETTLEMENT_DONE, "returning %llu: %d", (unsigned long long)tag, result);
    model.worker[tag] = RETURNED;
    broker_settles(tag);
}

static void assert_unknown(uint64_t tag)
{
    size_t pending = settlement_pending(&settlement), unacknowledged = settlement_unacknowledged(&settlement);
    cr_assert_eq(settlement_ack(&settlement, tag), SETTLEMENT_UNKNOWN, "acking %llu",
                 (unsigned long long)tag);
    cr_assert_eq(settlement_return(&settlement, tag), SETTLEMENT_UNKNOWN, "returning %llu",
                 (unsigned long long)tag);
    cr_assert_eq(settlement_pending(&settlement), pending);
    cr_assert_eq(settlement_unacknowledged(&settlement), unacknowledged);
}

/* --- One thing at a time --------------------------------------------------------------------------------*/

Test(settlement, acks_one_delivery_with_one_frame_that_is_not_multiple)
{
    deliver(1);
    ack(1);
    flush();
    cr_assert_eq(model.frames, 1);
    cr_assert_eq(model.multiples, 0);
}

Test(settlement, sends_nothing_where_nothing_is_pending)
{
    flush();
    deliver(1);
    flush();
    deliver(2);
    give_back(2);
    flush();
    cr_assert_eq(model.frames, 0);
}

Test(settlement, sends_one_frame_a_flush_when_deliveries_end_in_order)
{
    uint64_t tag = 1;
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < 37; i++)
            deliver(tag + (uint64_t)i);
        for (int i = 0; i < 37; i++)
            ack(tag + (uint64_t)i);
        tag += 37;
        flush();
    }
    cr_assert_eq(model.frames, 1000, "%zu frames", model.frames);
}

Test(settlement, sends_one_frame_a_flush_also_when_a_whole_batch_ends_in_reverse)
{
    for (uint64_t tag = 1; tag <= 500; tag++)
        deliver(tag);
    for (uint64_t tag = 500; tag >= 1; tag--)
        ack(tag);
    flush();
    cr_assert_eq(model.frames, 1);
}

Test(settlement, acks_singly_above_the_lowest_that_is_outstanding)
{
    for (uint64_t tag = 1; tag <= 6; tag++)
        deliver(tag);
    ack(6), ack(1), ack(2), ack(4);
    flush();
    cr_assert_eq(model.frames, 3, "one for 1 and 2, one each for 4 and 6: %zu", model.frames);
    cr_assert_eq(model.multiples, 1);
    ack(5), ack(3);
    flush();
    cr_assert_eq(model.frames, 4);
}

Test(settlement, never_names_a_returned_tag_in_a_multiple_ack)
{
    deliver(1), deliver(2), deliver(3);
    ack(1), ack(2), give_back(3);
    flush();
    cr_assert_eq(model.frames, 1);
    deliver(4);
    ack(4);
    flush();
    cr_assert_eq(model.outstanding, 0);
}

Test(settlement, knows_no_tag_that_was_never_delivered_or_is_settled_already)
{
    assert_unknown(0);
    assert_unknown(1);
    assert_unknown(UINT64_MAX);
    deliver(1), deliver(2), deliver(3);
    assert_unknown(0);
    assert_unknown(4);
    ack(2);
    assert_unknown(2);
    give_back(1);
    assert_unknown(1);
    flush();
    assert_unknown(1);
    assert_unknown(2);
    ack(3);
    flush();
    for (uint64_t tag = 0; tag < 200; tag++)
        assert_unknown(tag);
}

Test(settlement, refuses_a_delivery_that_was_there_before)
{
    cr_assert_eq(settlement_delivered(&settlement, 0), SETTLEMENT_UNKNOWN);
    deliver(5);
    cr_assert_eq(settlement_delivered(&settlement, 5), SETTLEMENT_UNKNOWN);
    cr_assert_eq(settlement_delivered(&settlement, 4), SETTLEMENT_UNKNOWN, "it was passed over");
    ack(5);
    flush();
    cr_assert_eq(settlement_delivered(&settlement, 5), SETTLEMENT_UNKNOWN);
    cr_assert_eq(settlement_unacknowledged(&settlement), 0);
}

Test(settlement, takes_no_tag_that_was_passed_over_for_outstanding)
{
    deliver(3);
    assert_unknown(1);
    assert_unknown(2);
    deliver(7);
    assert_unknown(5);
    ack(3), ack(7);
    flush();
    cr_assert_eq(model.frames, 1);
}

Test(settlement, refuses_a_tag_that_is_far_beyond_the_next)
{
    deliver(1);
    cr_assert_eq(settlement_delivered(&settlement, 2 + SETTLEMENT_WINDOW_MAX), SETTLEMENT_UNKNOWN);
    cr_assert_eq(settlement_delivered(&settlement, UINT64_MAX), SETTLEMENT_UNKNOWN);
    cr_assert_eq(settlement_unacknowledged(&settlement), 1);
    deliver(1 + SETTLEMENT_WINDOW_MAX);
    for (uint64_t tag = 2; tag <= SETTLEMENT_WINDOW_MAX; tag += 1009)
        assert_unknown(tag);
    ack(1 + SETTLEMENT_WINDOW_MAX), ack(1);
    flush();
    cr_assert_eq(model.frames, 1);
}

Test(settlement, begins_anew_after_a_reset)
{
    for (uint64_t tag = 1; tag <= 100; tag++)
        deliver(tag);
    ack(1), ack(3);
    settlement_reset(&settlement);
    cr_assert_eq(settlement_pending(&settlement), 0);
    cr_assert_eq(settlement_unacknowledged(&settlement), 0);
    for (uint64_t tag = 0; tag <= 101; tag++)
        assert_unknown(tag);
    memset(model.broker, 0, model.size);
    memset(model.worker, 0, model.size);
    model.outstanding = model.highest = 0;
    deliver(1);
    ack(1);
    flush();
    cr_assert_eq(model.frames, 1);
}

/* --- A slow one among many quick ones -------------------------------------------------------------------*/

Test(settlement, lets_any_number_pass_by_one_that_is_slow)
{
    deliver(1);
    for (uint64_t tag = 2; tag < 3 * SETTLEMENT_WINDOW_MAX; tag++) {
        deliver(tag);
        ack(tag);
        if (tag % 50 == 0)
            flush();
    }
    assert_unknown(2);
    assert_unknown(SETTLEMENT_WINDOW_MAX);
    ack(1);
    flush();
    cr_assert_eq(model.outstanding, 0);
    size_t frames = model.frames;
    deliver(3 * SETTLEMENT_WINDOW_MAX), deliver(3 * SETTLEMENT_WINDOW_MAX + 1);
    ack(3 * SETTLEMENT_WINDOW_MAX), ack(3 * SETTLEMENT_WINDOW_MAX + 1);
    flush();
    cr_assert_eq(model.frames, frames + 1, "with the slow one gone, one frame does again");
}

Test(settlement, keeps_account_of_many_that_are_left_far_behind)
{
    enum {
        SLOW = 1000,
        STEP = 7
    };
    uint64_t tag = 1;
    for (; tag <= SLOW * STEP; tag++) {
        deliver(tag);
        if (tag % STEP != 0)
            ack(tag);
    }
    for (; tag < 2 * SETTLEMENT_WINDOW_MAX; tag++) {
        deliver(tag);
        ack(tag);
        if (tag % 100 == 0)
            flush();
    }
    cr_assert_eq(settlement.outstanding, SLOW);
    /* From the middle, the end and the beginning, and each only once. */
    for (uint64_t i = 0; i < SLOW; i++) {
        uint64_t slow = STEP * (1 + (i * 617 + 500) % SLOW);
        if (i % 3 == 0)
            give_back(slow);
        else
            ack(slow);
        assert_unknown(slow);
        if (i % 10 == 0)
            flush();
    }
    flush();
    cr_assert_eq(model.outstanding, 0);
    cr_assert_eq(settlement_unacknowledged(&settlement), 0);
}

Test(settlement, holds_any_number_of_acks_that_are_not_flushed)
{
    for (uint64_t tag = 1; tag <= 2 * SETTLEMENT_WINDOW_MAX; tag++) {
        deliver(tag);
        ack(tag);
    }
    flush();
    cr_assert_eq(model.frames, 1, "%zu frames", model.frames);
}

Test(settlement, takes_memory_for_what_is_outstanding_and_not_for_what_has_passed)
{
    for (uint64_t tag = 1; tag < 4 * SETTLEMENT_WINDOW_MAX; tag++) {
        deliver(tag);
        if (tag == 1)
            continue;
        ack(tag);
        flush();
    }
    cr_assert_leq(settlement.capacity, 64, "room for %zu where two were unacknowledged", settlement.capacity);
    cr_assert_leq(settlement.window_capacity, SETTLEMENT_WINDOW_MAX);
}

/* --- At random ------------------------------------------------------------------------------------------*/

static uint64_t seed;

static uint64_t below(uint64_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % limit;
}

struct scenario {
    unsigned prefetch;
    unsigned gap;      /* one delivery in so many jumps; 0: none */
    unsigned returned; /* percent of what ends */
    unsigned flush;    /* one step in so many */
    bool in_order;
    unsigned slow; /* one in so many ends only when it is drawn from among the old */
};

/* The outstanding tags, in no order. */
struct work {
    uint64_t tags[70000];
    size_t count;
};

static uint64_t take(struct work *work, size_t index, bool in_order)
{
    uint64_t tag = work->tags[index];
    if (in_order)
        memmove(&work->tags[index], &work->tags[index + 1], (work->count - index - 1) * sizeof tag);
    else
        work->tags[index] = work->tags[work->count - 1];
    work->count--;
    return tag;
}

static void end_one(struct work *work, const struct scenario *scenario)
{
    size_t index = scenario->in_order ? 0 : below(work->count);
    if (scenario->slow != 0 && work->tags[index] % scenario->slow == 0 && below(200) != 0)
        return;
    uint64_t tag = take(work, index, scenario->in_order);
    if (below(100) < scenario->returned)
        give_back(tag);
    else
        ack(tag);
    if (below(50) == 0)
        assert_unknown(tag);
}

/* Any tag that is not outstanding is unknown. */
static void probe(uint64_t tag)
{
    if (tag > model.highest || model.broker[tag] == NEVER_DELIVERED || model.worker[tag] != UNSETTLED)
        assert_unknown(tag);
}

static void play(uint64_t with_seed, const struct scenario *scenario, unsigned steps)
{
    static struct work work;
    uint64_t next = 1;
    work.count = 0;
    seed = with_seed * 0x9E3779B97F4A7C15u | 1;
    for (unsigned step = 0; step < steps; step++) {
        uint64_t choice = below(100);
        if (choice < 50 && settlement_unacknowledged(&settlement) < scenario->prefetch) {
            if (scenario->gap != 0 && below(scenario->gap) == 0)
                next += below(100);
            deliver(next);
            work.tags[work.count++] = next++;
        } else if (choice < 95 && work.count > 0) {
            end_one(&work, scenario);
        } else {
            probe(below(next + 3));
        }
        if (below(scenario->flush) == 0)
            flush();
    }
    while (work.count > 0)
        end_one(&work, scenario);
    flush();
    cr_assert_eq(model.outstanding, 0, "seed %llu: %zu are left at the broker", (unsigned long long)with_seed,
                 model.outstanding);
    for (uint64_t tag = 1; tag <= model.highest; tag++)
        cr_assert(model.broker[tag] != OUTSTANDING, "tag %llu was never settled", (unsigned long long)tag);
}

static void play_all(const struct scenario *scenario, unsigned seeds, unsigned steps)
{
    for (uint64_t i = 1; i <= seeds; i++) {
        play(i, scenario, steps);
        close_both();
        open_both();
    }
}

Test(settlement, settles_each_tag_once_whatever_the_order)
{
    struct scenario scenario = {.prefetch = 50, .returned = 10, .flush = 7};
    play_all(&scenario, 100, 3000);
}

Test(settlement, settles_each_tag_once_where_tags_are_passed_over)
{
    struct scenario scenario = {.prefetch = 200, .gap = 5, .returned = 30, .flush = 20};
    play_all(&scenario, 100, 3000);
}

Test(settlement, settles_each_tag_once_in_order_and_with_a_window_of_one)
{
    struct scenario scenario = {.prefetch = 1, .returned = 20, .flush = 2, .in_order = true};
    play_all(&scenario, 50, 2000);
}

Test(settlement, settles_each_tag_once_when_flushes_are_rare)
{
    struct scenario scenario = {.prefetch = 5000, .gap = 100, .returned = 5, .flush = 2000};
    play_all(&scenario, 10, 50000);
}

Test(settlement, settles_each_tag_once_with_slow_ones_left_far_behind)
{
    struct scenario scenario = {.prefetch = 2000, .returned = 10, .flush = 50, .slow = 500};
    play_all(&scenario, 2, 900000);
}

/* --- Without memory -------------------------------------------------------------------------------------*/

static bool never(size_t size)
{
    (void)size;
    return false;
}

static unsigned denials;

static bool at_random(size_t size)
{
    (void)size;
    bool denied = below(2) == 0;
    denials += denied;
    return !denied;
}

Test(settlement, says_when_memory_is_short_and_changes_nothing)
{
    memory_permit = never;
    cr_assert_eq(settlement_delivered(&settlement, 1), SETTLEMENT_MEMORY);
    assert_unknown(1);
    cr_assert_eq(settlement_unacknowledged(&settlement), 0);
    memory_permit = NULL;
    for (uint64_t tag = 1; tag <= 64; tag++)
        deliver(tag);
    ack(64);
    memory_permit = never;
    cr_assert_eq(settlement_delivered(&settlement, 65), SETTLEMENT_MEMORY);
    assert_unknown(65);
    for (uint64_t tag = 1; tag < 64; tag++)
        ack(tag);
    flush();
    cr_assert_eq(model.frames, 1, "settling takes no memory");
}

Test(settlement, goes_on_after_each_denied_allocation)
{
    seed = 4711;
    memory_permit = at_random;
    for (uint64_t tag = 1; tag <= 20000; tag++) {
        enum settlement_result result;
        while ((result = settlement_delivered(&settlement, tag)) == SETTLEMENT_MEMORY)
            assert_unknown(tag);
        cr_assert_eq(result, SETTLEMENT_DONE);
        model.broker[tag] = OUTSTANDING;
        model.outstanding++;
        model.highest = tag;
        if (tag % 3 == 0)
            ack(tag);
    }
    cr_assert_gt(denials, 0);
    flush();
    for (uint64_t tag = 1; tag <= 20000; tag++)
        if (tag % 3 != 0)
            ack(tag);
    flush();
    cr_assert_eq(model.outstanding, 0);
}
