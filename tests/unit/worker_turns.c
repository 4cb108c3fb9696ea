/* A queue that floods, and one that does not. */
#include "worker_testing.h"

#define QUEUE(name)                                                                                          \
    "{\"name\":\"" name "\",\"processor\":\"counting\",\"type\":\"classic\",\"prefetch\":65535}"

TestSuite(turns, .fini = work_close);

static size_t starts_before(const char *body)
{
    for (size_t i = 0; i < work.start_count; i++)
        if (strcmp(work.starts[i].body, body) == 0)
            return i;
    return SIZE_MAX;
}

Test(turns, of_a_queue_that_floods_leave_room_for_another)
{
    enum {
        FLOOD = 15000
    };
    work_open(QUEUE("flood") "," QUEUE("other"));
    for (int i = 0; i < FLOOD; i++)
        work_deliver("flood", "a");
    work_deliver("other", "ab");
    rig_until(work_starts(NULL) == FLOOD + 1);
    cr_assert_lt(starts_before("ab"), FLOOD / 2, "%zu started before it", starts_before("ab"));
}

/* The one has 15,000 waiting already when the other's message comes. */
Test(turns, of_a_queue_that_has_much_waiting_leave_room_for_another)
{
    enum {
        FLOOD = 15000
    };
    work_open("{\"name\":\"flood\",\"processor\":\"counting\",\"type\":\"classic\",\"prefetch\":65535,"
              "\"concurrency\":1}," QUEUE("other"));
    work_deliver("flood", "h");
    for (int i = 0; i < FLOOD; i++)
        work_deliver("flood", "a");
    struct queue_counters *counters = &work_subscription(0)->stats.counters;
    rig_until(counter_get(&counters->phases[PHASE_WAITING]) == FLOOD);
    work_release("h", WHIPPET_ACK);
    work_deliver("other", "ab");
    rig_until(work_starts(NULL) == FLOOD + 2);
    cr_assert_lt(starts_before("ab"), 1500, "%zu started before it", starts_before("ab"));
}

Test(turns, are_had_by_queues_that_flood_in_equal_shares)
{
    enum {
        FLOOD = 5000
    };
    work_open(QUEUE("one") "," QUEUE("two"));
    for (int i = 0; i < FLOOD; i++)
        work_deliver("one", "a1");
    for (int i = 0; i < FLOOD; i++)
        work_deliver("two", "a2");
    rig_until(work_starts(NULL) == 2 * FLOOD);
    size_t last_of_one = 0, first_of_two = starts_before("a2");
    for (size_t i = 0; i < work.start_count; i++)
        if (strcmp(work.starts[i].body, "a1") == 0)
            last_of_one = i;
    cr_assert_lt(first_of_two, last_of_one - 1000, "the one was done when the other began");
}
