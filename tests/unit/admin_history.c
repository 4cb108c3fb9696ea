#include "../../src/admin/history.h"
#include "admin_testing.h"
#include <base/memory.h>
#include <stdio.h>
#include <string.h>

static struct history history;
static double now;

static void begin(void)
{
    registry_open();
    now = 1000;
    history_init(&history, &stats, now);
}

static void end(void)
{
    history_destroy(&history);
    registry_close();
}

TestSuite(history, .init = begin, .fini = end);

static void end_step(void)
{
    now += HISTORY_STEP_SECONDS;
    cr_assert(history_tick(&history, now));
}

static void deliver(unsigned count, enum attempt_result result, double seconds, enum delivery_outcome outcome)
{
    for (unsigned i = 0; i < count; i++)
        registry_deliver(&orders, result, seconds, outcome);
}

/* NUL-terminated, until the next call. */
static const char *told(void)
{
    static char copy[65536];
    struct text text;
    text_init(&text);
    history_write(&text, &history);
    cr_assert(!text.failed);
    snprintf(copy, sizeof copy, "%.*s", (int)buffer_length(&text.buffer),
             (const char *)buffer_begin(&text.buffer));
    text_destroy(&text);
    return copy;
}

static void assert_tells(const char *expected)
{
    cr_assert_not_null(strstr(told(), expected), "no %s in %s", expected, told());
}

Test(history, has_nothing_to_tell_before_the_first_step_has_ended)
{
    cr_assert_not(history_tick(&history, now + HISTORY_STEP_SECONDS - 0.1));
    assert_tells("{\"step_seconds\":10,\"as_of\":null,\"queues\":[]}");
}

Test(history, tells_what_happened_in_each_step_the_oldest_first)
{
    deliver(3, ATTEMPT_OK, 0.1, OUTCOME_ACKED);
    end_step();
    deliver(2, ATTEMPT_REJECT, 0.1, OUTCOME_DEAD_LETTERED);
    end_step();
    end_step();
    assert_tells("\"queue\":\"orders\",\"processor\":\"log\",\"settled\":[3,2,0],\"failed\":[0,2,0],\"in_"
                 "flight\":[0,0,0]");
}

Test(history, counts_failed_attempts_of_every_kind_and_no_cancelled_ones)
{
    deliver(1, ATTEMPT_RETRY, 0.1, OUTCOME_RETRIED);
    deliver(1, ATTEMPT_TIMEOUT, 0.1, OUTCOME_DEAD_LETTERED);
    deliver(1, ATTEMPT_CRASH, 0.1, OUTCOME_DEAD_LETTERED);
    deliver(1, ATTEMPT_CANCELLED, 0.1, OUTCOME_RETURNED);
    end_step();
    assert_tells("\"settled\":[4],\"failed\":[3]");
}

Test(history, tells_what_is_in_flight_at_the_end_of_a_step)
{
    queue_counters_arrived(&orders.counters, PHASE_WAITING, now);
    end_step();
    queue_counters_ended(&orders.counters, PHASE_WAITING, OUTCOME_RETURNED);
    end_step();
    assert_tells("\"in_flight\":[1,0]");
}

Test(history, forgets_what_was_ten_minutes_ago)
{
    deliver(7, ATTEMPT_OK, 0.1, OUTCOME_ACKED);
    end_step();
    for (int i = 1; i < HISTORY_STEPS; i++)
        end_step();
    assert_tells("\"settled\":[7,0,");
    end_step();
    cr_assert_null(strstr(told(), "\"settled\":[7,0,"));
}

Test(history, tells_the_durations_that_there_were_before_it_begins)
{
    deliver(5, ATTEMPT_OK, 0.001, OUTCOME_ACKED);
    end_step();
    assert_tells("\"durations_before\":[0,0,0,"); /* they are of the first step */
    for (int i = 0; i < HISTORY_STEPS; i++)
        end_step();
    assert_tells("\"durations_before\":[5,0,0,");
}

Test(history, begins_anew_with_a_queue_that_went_and_came_back)
{
    deliver(9, ATTEMPT_OK, 0.1, OUTCOME_ACKED);
    end_step();
    stats_remove_queue(&stats, &orders);
    end_step();
    cr_assert_null(strstr(told(), "orders"));
    memset(&orders, 0, sizeof orders);
    cr_assert(stats_add_queue(&stats, &orders, "orders", "log"));
    deliver(2, ATTEMPT_OK, 0.1, OUTCOME_ACKED);
    end_step();
    assert_tells("\"queue\":\"orders\",\"processor\":\"log\",\"settled\":[2]");
}

Test(history, tells_queues_in_the_order_that_a_reload_gave_them)
{
    deliver(3, ATTEMPT_OK, 0.1, OUTCOME_ACKED);
    end_step();
    stats_remove_queue(&stats, &orders);
    memset(&orders, 0, sizeof orders);
    cr_assert(stats_add_queue(&stats, &orders, "orders", "log"));
    end_step();
    const char *text = told();
    cr_assert_lt(strstr(text, "\"emails\"") - text, strstr(text, "\"orders\"") - text, "%s", text);
    assert_tells("\"queue\":\"orders\",\"processor\":\"log\",\"settled\":[3,0]");
    end_step();
    assert_tells("\"queue\":\"orders\",\"processor\":\"log\",\"settled\":[3,0,0]");
}

Test(history, goes_on_where_a_counter_began_anew)
{
    deliver(9, ATTEMPT_OK, 0.1, OUTCOME_ACKED);
    end_step();
    stats_remove_queue(&stats, &orders);
    memset(&orders, 0, sizeof orders);
    cr_assert(stats_add_queue(&stats, &orders, "orders", "log"));
    deliver(2, ATTEMPT_OK, 0.1, OUTCOME_ACKED);
    end_step();
    assert_tells("\"settled\":[9,2]");
}

Test(history, leaves_out_steps_that_nobody_had_the_time_to_end)
{
    deliver(4, ATTEMPT_OK, 0.1, OUTCOME_ACKED);
    now += 55;
    cr_assert(history_tick(&history, now));
    cr_assert_not(history_tick(&history, now + HISTORY_STEP_SECONDS - 0.1));
    assert_tells("\"settled\":[4],");
    end_step();
    assert_tells("\"settled\":[4,0],");
}

static unsigned permitted;

static bool permit(size_t size)
{
    (void)size;
    return permitted > 0 && permitted-- > 0;
}

Test(history, goes_without_what_there_is_no_memory_for)
{
    for (unsigned i = 0; i < 12; i++) {
        permitted = i;
        memory_permit = permit;
        end_step();
        memory_permit = NULL;
    }
    end_step();
    assert_tells("\"queue\":\"orders\"");
    assert_tells("\"queue\":\"emails\"");
}
