/* What whippet top shows, from what a worker says: text in, lines out. */
#include "../../cmd/top_page.h"
#include <base/bytes.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct top_figures figures;
static struct top_view view;
static struct top_subject subject;
static struct top_page page;

static void begin(void)
{
    cr_assert_not_null(setlocale(LC_CTYPE, "C.UTF-8"));
    top_figures_init(&figures);
    view = (struct top_view){.rows = 24, .columns = 80};
    subject = (struct top_subject){.where = "127.0.0.1 port 9464", .figures = &figures};
}

static void end(void)
{
    top_page_destroy(&page);
    top_figures_destroy(&figures);
}

TestSuite(top_page, .init = begin, .fini = end);

/* Takes a status with these queues and these further members, and what is not ready. */
static void hear(const char *queues, const char *further, const char *not_ready)
{
    char *status, *ready;
    cr_assert_geq(asprintf(&status,
                           "{\"time\":\"2026-11-25T21:05:33.123Z\",\"version\":\"0.1.0\",\"host\":\"mars\","
                           "\"process\":77,\"uptime_seconds\":3725,\"started\":\"a\","
                           "\"loop\":{\"lag_seconds\":0.002},\"queues\":[%s]%s}",
                           queues, further),
                  0);
    cr_assert_geq(asprintf(&ready, "{\"not_ready\":[%s]}", not_ready), 0);
    struct top_status *read = top_status_read(bytes_of_text(status), bytes_of_text(ready));
    cr_assert_not_null(read, "no status: %s", status);
    top_figures_add(&figures, read);
    free(status);
    free(ready);
}

static void lay_out(void)
{
    top_page_destroy(&page);
    page = top_page_make(&subject, &view);
    cr_assert_not(page.failed);
}

/* The line that begins with `text`; fails the test when there is none. */
static const struct top_line *line_with(const char *text)
{
    for (size_t i = 0; i < page.count; i++) {
        if (strncmp(page.lines[i].text, text, strlen(text)) == 0)
            return &page.lines[i];
    }
    cr_assert_fail("no line begins with \"%s\"", text);
    return NULL;
}

static bool shows(const char *text)
{
    for (size_t i = 0; i < page.count; i++) {
        if (strstr(page.lines[i].text, text) != NULL)
            return true;
    }
    return false;
}

static void assert_fits(void)
{
    cr_assert_leq(page.count, view.rows, "%zu lines on %u rows", page.count, view.rows);
    for (size_t i = 0; i < page.count; i++) {
        unsigned columns = line_columns(page.lines[i].text, view.ascii);
        cr_assert_leq(columns, view.columns, "%u columns on %u: %s", columns, view.columns,
                      page.lines[i].text);
    }
}

static const char ORDERS[] =
    "{\"queue\":\"orders\",\"processor\":\"postgres\",\"state\":\"consuming\",\"in_flight\":64,\"waiting\":"
    "12,"
    "\"retrying\":3,\"settled\":{\"acked\":5,\"dead_lettered\":7},\"durations\":{\"buckets\":["
    "{\"up_to_seconds\":0.1,\"count\":100},{\"up_to_seconds\":null,\"count\":0}]},"
    "\"last_error\":{\"text\":\"exit status 4: busy\",\"at\":\"2026-11-25T21:04:59.000Z\"}}";

static const char MAILS[] =
    "{\"queue\":\"mails\",\"processor\":\"exec\",\"state\":\"failed\",\"in_flight\":0,"
    "\"waiting\":0,\"retrying\":0,\"settled\":{\"dead_lettered\":70},"
    "\"failure\":{\"text\":\"no queue 'mails'\"},\"last_error\":null}";

/* Both of them. */
static void hear_two(const char *further, const char *not_ready)
{
    char queues[2000];
    snprintf(queues, sizeof queues, "%s,%s", ORDERS, MAILS);
    hear(queues, further, not_ready);
}

