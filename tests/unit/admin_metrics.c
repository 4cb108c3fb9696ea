#include "../../src/admin/metrics.h"
#include "admin_testing.h"
#include "http.h"
#include "patience.h"
#include "under_valgrind.h"
#include <base/memory.h>
#include <stdio.h>
#include <string.h>

static struct text page;

static void begin(void)
{
    registry_open();
    text_init(&page);
}

static void end(void)
{
    text_destroy(&page);
    registry_close();
}

TestSuite(metrics, .init = begin, .fini = end);

static const char *write_page(enum metrics_format format)
{
    metrics_write(&page, &stats, "abcdef", format);
    cr_assert(!page.failed);
    cr_assert(buffer_append(&page.buffer, "", 1));
    return (const char *)buffer_begin(&page.buffer);
}

static void assert_line(const char *text, const char *line)
{
    const char *found = strstr(text, line);
    cr_assert(found != NULL && (found == text || found[-1] == '\n') && found[strlen(line)] == '\n',
              "there is no line %s in\n%s", line, text);
}

Test(metrics, tell_what_the_management_api_says)
{
    const struct broker_numbers numbers = {.ready = 318, .unacknowledged = 41, .consumers = 3};
    stats.management.asked = true;
    stats_set_management(&stats, NULL);
    stats_set_broker(&stats, "orders", &numbers);
    const char *text = write_page(METRICS_PROMETHEUS);
    assert_line(text, "whippet_management_up 1");
    assert_line(text, "whippet_broker_messages_ready{queue=\"orders\",processor=\"log\"} 318");
    assert_line(text, "whippet_broker_messages_unacknowledged{queue=\"orders\",processor=\"log\"} 41");
    assert_line(text, "whippet_broker_consumers{queue=\"orders\",processor=\"log\"} 3");
    cr_assert_null(strstr(text, "whippet_broker_consumers{queue=\"emails\""), "nothing is known of it");
}

Test(metrics, are_silent_about_a_management_api_that_nobody_asks)
{
    const char *text = write_page(METRICS_PROMETHEUS);
    cr_assert_null(strstr(text, "\nwhippet_management_up "));
    cr_assert_null(strstr(text, "whippet_broker_messages_ready{"));
}

Test(metrics, have_the_promised_names_and_labels)
{
    registry_deliver(&orders, ATTEMPT_OK, 0.03, OUTCOME_ACKED);
    registry_deliver(&orders, ATTEMPT_REJECT, 20, OUTCOME_DEAD_LETTERED);
    queue_counters_arrived(&orders.counters, PHASE_RUNNING, clock_monotonic());
    queue_counters_failed(&orders.counters, PHASE_RUNNING, OUTCOME_DISCARDED, FAILURE_TOO_LARGE);
    queue_counters_arrived(&emails.counters, PHASE_WAITING, clock_monotonic());
    queue_stats_enter(&emails, SUBSCRIPTION_FAILED, 1);
    stats.connections[CONNECTION_PUBLISH].blocked = true;
    sending_stats_count(&stats.sent[SENDING_DEAD_LETTER], true);
    counter_add(&stats.traces.exported, 7);
    counter_add(&stats.traces.dropped[TRACE_DROP_FULL], 3);
    const char *text = write_page(METRICS_PROMETHEUS);
    static const char *const LINES[] = {
        "whippet_trace_spans_exported_total 7",
        "whippet_trace_spans_dropped_total{reason=\"queue_full\"} 3",
        "whippet_trace_spans_dropped_total{reason=\"export_failed\"} 0",
        "messaging_client_consumed_messages_total{queue=\"orders\",processor=\"log\"} 3",
        "messaging_client_consumed_messages_total{queue=\"emails\",processor=\"exec\"} 1",
        "whippet_settled_total{queue=\"orders\",processor=\"log\",outcome=\"acked\"} 1",
        "whippet_settled_total{queue=\"orders\",processor=\"log\",outcome=\"retried\"} 0",
        "whippet_settled_total{queue=\"orders\",processor=\"log\",outcome=\"dead_lettered\"} 1",
        "whippet_settled_total{queue=\"orders\",processor=\"log\",outcome=\"discarded\"} 1",
        "whippet_settled_total{queue=\"orders\",processor=\"log\",outcome=\"returned\"} 0",
        "whippet_failed_total{queue=\"orders\",processor=\"log\",reason=\"rejected\"} 0",
        "whippet_failed_total{queue=\"orders\",processor=\"log\",reason=\"too-large\"} 1",
        "whippet_attempts_total{queue=\"orders\",processor=\"log\",result=\"reject\"} 1",
        "whippet_in_flight{queue=\"emails\",processor=\"exec\"} 1",
        "whippet_waiting{queue=\"emails\",processor=\"exec\"} 1",
        "whippet_running{queue=\"emails\",processor=\"exec\"} 0",
        "whippet_retrying{queue=\"emails\",processor=\"exec\"} 0",
        "whippet_concurrency_limit{queue=\"emails\",processor=\"exec\"} 8",
        "whippet_prefetch{queue=\"emails\",processor=\"exec\"} 20",
        "whippet_subscription_up{queue=\"orders\",processor=\"log\"} 1",
        "whippet_subscription_up{queue=\"emails\",processor=\"exec\"} 0",
        "whippet_stale_settlements_total{queue=\"orders\",processor=\"log\"} 0",
        "whippet_connection_up{connection=\"consume\"} 1",
        "whippet_connection_blocked{connection=\"publish\"} 1",
        "whippet_reconnects_total{connection=\"consume\"} 0",
        "messaging_client_sent_messages_total{purpose=\"dead_letter\",outcome=\"confirmed\"} 1",
        "whippet_build_info{version=\"1.2.3\",commit=\"abcdef\"} 1",
        "# TYPE messaging_client_consumed_messages_total counter",
        "# TYPE messaging_process_duration_seconds histogram",
        "# TYPE whippet_loop_lag_seconds gauge",
        "# TYPE process_resident_memory_bytes gauge",
        "# TYPE process_cpu_seconds_total counter",
        "# TYPE process_open_fds gauge",
        "# TYPE process_start_time_seconds gauge",
    };
    for (size_t i = 0; i < sizeof LINES / sizeof LINES[0]; i++)
        assert_line(text, LINES[i]);
    cr_assert_null(strstr(text, "# EOF"), "that is for OpenMetrics");
}

