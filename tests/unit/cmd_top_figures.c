/* Rates and percentiles from what a worker says. */
#include "../../cmd/top_figures.h"
#include <base/bytes.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

static struct top_figures figures;

static void begin(void)
{
    top_figures_init(&figures);
}

static void end(void)
{
    top_figures_destroy(&figures);
}

TestSuite(top_figures, .init = begin, .fini = end);

/* A status of the process that started at `started`, after `uptime` seconds, with one queue. */
static void say(const char *started, double uptime, double acked, const char *buckets)
{
    char text[1000];
    snprintf(
        text, sizeof text,
        "{\"started\":\"%s\",\"uptime_seconds\":%g,\"queues\":[{\"queue\":\"orders\",\"processor\":\"log\","
        "\"settled\":{\"acked\":%g,\"dead_lettered\":0},\"durations\":{\"buckets\":[%s]}}]}",
        started, uptime, acked, buckets);
    struct top_status *status = top_status_read(bytes_of_text(text), bytes_of_text(""));
    cr_assert_not_null(status, "no status: %s", text);
    top_figures_add(&figures, status);
}

static double rate(void)
{
    return top_figures_of(&figures, 0).rate;
}

static const char BUCKETS[] = "{\"up_to_seconds\":1,\"count\":90},{\"up_to_seconds\":2,\"count\":9},"
                              "{\"up_to_seconds\":null,\"count\":1}";

Test(top_figures, know_no_rate_from_one_status)
{
    say("a", 10, 100, "");
    cr_assert(isnan(rate()));
}

Test(top_figures, take_the_rate_over_the_last_seconds)
{
    for (int second = 0; second <= 20; second++)
        say("a", second, second <= 10 ? 0 : 100 * (second - 10), "");
    cr_assert_float_eq(rate(), 100, 0.001);
}

Test(top_figures, take_no_rate_over_a_gap)
{
    say("a", 10, 100, "");
    say("a", 100, 200, "");
    cr_assert(isnan(rate()));
}

Test(top_figures, take_the_rate_of_the_last_step_while_there_is_one_status)
{
    static const char HISTORY[] =
        "{\"step_seconds\":10,\"queues\":[{\"queue\":\"orders\",\"processor\":\"other\",\"settled\":[1]},"
        "{\"queue\":\"orders\",\"processor\":\"log\",\"settled\":[5,250]}]}";
    say("a", 10, 100, "");
    top_figures_take_history(&figures, bytes_of_text(HISTORY));
    cr_assert_float_eq(rate(), 25, 0.001);
}

Test(top_figures, forget_a_process_that_has_ended)
{
    say("a", 10, 100, "");
    say("a", 11, 150, "");
    say("b", 1, 200, "");
    cr_assert(isnan(rate()));
    say("b", 2, 207, "");
    cr_assert_float_eq(rate(), 7, 0.001);
}

Test(top_figures, take_no_rate_from_counters_that_went_back)
{
    say("a", 10, 100, "");
    say("a", 11, 1, "");
    cr_assert(isnan(rate()));
}

Test(top_figures, take_percentiles_as_prometheus_does)
{
    say("a", 10, 100, BUCKETS);
    struct queue_figures found = top_figures_of(&figures, 0);
    cr_assert_float_eq(found.p50, 50. / 90, 0.001);
    cr_assert_float_eq(found.p95, 1 + 5. / 9, 0.001);
    cr_assert_float_eq(found.p99, 2, 0.001);
    cr_assert_not(found.p99_open);
}

Test(top_figures, say_that_a_percentile_lies_beyond_the_last_bound)
{
    say("a", 10, 100, "{\"up_to_seconds\":1,\"count\":1},{\"up_to_seconds\":null,\"count\":9}");
    struct queue_figures found = top_figures_of(&figures, 0);
    cr_assert(found.p50_open);
    cr_assert_float_eq(found.p50, 1, 0.001);
}

Test(top_figures, take_percentiles_of_what_came_since_the_history_began)
{
    static const char HISTORY[] =
        "{\"step_seconds\":10,\"queues\":[{\"queue\":\"orders\",\"processor\":\"log\","
        "\"settled\":[],\"durations_before\":[90,0,1]}]}";
    say("a", 10, 100, BUCKETS);
    top_figures_take_history(&figures, bytes_of_text(HISTORY));
    cr_assert_float_eq(top_figures_of(&figures, 0).p50, 1.5, 0.001);
}

Test(top_figures, know_no_percentile_without_attempts)
{
    say("a", 10, 100, "{\"up_to_seconds\":1,\"count\":0},{\"up_to_seconds\":null,\"count\":0}");
    cr_assert(isnan(top_figures_of(&figures, 0).p50));
    say("a", 11, 100, "");
    cr_assert(isnan(top_figures_of(&figures, 0).p99));
}

Test(top_figures, live_with_buckets_and_a_history_that_are_nonsense)
{
    static const char *const HISTORIES[] = {
        "",
        "7",
        "[]",
        "{\"queues\":7}",
        "{\"queues\":[7,{\"queue\":[]}]}",
        "{\"step_seconds\":0,\"queues\":[{\"queue\":\"orders\",\"processor\":\"log\",\"settled\":[1]}]}",
        "{\"queues\":[{\"queue\":\"orders\",\"processor\":\"log\",\"durations_before\":{}}]}",
    };
    char many[1000] = "7";
    for (int i = 0; i < 100; i++)
        strcat(many, ",7");
    say("a", 10, 100, many);
    say("a", 11, 100, "{\"up_to_seconds\":1e999,\"count\":1e999},{\"count\":-1},{\"up_to_seconds\":\"x\"}");
    for (size_t i = 0; i < sizeof HISTORIES / sizeof HISTORIES[0]; i++) {
        top_figures_take_history(&figures, bytes_of_text(HISTORIES[i]));
        top_figures_of(&figures, 0);
    }
    cr_assert_float_eq(rate(), 0, 0.001);
}