/* `count` queues, "q00", "q01" …, each with as many messages waiting as its number says. */
static void hear_many(unsigned count)
{
    char *queues;
    size_t size;
    FILE *stream = open_memstream(&queues, &size);
    for (unsigned i = 0; i < count; i++)
        fprintf(stream,
                "%s{\"queue\":\"q%02u\",\"processor\":\"log\",\"state\":\"consuming\",\"waiting\":%u}",
                i > 0 ? "," : "", i, i);
    fclose(stream);
    hear(queues, "", "");
    free(queues);
}

/* --- What there is --------------------------------------------------------------------------------------*/

Test(top_page, shows_who_it_is)
{
    hear_two("", "");
    lay_out();
    cr_assert_str_eq(page.lines[0].text,
                     "whippet 0.1.0 on mars, process 77, up 1 h 2 min                        21:05:33Z");
    cr_assert_eq(page.lines[0].style, TOP_TITLE);
}

Test(top_page, shows_each_queue_with_its_figures)
{
    hear_two("", "");
    lay_out();
    cr_assert_str_eq(line_with("QUEUE")->text,
                     "QUEUE    state      rate/s flight  wait retry  dead   p50   p95   p99");
    cr_assert_str_eq(line_with("orders")->text,
                     "orders   consuming       -     64    12     3     7  50ms  95ms  99ms");
    cr_assert_eq(line_with("orders")->style, TOP_PLAIN);
    cr_assert_str_eq(line_with("mails")->text,
                     "mails    failed          -      0     0     0    70     -     -     -");
    cr_assert_eq(line_with("mails")->style, TOP_TROUBLE);
}

Test(top_page, shows_the_last_error_of_a_queue_below_it_or_why_it_is_not_consumed)
{
    hear_two("", "");
    lay_out();
    cr_assert_str_eq(line_with("orders")[1].text, "  21:04:59Z exit status 4: busy");
    cr_assert_str_eq(line_with("mails")[1].text, "  no queue 'mails'");
}

Test(top_page, shows_the_brokers_messages_where_they_are_known)
{
    hear_two("", "");
    lay_out();
    cr_assert_not(shows("broker "));
    hear("{\"queue\":\"a\",\"broker\":{\"ready\":1234567,\"consumers\":2}},{\"queue\":\"b\"}", "", "");
    lay_out();
    cr_assert(shows("p99 broker"));
    cr_assert(shows(" 1235k"));
    assert_fits();
}

Test(top_page, shows_the_connections)
{
    hear_two(",\"in_flight\":{\"count\":64,\"tasks\":[]},\"connections\":["
             "{\"connection\":\"consume\",\"needed\":true,\"up\":true,\"address\":\"10.0.0.1:5672\"},"
             "{\"connection\":\"publish\",\"needed\":true,\"up\":true,\"blocked\":true,\"reconnects\":2},"
             "{\"connection\":\"relay\",\"needed\":false,\"up\":false}]",
             "");
    lay_out();
    cr_assert_str_eq(page.lines[1].text, "consume up, publish blocked (2 reconnects), 64 in flight, loop lag "
                                         "2ms, broker …");
    cr_assert_eq(page.lines[1].style, TOP_TROUBLE);
    cr_assert(shows("BLOCKED publish: the broker has an alarm"));
}

Test(top_page, shows_what_is_not_ready_and_why)
{
    hear_two(",\"stopping\":true,\"management\":{\"error\":{\"text\":\"refused\"}}",
             "{\"what\":\"connection\",\"connection\":\"publish\",\"state\":\"down\",\"why\":\"too slow\"},"
             "{\"what\":\"subscription\",\"queue\":\"mails\",\"state\":\"failed\",\"why\":\"no queue\"}");
    lay_out();
    cr_assert(shows("STOPPING: it takes no more messages"));
    cr_assert(shows("NOT READY publish connection (down): too slow"));
    cr_assert(shows("NOT READY mails (failed): no queue"));
    cr_assert(shows("NO FIGURES of the broker: refused"));
}

