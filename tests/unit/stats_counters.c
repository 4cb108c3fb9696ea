#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stats/counters.h>
#include <stdatomic.h>
#include <string.h>
#include <under_valgrind.h>

static void assert_text(const char *found, const char *expected)
{
    cr_assert_str_eq(found, expected, "found \"%s\" where \"%s\" was expected", found, expected);
}

Test(counters, call_outcomes_by_the_names_that_are_promised)
{
    assert_text(delivery_outcome_label(OUTCOME_ACKED), "acked");
    assert_text(delivery_outcome_label(OUTCOME_RETRIED), "retried");
    assert_text(delivery_outcome_label(OUTCOME_DEAD_LETTERED), "dead_lettered");
    assert_text(delivery_outcome_label(OUTCOME_DISCARDED), "discarded");
    assert_text(delivery_outcome_label(OUTCOME_RETURNED), "returned");
    cr_assert_eq(OUTCOME_COUNT, 5);
}

Test(counters, call_results_by_their_names)
{
    assert_text(attempt_result_label(ATTEMPT_OK), "ok");
    assert_text(attempt_result_label(ATTEMPT_RETRY), "retry");
    assert_text(attempt_result_label(ATTEMPT_REJECT), "reject");
    assert_text(attempt_result_label(ATTEMPT_TIMEOUT), "timeout");
    assert_text(attempt_result_label(ATTEMPT_CANCELLED), "cancelled");
    assert_text(attempt_result_label(ATTEMPT_CRASH), "crash");
    cr_assert_eq(ATTEMPT_RESULT_COUNT, 6);
}

Test(counters, call_failures_by_what_dead_letters_say)
{
    assert_text(failure_reason_label(FAILURE_REJECTED), "rejected");
    assert_text(failure_reason_label(FAILURE_RETRY_EXHAUSTED), "retry-exhausted");
    assert_text(failure_reason_label(FAILURE_TIMEOUT), "timeout");
    assert_text(failure_reason_label(FAILURE_CRASH), "crash");
    assert_text(failure_reason_label(FAILURE_TOO_LARGE), "too-large");
    cr_assert_eq(FAILURE_REASON_COUNT, 5);
}

Test(counters, add_and_subtract)
{
    counter count = 0;
    counter_add(&count, 5);
    counter_add(&count, UINT64_C(1) << 40);
    counter_subtract(&count, 2);
    cr_assert_eq(counter_get(&count), (UINT64_C(1) << 40) + 3);
}

static void assert_only_bucket(double seconds, unsigned expected)
{
    struct queue_counters counters = {0};
    queue_counters_attempted(&counters, ATTEMPT_OK, seconds);
    for (unsigned i = 0; i <= DURATION_BUCKET_COUNT; i++)
        cr_assert_eq(counter_get(&counters.durations[i]), i == expected, "%g s: bucket %u holds %llu",
                     seconds, i, (unsigned long long)counter_get(&counters.durations[i]));
}

Test(counters, put_a_duration_into_the_bucket_whose_bound_it_does_not_pass)
{
    for (unsigned i = 0; i < DURATION_BUCKET_COUNT; i++) {
        assert_only_bucket(DURATION_BOUNDS[i], i);
        assert_only_bucket(nextafter(DURATION_BOUNDS[i], INFINITY), i + 1);
    }
    assert_only_bucket(0, 0);
    assert_only_bucket(1e6, DURATION_BUCKET_COUNT);
}

Test(counters, take_no_harm_from_a_duration_below_zero)
{
    struct queue_counters counters = {0};
    queue_counters_attempted(&counters, ATTEMPT_OK, -1e-9);
    cr_assert_eq(counter_get(&counters.durations[0]), 1);
    cr_assert_eq(counter_get(&counters.duration_nanoseconds), 0);
}

Test(counters, sum_durations_up_in_nanoseconds)
{
    struct queue_counters counters = {0};
    queue_counters_attempted(&counters, ATTEMPT_OK, 0.25);
    queue_counters_attempted(&counters, ATTEMPT_OK, 1.5);
    cr_assert_eq(counter_get(&counters.duration_nanoseconds), 1750000000u);
}

/* --- Reading while the loop writes ----------------------------------------------------------------------*/

static uint64_t sum(const uint64_t *values, size_t count)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += values[i];
    return total;
}

