#include <async/timer.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static struct timers timers;

static void set_up(void)
{
    timers_init(&timers);
}

static void tear_down(void)
{
    timers_destroy(&timers);
}

TestSuite(timers, .init = set_up, .fini = tear_down);

enum {
    MOST_RUNS = 4096
};

static struct timer *runs[MOST_RUNS]; /* those that ran, in order */
static size_t run_count;

static void note(struct timer *timer)
{
    cr_assert_not(timer_armed(timer), "a timer is disarmed before it runs");
    runs[run_count++] = timer;
}

static bool deny(size_t size)
{
    (void)size;
    return false;
}

Test(timers, run_in_the_order_of_their_moments)
{
    static const double moments[] = {5, 1, 4, 2, 3};
    struct timer some[5] = {0};
    for (int i = 0; i < 5; i++) {
        some[i].function = note;
        cr_assert(timer_start(&timers, &some[i], moments[i]));
    }
    cr_expect_eq(timers_run(&timers, 10), 5);
    for (size_t i = 0; i < 5; i++)
        cr_expect_eq(runs[i]->at, (double)(i + 1), "at place %zu ran the one for %g", i, runs[i]->at);
}

Test(timers, of_the_same_moment_run_in_the_order_they_were_armed)
{
    enum {
        COUNT = 200
    };
    struct timer some[COUNT] = {0};
    for (int i = 0; i < COUNT; i++) {
        some[i].function = note;
        timer_start(&timers, &some[i], 1.0);
    }
    timers_run(&timers, 1.0);
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(runs[i], &some[i], "number %td ran at place %d", runs[i] - some, i);
}

Test(timers, run_once_when_due_and_not_before)
{
    struct timer timer = {.function = note};
    timer_start(&timers, &timer, 2.0);
    cr_expect_eq(timers_run(&timers, 1.999), 0);
    cr_expect(timer_armed(&timer));
    cr_expect_eq(timers_run(&timers, 2.0), 1);
    cr_expect_not(timer_armed(&timer));
    cr_expect_eq(timers_run(&timers, 3.0), 0);
}

Test(timers, tell_the_next_moment)
{
    struct timer one = {.function = note};
    struct timer other = {.function = note};
    cr_expect_eq(timers_next(&timers), INFINITY);
    timer_start(&timers, &one, 7);
    cr_expect_eq(timers_next(&timers), 7);
    timer_start(&timers, &other, 3);
    cr_expect_eq(timers_next(&timers), 3);
    timer_stop(&timers, &other);
    cr_expect_eq(timers_next(&timers), 7);
    timer_stop(&timers, &one);
    cr_expect_eq(timers_next(&timers), INFINITY);
}

Test(timers, that_are_stopped_do_not_run)
{
    struct timer timer = {.function = note};
    timer_start(&timers, &timer, 1);
    timer_stop(&timers, &timer);
    timer_stop(&timers, &timer);
    cr_expect_not(timer_armed(&timer));
    cr_expect_eq(timers_run(&timers, 2), 0);
}

Test(timers, that_were_never_armed_can_be_stopped)
{
    struct timer timer = {0};
    timer_stop(&timers, &timer);
    cr_expect_not(timer_armed(&timer));
}

Test(timers, move_when_they_are_armed_again)
{
    struct timer timer = {.function = note};
    timer_start(&timers, &timer, 1);
    timer_start(&timers, &timer, 5);
    cr_expect_eq(timers.count, 1, "%zu are armed", timers.count);
    cr_expect_eq(timers_run(&timers, 4), 0);
    timer_start(&timers, &timer, 3);
    cr_expect_eq(timers_run(&timers, 4), 1);
}

static struct timer *other_timer;
static double other_moment;

static void arm_itself(struct timer *timer)
{
    note(timer);
    timer_start(&timers, timer, timer->at);
}

Test(timers, armed_while_others_run_wait_for_the_next_call_even_when_due)
{
    struct timer timer = {.function = arm_itself};
    timer_start(&timers, &timer, 1);
    cr_expect_eq(timers_run(&timers, 2), 1);
    cr_expect(timer_armed(&timer));
    cr_expect_eq(timers_next(&timers), 1);
    cr_expect_eq(timers_run(&timers, 2), 1);
    timer_stop(&timers, &timer);
}

static void stop_the_other(struct timer *timer)
{
    note(timer);
    timer_stop(&timers, other_timer);
}

Test(timers, stopped_by_one_that_runs_do_not_run_though_they_are_due)
{
    struct timer one = {.function = stop_the_other};
    struct timer other = {.function = note};
    other_timer = &other;
    timer_start(&timers, &one, 1);
    timer_start(&timers, &other, 1);
    cr_expect_eq(timers_run(&timers, 1), 1);
    cr_expect_not(timer_armed(&other));
    cr_expect_eq(timers_next(&timers), INFINITY);
}

static void move_the_other(struct timer *timer)
{
    note(timer);
    timer_start(&timers, other_timer, other_moment);
}

Test(timers, moved_by_one_that_runs_wait_for_their_new_moment_or_the_next_call)
{
    struct timer one = {.function = move_the_other};
    struct timer other = {.function = note};
    other_timer = &other;
    other_moment = 0.5;
    timer_start(&timers, &one, 1);
    timer_start(&timers, &other, 2);
    cr_expect_eq(timers_run(&timers, 3), 1, "the other is due by either moment, but was armed anew");
    cr_expect_eq(timers_next(&timers), 0.5);
    cr_expect_eq(timers_run(&timers, 3), 1);
}