Test(top_page, shows_who_blocks_the_loop)
{
    hear("", ",\"loop\":{}", "");
    struct top_status *status = top_status_read(
        bytes_of_text("{\"started\":\"a\",\"queues\":[],\"loop\":{\"blocked\":{\"seconds\":12,\"queue\":"
                      "\"orders\",\"processor\":\"sum\",\"message_id\":\"m1\"}}}"),
        bytes_of_text(""));
    top_figures_add(&figures, status);
    lay_out();
    cr_assert(shows("LOOP BLOCKED for 12s, by processor sum on orders, message m1"));
}

Test(top_page, shows_the_slowest_tasks_first_as_the_worker_ranks_them)
{
    hear_two(",\"in_flight\":{\"tasks\":["
             "{\"queue\":\"orders\",\"message_id\":\"old\",\"attempt\":1,\"state\":\"sleeping\","
             "\"age_seconds\":90,\"attempt_age_seconds\":90},"
             "{\"queue\":\"orders\",\"message_id\":\"young\",\"attempt\":2,\"state\":\"running\","
             "\"age_seconds\":100,\"attempt_age_seconds\":1},"
             "{\"queue\":\"mails\",\"message_id\":null,\"attempt\":0,\"state\":\"waiting for its turn\","
             "\"age_seconds\":5,\"attempt_age_seconds\":null}]}",
             "");
    lay_out();
    const struct top_line *heading = line_with("  age");
    cr_assert_str_eq(heading[0].text, "  age attempt  in flight, slowest    queue         message");
    cr_assert_str_eq(heading[1].text, "  90s       1  sleeping              orders        old");
    cr_assert_str_eq(heading[2].text, " 1.0s       2  running               orders        young");
    cr_assert_str_eq(heading[3].text, " 5.0s       -  waiting for its turn  mails         (without an id)");
}

/* --- Order ----------------------------------------------------------------------------------------------*/

/* Which of two comes first. */
static bool comes_first(const char *one, const char *other)
{
    lay_out();
    return line_with(one) < line_with(other);
}

Test(top_page, sorts_by_names_at_first)
{
    hear_two("", "");
    cr_assert(comes_first("mails", "orders"));
    view.reversed = true;
    cr_assert(comes_first("orders", "mails"));
}

Test(top_page, sorts_by_what_is_asked_for_the_largest_first)
{
    static const enum top_sort SORTS[] = {TOP_SORT_FLIGHT, TOP_SORT_WAIT, TOP_SORT_RETRY, TOP_SORT_LATENCY};
    hear_two("", "");
    for (size_t i = 0; i < sizeof SORTS / sizeof SORTS[0]; i++) {
        view.sort = SORTS[i];
        cr_assert(comes_first("orders", "mails"), "%s", TOP_SORT_NAMES[SORTS[i]].word);
    }
    view.sort = TOP_SORT_DEAD;
    cr_assert(comes_first("mails", "orders"));
    cr_assert(shows("DEAD"));
    view.reversed = true;
    cr_assert(comes_first("orders", "mails"));
}

Test(top_page, sorts_by_state_with_what_is_not_consumed_first)
{
    hear("{\"queue\":\"a\",\"state\":\"consuming\"},{\"queue\":\"b\",\"state\":\"failed\"}", "", "");
    view.sort = TOP_SORT_STATE;
    cr_assert(comes_first("b ", "a "));
}

/* --- Room -----------------------------------------------------------------------------------------------*/

Test(top_page, fills_the_screen_with_its_keys_at_the_bottom)
{
    hear_two("", "");
    lay_out();
    cr_assert_eq(page.count, 24);
    cr_assert_eq(page.lines[23].style, TOP_HELP);
    cr_assert(strstr(page.lines[23].text, "q quit") != NULL);
}

