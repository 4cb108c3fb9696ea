#include <async/retry.h>
#include <async/scheduler.h>
#include <async/task.h>
#include <base/log.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- The arithmetic -------------------------------------------------------------------------------------*/

static const whippet_retry_policy usual = WHIPPET_RETRY_DEFAULT;

Test(retry_policies, are_five_attempts_three_seconds_apart_by_default)
{
    cr_expect(retry_policy_valid(&usual));
    for (unsigned failed = 1; failed <= 4; failed++) {
        cr_expect_not(retry_exhausted(&usual, failed), "after %u", failed);
        cr_expect_eq(retry_delay(&usual, failed, 0.5), 3.0, "after %u: %g", failed,
                     retry_delay(&usual, failed, 0.5));
    }
    cr_expect(retry_exhausted(&usual, 5));
}

Test(retry_policies, that_make_no_sense_are_not_valid)
{
    const whippet_retry_policy wrong[] = {
        {.attempts = 0, .delay = 1},
        {.attempts = 1, .delay = -1},
        {.attempts = 1, .delay = NAN},
        {.attempts = 1, .delay = INFINITY},
        {.attempts = 1, .max_delay = -1},
        {.attempts = 1, .max_delay = NAN},
        {.attempts = 1, .max_delay = INFINITY},
        {.attempts = 1, .jitter = -0.1},
        {.attempts = 1, .jitter = 1.1},
        {.attempts = 1, .jitter = NAN},
        {.attempts = 1, .backoff = (enum whippet_backoff)7},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect_not(retry_policy_valid(&wrong[i]), "number %zu", i);
}

Test(retry_policies, without_pauses_are_valid)
{
    const whippet_retry_policy policy = {.attempts = 1, .jitter = 1};
    cr_expect(retry_policy_valid(&policy));
    cr_expect_eq(retry_delay(&policy, 1, 0), 0);
}

Test(retry_policies, with_exponential_backoff_double_up_to_the_most)
{
    const whippet_retry_policy policy = {
        .attempts = 100, .delay = 0.5, .backoff = WHIPPET_BACKOFF_EXPONENTIAL, .max_delay = 5};
    static const double expected[] = {0.5, 1, 2, 4, 5, 5, 5};
    for (unsigned i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        double delay = retry_delay(&policy, i + 1, 0);
        cr_expect_eq(delay, expected[i], "after %u: %g, not %g", i + 1, delay, expected[i]);
    }
    cr_expect_eq(retry_delay(&policy, 4000000000u, 0), 5);
}

Test(retry_policies, with_exponential_backoff_need_no_limit)
{
    const whippet_retry_policy policy = {.attempts = 100, .delay = 1, .backoff = WHIPPET_BACKOFF_EXPONENTIAL};
    cr_expect_eq(retry_delay(&policy, 11, 0), 1024);
}

Test(retry_policies, with_constant_backoff_are_not_cut_by_the_limit)
{
    const whippet_retry_policy policy = {.attempts = 9, .delay = 10, .max_delay = 5};
    cr_expect_eq(retry_delay(&policy, 3, 0), 10);
}

Test(retry_policies, subtract_jitter_and_never_more_than_its_share)
{
    const whippet_retry_policy policy = {.attempts = 9, .delay = 10, .jitter = 0.4};
    cr_expect_eq(retry_delay(&policy, 1, 0), 10);
    cr_expect_float_eq(retry_delay(&policy, 1, 0.5), 8, 1e-9);
    cr_expect_geq(retry_delay(&policy, 1, 0.999999), 6);
}

/* --- The helper, on a virtual clock ---------------------------------------------------------------------*/

static struct scheduler scheduler;
static int log_file;

static void set_up(void)
{
    cr_assert_eq(scheduler_init(&scheduler, 65536, NULL), 0);
    log_file = memfd_create("log", MFD_CLOEXEC);
    log_configure(log_file, WHIPPET_DEBUG, LOG_FORMAT_TEXT);
}

static void tear_down(void)
{
    cr_expect_eq(scheduler.tasks, 0, "%zu tasks are left", scheduler.tasks);
    scheduler_destroy(&scheduler);
    close(log_file);
}

TestSuite(retrying, .init = set_up, .fini = tear_down);

enum {
    MOST_CALLS = 16,
    UNSET = 12345
};

struct subject {
    const whippet_retry_policy *policy;
    const int *results; /* what each call returns */
    double inner;       /* seconds; above 0: what each call sleeps in a scope of a tenth of it */
    unsigned calls;
    double moments[MOST_CALLS]; /* when each was called */
    int result;
    double ended_at;
};

static int sleeps_inside(whippet_task *task, void *arg)
{
    return whippet_sleep(task, *(double *)arg);
}

static int attempt(whippet_task *task, void *arg)
{
    struct subject *subject = arg;
    cr_assert_lt(subject->calls, MOST_CALLS);
    subject->moments[subject->calls] = scheduler.now;
    int result = subject->results[subject->calls++];
    if (subject->inner > 0)
        return whippet_with_timeout(task, subject->inner / 10, sleeps_inside, &subject->inner);
    return result == UNSET ? whippet_sleep(task, 1000) : result;
}

static int retries(whippet_task *task, void *arg)
{
    struct subject *subject = arg;
    subject->result = whippet_retry(task, subject->policy, attempt, subject);
    subject->ended_at = scheduler.now;
    return 0;
}

static whippet_task *start(struct subject *subject, double deadline)
{
    static const struct log_fields fields = {.queue = "orders", .message_id = {.data = "m-17", .len = 4}};
    subject->result = UNSET;
    return task_start(&scheduler, retries, subject, deadline, &fields, NULL, NULL);
}

/* Turns at each moment that something is due, until the task has ended. */
static void drive(void)
{
    while (scheduler.tasks > 0) {
        double next = scheduler_busy(&scheduler) ? scheduler.now : scheduler_next(&scheduler);
        cr_assert_lt(next, 1e6, "nothing would ever happen again");
        scheduler_turn(&scheduler, next);
    }
}

static char *log_text(void)
{
    static char text[8192];
    ssize_t length = pread(log_file, text, sizeof text - 1, 0);
    cr_assert_geq(length, 0);
    text[length] = '\0';
    return text;
}

Test(retrying, calls_five_times_three_seconds_apart_and_then_gives_up)
{
    static const int results[] = {0, WHIPPET_E_CLOSED, 0, 0, WHIPPET_E_REFUSED, 1, 1};
    struct subject subject = {.results = results};
    start(&subject, INFINITY);
    drive();
    cr_expect_eq(subject.result, WHIPPET_E_RETRY_EXHAUSTED, "%d", subject.result);
    cr_expect_eq(subject.calls, 5, "%u calls", subject.calls);
    for (unsigned i = 0; i < 5; i++)
        cr_expect_eq(subject.moments[i], 3.0 * i, "call %u at %g", i, subject.moments[i]);
    cr_expect_eq(subject.ended_at, 12.0, "%g", subject.ended_at);
}

Test(retrying, logs_each_failed_attempt_with_the_key_of_the_message)
{
    static const int results[] = {WHIPPET_E_CLOSED, 0, 0, 0, WHIPPET_E_REFUSED};
    struct subject subject = {.results = results};
    start(&subject, INFINITY);
    drive();
    static const char *const expected[] = {
        "attempt 1 of 5 failed; next in 3s: closed", "attempt 2 of 5 failed; next in 3s: nothing useful",
        "attempt 3 of 5 failed; next in 3s: nothing useful",
        "attempt 4 of 5 failed; next in 3s: nothing useful", "attempt 5 of 5 failed; giving up: refused"};
    char *rest = NULL;
    char *line = strtok_r(log_text(), "\n", &rest);
    for (int i = 0; i < 5; i++) {
        cr_assert_not_null(line, "only %d lines", i);
        cr_expect_not_null(strstr(line, expected[i]), "\"%s\" is missing in: %s", expected[i], line);
        cr_expect_not_null(strstr(line, "m-17"), "no key in: %s", line);
        line = strtok_r(NULL, "\n", &rest);
    }
    cr_expect_null(line, "one line too many: %s", line);
}

static int fails(whippet_task *task, void *arg)
{
    (void)task, (void)arg;
    return WHIPPET_E_CLOSED;
}

static int retries_what_fails(whippet_task *task, void *arg)
{
    return whippet_retry(task, arg, fails, NULL);
}

static size_t lines_with(const char *words)
{
    size_t count = 0;
    for (const char *at = log_text(); (at = strstr(at, words)) != NULL; at += strlen(words))
        count++;
    return count;
}

Test(retrying, in_many_tasks_at_once_says_the_first_failures_and_counts_the_others)
{
    static const whippet_retry_policy twice = {.attempts = 2, .delay = 3};
    log_configure(log_file, WHIPPET_INFO, LOG_FORMAT_TEXT);
    for (int i = 0; i < 50; i++)
        task_start(&scheduler, retries_what_fails, (void *)&twice, INFINITY, NULL, NULL, NULL);
    drive();
    cr_expect_eq(lines_with("of 2 failed"), 20, "%s", log_text());
    scheduler_turn(&scheduler, scheduler_next(&scheduler));
    cr_expect_eq(lines_with("… 80 more like this in the last 10 s"), 1, "%s", log_text());

    task_start(&scheduler, retries_what_fails, (void *)&twice, INFINITY, NULL, NULL, NULL);
    drive();
    cr_expect_eq(lines_with("of 2 failed"), 22, "the window is over: %s", log_text());
}

Test(retrying, whose_scheduler_ends_says_what_it_has_counted)
{
    static const whippet_retry_policy once = {.attempts = 1};
    struct scheduler brief;
    cr_assert_eq(scheduler_init(&brief, 65536, NULL), 0);
    for (int i = 0; i < 21; i++)
        task_start(&brief, retries_what_fails, (void *)&once, INFINITY, NULL, NULL, NULL);
    scheduler_destroy(&brief);
    cr_expect_eq(lines_with("… 1 more like this"), 1, "%s", log_text());
}

Test(retrying, ends_with_the_first_useful_result)
{
    static const int results[] = {WHIPPET_E_CLOSED, 0, 42};
    struct subject subject = {.results = results};
    start(&subject, INFINITY);
    drive();
    cr_expect_eq(subject.result, 42, "%d", subject.result);
    cr_expect_eq(subject.calls, 3, "%u", subject.calls);
    cr_expect_eq(subject.ended_at, 6.0, "%g", subject.ended_at);
}

Test(retrying, does_not_suspend_when_the_first_call_works)
{
    static const int results[] = {1};
    struct subject subject = {.results = results};
    cr_expect_null(start(&subject, INFINITY));
    cr_expect_eq(subject.result, 1);
    cr_expect_str_empty(log_text());
}

Test(retrying, follows_the_policy_it_is_given)
{
    static const int results[] = {0, 0, 0};
    const whippet_retry_policy policy = {.attempts = 3, .delay = 1.5, .backoff = WHIPPET_BACKOFF_EXPONENTIAL};
    struct subject subject = {.results = results, .policy = &policy};
    start(&subject, INFINITY);
    drive();
    cr_expect_eq(subject.calls, 3);
    cr_expect_eq(subject.moments[1], 1.5, "%g", subject.moments[1]);
    cr_expect_eq(subject.moments[2], 4.5, "%g", subject.moments[2]);
    cr_expect_not_null(strstr(log_text(), "next in 1.5s"), "%s", log_text());
}

Test(retrying, without_a_pause_lets_others_run_between_attempts)
{
    static const int results[] = {0, 1};
    const whippet_retry_policy policy = {.attempts = 2};
    struct subject subject = {.results = results, .policy = &policy};
    cr_expect_not_null(start(&subject, INFINITY));
    cr_expect_eq(subject.calls, 1);
    drive();
    cr_expect_eq(subject.result, 1);
}

Test(retrying, with_a_policy_that_makes_no_sense_calls_nothing)
{
    const whippet_retry_policy policy = {.attempts = 0};
    struct subject subject = {.policy = &policy};
    start(&subject, INFINITY);
    cr_expect_eq(subject.result, WHIPPET_E_INVALID, "%d", subject.result);
    cr_expect_eq(subject.calls, 0);
}

Test(retrying, ends_at_the_deadline_between_two_attempts)
{
    static const int results[] = {0, 0, 0, 0, 0};
    struct subject subject = {.results = results};
    start(&subject, 4.0);
    drive();
    cr_expect_eq(subject.result, WHIPPET_E_TIMEOUT, "%d", subject.result);
    cr_expect_eq(subject.calls, 2, "%u", subject.calls);
    cr_expect_eq(subject.ended_at, 4.0, "%g", subject.ended_at);
}

Test(retrying, ends_at_once_when_the_deadline_strikes_inside_an_attempt)
{
    static const int results[] = {0, UNSET};
    struct subject subject = {.results = results};
    start(&subject, 4.0);
    drive();
    cr_expect_eq(subject.result, WHIPPET_E_TIMEOUT, "%d", subject.result);
    cr_expect_eq(subject.calls, 2, "%u", subject.calls);
    cr_expect_eq(subject.ended_at, 4.0, "%g", subject.ended_at);
}

Test(retrying, ends_at_once_when_it_is_cancelled_inside_an_attempt)
{
    static const int results[] = {UNSET};
    struct subject subject = {.results = results};
    task_cancel(start(&subject, INFINITY));
    drive();
    cr_expect_eq(subject.result, WHIPPET_E_CANCELLED, "%d", subject.result);
    cr_expect_eq(subject.calls, 1, "%u", subject.calls);
}

Test(retrying, ends_when_it_is_cancelled_between_two_attempts)
{
    static const int results[] = {0};
    struct subject subject = {.results = results};
    task_cancel(start(&subject, INFINITY));
    drive();
    cr_expect_eq(subject.result, WHIPPET_E_CANCELLED, "%d", subject.result);
}

Test(retrying, takes_a_timeout_of_an_attempt_alone_for_a_failure)
{
    static const int results[] = {0, 0, 0, 0, 0};
    struct subject subject = {.results = results, .inner = 10};
    start(&subject, INFINITY);
    drive();
    cr_expect_eq(subject.result, WHIPPET_E_RETRY_EXHAUSTED, "%d", subject.result);
    cr_expect_eq(subject.calls, 5, "%u", subject.calls);
    cr_expect_eq(subject.moments[4], 16.0, "one second of each attempt, and three between two: %g",
                 subject.moments[4]);
    cr_expect_not_null(strstr(log_text(), "attempt 1 of 5 failed; next in 3s: timed out"), "%s", log_text());
}