Test(timers, are_not_armed_when_memory_is_short)
{
    struct timer timer = {.function = note};
    memory_permit = deny;
    cr_expect_not(timer_start(&timers, &timer, 1));
    memory_permit = NULL;
    cr_expect_not(timer_armed(&timer));
    cr_expect_eq(timers_next(&timers), INFINITY);
    cr_expect(timer_start(&timers, &timer, 1));
}

Test(timers, that_cannot_be_moved_for_want_of_memory_are_not_armed_any_more)
{
    struct timer timer = {.function = note};
    timer_start(&timers, &timer, 1);
    timers.reserved = timers.capacity; /* all of it is spoken for */
    memory_permit = deny;
    cr_expect_not(timer_start(&timers, &timer, 2));
    memory_permit = NULL;
    cr_expect_not(timer_armed(&timer));
    cr_expect_eq(timers.count, 0);
}

Test(timers, with_a_reserved_place_are_armed_without_memory)
{
    enum {
        COUNT = 500
    };
    static struct timer reserved[COUNT];
    static struct timer others[COUNT];
    cr_assert(timers_reserve(&timers, COUNT));
    memory_permit = deny;
    size_t started = 0;
    while (started < COUNT && timer_start(&timers, &others[started], 1.0))
        started++;
    cr_expect_lt(started, COUNT, "others must not take what is reserved");
    for (int i = 0; i < COUNT; i++)
        timer_start_reserved(&timers, &reserved[i], 2.0);
    memory_permit = NULL;
    cr_expect_eq(timers.count, started + COUNT, "%zu are armed", timers.count);
    cr_expect_leq(timers.count, timers.capacity);
}

Test(timers, keep_what_was_reserved_when_more_cannot_be_had)
{
    cr_assert(timers_reserve(&timers, 10));
    memory_permit = deny;
    cr_expect_not(timers_reserve(&timers, 100000));
    memory_permit = NULL;
    cr_expect_eq(timers.reserved, 10, "%zu", timers.reserved);
}

Test(timers, give_memory_back_after_a_burst)
{
    enum {
        COUNT = 4000
    };
    struct timer *many = calloc(COUNT, sizeof *many);
    for (int i = 0; i < COUNT; i++) {
        many[i].function = note;
        timer_start(&timers, &many[i], i);
    }
    size_t most = timers.capacity;
    for (int i = 0; i < COUNT; i += 100)
        timers_run(&timers, i + 99);
    cr_expect_eq(run_count, COUNT);
    cr_expect_lt(timers.capacity, most / 8, "room for %zu of %zu is left", timers.capacity, most);
    free(many);
}

/* --- Against a plain array ------------------------------------------------------------------------------*/

enum {
    SUBJECTS = 300
};

static struct timer subjects[SUBJECTS];
static double expected[SUBJECTS];     /* their moments; NAN: not armed */
static unsigned long armed[SUBJECTS]; /* which arming it was */
static unsigned long armings;

static void arm(size_t i)
{
    expected[i] = (double)(random() % 500) + (random() % 2 == 0 ? timers_next(&timers) < INFINITY : 0);
    armed[i] = armings++;
    cr_assert(timer_start(&timers, &subjects[i], expected[i]));
}

static size_t earliest_due(double now)
{
    size_t earliest = SUBJECTS;
    for (size_t i = 0; i < SUBJECTS; i++) {
        if (!(expected[i] <= now))
            continue;
        if (earliest == SUBJECTS || expected[i] < expected[earliest] ||
            (expected[i] == expected[earliest] && armed[i] < armed[earliest]))
            earliest = i;
    }
    return earliest;
}

static void check_run(double now)
{
    run_count = 0;
    size_t ran = timers_run(&timers, now);
    cr_assert_eq(ran, run_count);
    for (size_t i = 0; i < ran; i++) {
        size_t due = earliest_due(now);
        cr_assert_lt(due, SUBJECTS, "%zu ran, but only %zu were due", ran, i);
        cr_assert_eq(runs[i], &subjects[due], "number %td ran where %zu was due", runs[i] - subjects, due);
        expected[due] = NAN;
    }
    cr_assert_eq(earliest_due(now), SUBJECTS, "some that were due did not run");
}

static double expected_next(void)
{
    double next = INFINITY;
    for (size_t i = 0; i < SUBJECTS; i++)
        next = expected[i] < next ? expected[i] : next;
    return next;
}

Test(timers, behave_like_a_sorted_list_whatever_is_done_to_them)
{
    srandom(20261121);
    for (size_t i = 0; i < SUBJECTS; i++) {
        subjects[i].function = note;
        expected[i] = NAN;
    }
    for (int step = 0; step < 100000; step++) {
        size_t i = (size_t)random() % SUBJECTS;
        switch (random() % 8) {
        case 0:
        case 1:
        case 2:
        case 3: arm(i); break;
        case 4:
        case 5:
        case 6:
            timer_stop(&timers, &subjects[i]);
            expected[i] = NAN;
            break;
        default:
            if (random() % 10 == 0)
                check_run((double)(random() % 200));
        }
        cr_assert_eq(timer_armed(&subjects[i]), !isnan(expected[i]));
        cr_assert_eq(timers_next(&timers), expected_next(), "step %d: %g, not %g", step, timers_next(&timers),
                     expected_next());
    }
    check_run(1000);
    cr_assert_eq(timers.count, 0);
}