Test(top_page, scrolls_a_hundred_queues)
{
    hear_many(100);
    lay_out();
    cr_assert(shows("q00"));
    cr_assert_not(shows("q50"));
    cr_assert(shows("0 above, 80 below"));
    view.scroll = 50;
    lay_out();
    cr_assert(shows("q50"));
    cr_assert_not(shows("q49"));
    cr_assert(shows("QUEUE"), "the heading stays");
    cr_assert_eq(view.page, 20);
    view.scroll = SIZE_MAX;
    lay_out();
    cr_assert(shows("q99"));
    cr_assert_eq(view.scroll, 80);
}

Test(top_page, shows_no_queues)
{
    hear("", "", "");
    lay_out();
    assert_fits();
    cr_assert(shows("QUEUE"));
}

Test(top_page, shows_tasks_alone)
{
    hear_two(",\"in_flight\":{\"tasks\":[{\"queue\":\"orders\",\"message_id\":\"m\",\"age_seconds\":1}]}",
             "");
    view.pane = TOP_PANE_TASKS;
    lay_out();
    cr_assert(shows("  age"));
    cr_assert_not(shows("QUEUE"));
}

Test(top_page, fits_any_screen)
{
    hear_two(
        ",\"in_flight\":{\"tasks\":[{\"queue\":\"orders\",\"message_id\":\"m\",\"age_seconds\":1}]}",
        "{\"queue\":\"a\",\"why\":\"b\"},{\"queue\":\"c\",\"why\":\"d\"},{\"queue\":\"e\",\"why\":\"f\"}");
    for (view.rows = 1; view.rows <= 40; view.rows++) {
        for (view.columns = 1; view.columns <= 140; view.columns += 7) {
            for (view.pane = TOP_PANE_ALL; view.pane <= TOP_PANE_TASKS; view.pane++) {
                lay_out();
                assert_fits();
                cr_assert_eq(page.count, view.rows);
            }
        }
    }
}

Test(top_page, shows_everything_where_there_is_no_screen)
{
    hear_many(100);
    view.rows = 0;
    view.columns = LINE_ENDLESS;
    lay_out();
    cr_assert(shows("q00"));
    cr_assert(shows("q99"));
    cr_assert_not(shows("q quit"));
}

/* --- Strangers ------------------------------------------------------------------------------------------*/

Test(top_page, lets_no_name_or_error_command_the_terminal)
{
    hear("{\"queue\":\"a\\u001b[2J\\nb\\u202ec\",\"processor\":\"p\\u0007\",\"state\":\"\\u009b1m\","
         "\"last_error\":{\"text\":\"\\r\\u001b]0;x\\u0007\",\"at\":"
         "\"\\u001b\\u001b\\u001b\\u001b\\u001b\\u001b"
         "\\u001b\\u001b\\u001b\\u001b\\u001b\\u001b\\u001b\\u001b\\u001b\\u001b\\u001b\\u001b\\u001b\\u001b"
         "\"}}",
         ",\"in_flight\":{\"tasks\":[{\"queue\":\"\\u001b\",\"message_id\":\"\\u001b\",\"state\":"
         "\"\\u001b\"}]}",
         "{\"queue\":\"\\u001b\",\"state\":\"\\u001b\",\"why\":\"\\u001b\"}");
    for (view.columns = 1; view.columns < 200; view.columns += 3) {
        lay_out();
        assert_fits();
        for (size_t i = 0; i < page.count; i++) {
            for (const char *at = page.lines[i].text; *at != '\0'; at++)
                cr_assert((unsigned char)*at >= ' ' && *at != '\177', "line %zu: %s", i, page.lines[i].text);
            cr_assert_null(strstr(page.lines[i].text, "\302\233"));
            cr_assert_null(strstr(page.lines[i].text, "\342\200\256"));
        }
    }
}

Test(top_page, cuts_wide_names_by_columns)
{
    hear("{\"queue\":\"注文注文注文注文注文注文注文注文\",\"processor\":\"log\",\"state\":\"consuming\"}", "",
         "");
    for (view.columns = 1; view.columns < 120; view.columns++) {
        lay_out();
        assert_fits();
    }
}