Test(metrics, do_not_call_a_queue_down_that_was_told_to_end)
{
    queue_stats_enter(&orders, SUBSCRIPTION_DRAINING, 1);
    queue_stats_enter(&emails, SUBSCRIPTION_CLOSED, 1);
    const char *text = write_page(METRICS_PROMETHEUS);
    cr_assert_null(strstr(text, "\nwhippet_subscription_up{"), "one that is asked to end is reported");
    assert_line(text, "whippet_in_flight{queue=\"orders\",processor=\"log\"} 0");
}

Test(metrics, count_durations_up_from_bucket_to_bucket)
{
    registry_deliver(&orders, ATTEMPT_OK, 0.004, OUTCOME_ACKED);
    registry_deliver(&orders, ATTEMPT_OK, 0.5, OUTCOME_ACKED);
    registry_deliver(&orders, ATTEMPT_OK, 11, OUTCOME_ACKED);
    const char *text = write_page(METRICS_PROMETHEUS);
    assert_line(
        text, "messaging_process_duration_seconds_bucket{queue=\"orders\",processor=\"log\",le=\"0.005\"} 1");
    assert_line(
        text, "messaging_process_duration_seconds_bucket{queue=\"orders\",processor=\"log\",le=\"0.25\"} 1");
    assert_line(text,
                "messaging_process_duration_seconds_bucket{queue=\"orders\",processor=\"log\",le=\"0.5\"} 2");
    assert_line(text,
                "messaging_process_duration_seconds_bucket{queue=\"orders\",processor=\"log\",le=\"10\"} 2");
    assert_line(
        text, "messaging_process_duration_seconds_bucket{queue=\"orders\",processor=\"log\",le=\"+Inf\"} 3");
    assert_line(text, "messaging_process_duration_seconds_count{queue=\"orders\",processor=\"log\"} 3");
    assert_line(text, "messaging_process_duration_seconds_sum{queue=\"orders\",processor=\"log\"} 11.504");
}

