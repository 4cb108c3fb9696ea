#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <worker/counters.h>

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
    counters_observe_duration(&counters, seconds);
    for (unsigned i = 0; i <= DURATION_BUCKET_COUNT; i++)
        cr_assert_eq(counter_get(&counters.durations[i]), i == expected, "%g s: bucket %u holds %llu",
                     seconds, i, (unsigned long long)counter_get(&counters.durations[i]));
}

Test(counters, put_a_duration_into_the_bucket_whose_bound_it_does_not_pass)
{
    static const double BOUNDS[DURATION_BUCKET_COUNT] = DURATION_BUCKETS;
    for (unsigned i = 0; i < DURATION_BUCKET_COUNT; i++) {
        assert_only_bucket(BOUNDS[i], i);
        assert_only_bucket(nextafter(BOUNDS[i], INFINITY), i + 1);
    }
    assert_only_bucket(0, 0);
    assert_only_bucket(1e6, DURATION_BUCKET_COUNT);
}

Test(counters, take_no_harm_from_a_duration_below_zero)
{
    struct queue_counters counters = {0};
    counters_observe_duration(&counters, -1e-9);
    cr_assert_eq(counter_get(&counters.durations[0]), 1);
    cr_assert_eq(counter_get(&counters.duration_nanoseconds), 0);
}

Test(counters, sum_durations_up_in_nanoseconds)
{
    struct queue_counters counters = {0};
    counters_observe_duration(&counters, 0.25);
    counters_observe_duration(&counters, 1.5);
    cr_assert_eq(counter_get(&counters.duration_nanoseconds), 1750000000u);
}