Test(top_page, writes_ascii_where_the_terminal_has_nothing_else)
{
    hear("{\"queue\":\"Grüße-注文-注文-注文-注文-注文-注文-注文-注文\",\"state\":\"consuming\"}", "", "");
    view.ascii = true;
    lay_out();
    assert_fits();
    for (size_t i = 0; i < page.count; i++) {
        for (const char *at = page.lines[i].text; *at != '\0'; at++)
            cr_assert_lt((unsigned char)*at, 0x80);
    }
    cr_assert(shows("Gr?"
                    "?e-?"
                    "?-"));
}

Test(top_page, writes_huge_and_impossible_numbers_in_their_columns)
{
    hear("{\"queue\":\"a\",\"state\":\"consuming\",\"in_flight\":1e308,\"waiting\":18446744073709551615,"
         "\"retrying\":-5,\"settled\":{\"dead_lettered\":1e999},\"durations\":{\"buckets\":7}},"
         "{\"queue\":7,\"state\":[],\"in_flight\":\"x\",\"settled\":null}",
         ",\"process\":1e300,\"connections\":[7,{\"up\":\"x\"}],\"in_flight\":{\"tasks\":[7,{\"age_seconds\":"
         "1e300,\"attempt\":1e300}]}",
         "7");
    lay_out();
    assert_fits();
    cr_assert_str_eq(line_with("a ")->text,
                     "a        consuming       -  >999E   18E     ? >999E     -     -     -");
}

Test(top_page, takes_no_status_from_what_is_none)
{
    static const char *const TEXTS[] = {"", "7", "[]", "{}", "{\"queues\":7}", "{\"queues\":[]", "null"};
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++)
        cr_assert_null(top_status_read(bytes_of_text(TEXTS[i]), bytes_of_text("")), "%s", TEXTS[i]);
}

/* --- A worker that is away ------------------------------------------------------------------------------*/

Test(top_page, says_that_it_waits_for_a_worker_that_was_never_there)
{
    subject.problem = "no connection to 127.0.0.1 port 9464: Connection refused";
    lay_out();
    cr_assert_str_eq(page.lines[0].text,
                     "WAITING for the worker at 127.0.0.1 port 9464: no connection to 127.0.0.1 port …");
    cr_assert_eq(page.count, 24);
    assert_fits();
}

Test(top_page, says_for_how_long_the_worker_has_been_gone_and_keeps_its_last_figures)
{
    hear_two("", "{\"queue\":\"mails\",\"state\":\"failed\",\"why\":\"old news\"}");
    subject.problem = "no connection";
    subject.silence = 72;
    lay_out();
    cr_assert(shows("GONE for 1 min 12 s; the figures are old: no connection"));
    cr_assert(shows("orders"));
    cr_assert_not(shows("old news"));
}

/* --- Memory ---------------------------------------------------------------------------------------------*/

static unsigned allowed;

static bool nothing(size_t size)
{
    (void)size;
    return false;
}

static bool permit_but_one(size_t size)
{
    (void)size;
    return allowed-- != 0;
}

Test(top_page, lives_with_any_allocation_that_fails)
{
    unsigned count = 0;
    hear_two(",\"in_flight\":{\"tasks\":[{\"queue\":\"orders\",\"message_id\":\"m\",\"age_seconds\":1}]}",
             "{\"queue\":\"a\",\"why\":\"b\"}");
    do {
        top_page_destroy(&page);
        allowed = count++;
        memory_permit = permit_but_one;
        page = top_page_make(&subject, &view);
        memory_permit = NULL;
        assert_fits();
    } while (page.failed);
    cr_assert_gt(count, 20, "only %u allocations", count);
}

Test(top_page, shows_nothing_without_memory)
{
    hear_two("", "");
    memory_permit = nothing;
    page = top_page_make(&subject, &view);
    memory_permit = NULL;
    cr_assert(page.failed);
}