Test(metrics, tell_seconds_to_the_nanosecond_and_no_zeros_behind)
{
    static const struct {
        uint64_t nanoseconds;
        const char *written;
    } CASES[] = {
        {0, "0"},
        {1, "0.000000001"},
        {50000000, "0.05"},
        {1000000000, "1"},
        {1795634757816000000, "1795634757.816"},
        {UINT64_MAX, "18446744073.709551615"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char line[128];
        snprintf(line, sizeof line,
                 "messaging_process_duration_seconds_sum{queue=\"orders\",processor=\"log\"} %s",
                 CASES[i].written);
        atomic_store(&orders.counters.duration_nanoseconds, CASES[i].nanoseconds);
        buffer_clear(&page.buffer);
        assert_line(write_page(METRICS_PROMETHEUS), line);
    }
}

Test(metrics, escape_names_of_queues)
{
    struct queue_stats odd = {0};
    cr_assert(stats_add_queue(&stats, &odd, "a\"b\\c\nd\xc3\xa4\xff", "./x.so"));
    assert_line(write_page(METRICS_PROMETHEUS),
                "whippet_in_flight{queue=\"a\\\"b\\\\c\\nd\xc3\xa4\xef\xbf\xbd\",processor=\"./x.so\"} 0");
    stats_remove_queue(&stats, &odd);
}

Test(metrics, say_nothing_of_a_queue_that_was_removed)
{
    stats_remove_queue(&stats, &emails);
    cr_assert_null(strstr(write_page(METRICS_PROMETHEUS), "emails"));
}

Test(metrics, know_no_last_delivery_where_there_was_none)
{
    registry_deliver(&orders, ATTEMPT_OK, 0.03, OUTCOME_ACKED);
    const char *text = write_page(METRICS_PROMETHEUS);
    cr_assert_not_null(strstr(text, "whippet_last_delivery_timestamp_seconds{queue=\"orders\""));
    cr_assert_null(strstr(text, "whippet_last_delivery_timestamp_seconds{queue=\"emails\""));
}

Test(metrics, are_written_as_openmetrics_for_those_who_ask)
{
    cr_assert_eq(metrics_choose_format(NULL), METRICS_PROMETHEUS);
    cr_assert_eq(metrics_choose_format("text/plain, */*"), METRICS_PROMETHEUS);
    cr_assert_eq(metrics_choose_format("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"),
                 METRICS_OPENMETRICS);
    const char *text = write_page(METRICS_OPENMETRICS);
    assert_line(text, "# TYPE messaging_client_consumed_messages counter");
    assert_line(text, "messaging_client_consumed_messages_total{queue=\"orders\",processor=\"log\"} 0");
    assert_line(
        text, "messaging_process_duration_seconds_bucket{queue=\"orders\",processor=\"log\",le=\"10.0\"} 0");
    cr_assert_str_eq(text + strlen(text) - 6, "# EOF\n");
}

Test(metrics, pass_the_rules_of_promtool)
{
    FILE *promtool = popen("promtool check metrics", "w");
    cr_assert_not_null(promtool);
    registry_deliver(&orders, ATTEMPT_OK, 0.03, OUTCOME_ACKED);
    fputs(write_page(METRICS_PROMETHEUS), promtool);
    cr_assert_eq(pclose(promtool), 0, "promtool finds fault with them, or is not there (scripts/setup test)");
}

static size_t allowed;

static bool permit_some(size_t size)
{
    (void)size;
    return allowed > 0 && allowed-- > 0;
}

Test(metrics, are_whole_or_not_there_at_all_when_memory_is_short)
{
    for (size_t count = 0; count < 5; count++) {
        struct text text;
        text_init(&text);
        allowed = count;
        memory_permit = permit_some;
        metrics_write(&text, &stats, "abcdef", METRICS_PROMETHEUS);
        memory_permit = NULL;
        cr_assert(text.failed, "with %zu allocations", count);
        text_destroy(&text);
    }
}

Test(metrics, of_a_hundred_queues_are_written_in_less_than_five_milliseconds)
{
    skip_under_valgrind("it measures a time, and Valgrind takes thirty times that");
    struct queue_stats *queues = memory_allocate_zeroed(98 * sizeof *queues);
    char name[64];
    double best = 1;
    for (int i = 0; i < 98; i++) {
        snprintf(name, sizeof name, "a.queue.with.a.name.of.usual.length.%d", i);
        cr_assert(stats_add_queue(&stats, &queues[i], name, "log"));
    }
    for (int round = 0; round < 20; round++) {
        double started = clock_monotonic();
        buffer_clear(&page.buffer);
        metrics_write(&page, &stats, "abcdef", METRICS_PROMETHEUS);
        double took = clock_monotonic() - started;
        best = took < best ? took : best;
    }
    /* Sanitizers make it several times slower; the figure is that of a release build. */
    cr_assert_lt(best, patience_stretched(0.005 * 6), "it took %g ms", best * 1000);
    for (int i = 0; i < 98; i++)
        stats_remove_queue(&stats, &queues[i]);
    memory_free(queues);
}