static void assert_add_up(const struct queue_totals *totals)
{
    cr_assert_eq(totals->consumed, sum(totals->outcomes, OUTCOME_COUNT) + totals->in_flight);
    cr_assert_eq(sum(totals->failures, FAILURE_REASON_COUNT),
                 totals->outcomes[OUTCOME_DEAD_LETTERED] + totals->outcomes[OUTCOME_DISCARDED]);
    cr_assert_eq(totals->in_flight, sum(totals->phases, PHASE_COUNT), "in flight %llu, in phases %llu",
                 (unsigned long long)totals->in_flight, (unsigned long long)sum(totals->phases, PHASE_COUNT));
    cr_assert_eq(sum(totals->attempts, ATTEMPT_RESULT_COUNT),
                 sum(totals->durations, DURATION_BUCKET_COUNT + 1));
}

static struct {
    struct queue_counters counters;
    atomic_bool over;
} shared;

/* The loop's part: deliveries that go every way there is. Between two of them a loop has other things to do;
 * a writer that never pauses leaves a reader whom a sanitizer slows no moment to read in. */
static void *deliver_many(void *arg)
{
    const unsigned *count = arg;
    for (unsigned i = 0; i < *count; i++) {
        queue_counters_arrived(&shared.counters, PHASE_WAITING, i);
        queue_counters_moved(&shared.counters, PHASE_WAITING, PHASE_RUNNING);
        queue_counters_attempted(&shared.counters, i % ATTEMPT_RESULT_COUNT, 0.001 * i);
        if (i % 3 == 0)
            queue_counters_moved(&shared.counters, PHASE_RUNNING, PHASE_RETRYING);
        enum delivery_phase phase = i % 3 == 0 ? PHASE_RETRYING : PHASE_RUNNING;
        enum delivery_outcome outcome = i % OUTCOME_COUNT;
        if (outcome == OUTCOME_DEAD_LETTERED || outcome == OUTCOME_DISCARDED)
            queue_counters_failed(&shared.counters, phase, outcome, i % FAILURE_REASON_COUNT);
        else
            queue_counters_ended(&shared.counters, phase, outcome);
        sched_yield();
    }
    atomic_store(&shared.over, true);
    return NULL;
}

Test(counters, add_up_in_every_reading_while_messages_run)
{
    unsigned count = UNDER_VALGRIND ? 1000 : 20000; /* Valgrind runs one thread at a time */
    struct queue_totals totals, before = {0};
    pthread_t loop;
    cr_assert_eq(pthread_create(&loop, NULL, deliver_many, &count), 0);
    do {
        queue_counters_read(&shared.counters, &totals);
        assert_add_up(&totals);
        cr_assert_leq(totals.in_flight, 1, "one at a time is in flight, not %llu",
                      (unsigned long long)totals.in_flight);
        cr_assert_geq(totals.consumed, before.consumed, "a counter went back");
        before = totals;
    } while (!atomic_load(&shared.over));
    pthread_join(loop, NULL);
    queue_counters_read(&shared.counters, &totals);
    cr_assert_eq(totals.consumed, count);
    cr_assert_eq(totals.in_flight, 0);
}

Test(counters, add_up_even_where_a_change_never_comes_to_its_end)
{
    struct queue_counters counters = {0};
    struct queue_totals totals;
    queue_counters_arrived(&counters, PHASE_WAITING, 1);
    counters.sequence++;
    counter_add(&counters.consumed, 1);
    queue_counters_read(&counters, &totals);
    cr_assert_eq(totals.consumed, 2);
    cr_assert_eq(totals.in_flight, 2);
}

Test(counters, inherit_what_another_counted)
{
    struct queue_counters heir = {0}, gone = {0};
    struct queue_totals totals;
    queue_counters_arrived(&heir, PHASE_WAITING, 1);
    queue_counters_arrived(&gone, PHASE_RUNNING, 2);
    queue_counters_attempted(&gone, ATTEMPT_OK, 0.3);
    queue_counters_ended(&gone, PHASE_RUNNING, OUTCOME_ACKED);
    queue_counters_arrived(&gone, PHASE_RUNNING, 2);
    queue_counters_failed(&gone, PHASE_RUNNING, OUTCOME_DISCARDED, FAILURE_TIMEOUT);
    queue_counters_inherit(&heir, &gone);
    queue_counters_read(&heir, &totals);
    assert_add_up(&totals);
    cr_assert_eq(totals.consumed, 3);
    cr_assert_eq(totals.outcomes[OUTCOME_ACKED], 1);
    cr_assert_eq(totals.failures[FAILURE_TIMEOUT], 1);
    cr_assert_eq(totals.durations[7], 1);
}
