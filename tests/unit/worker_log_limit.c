/* What the log says when the same goes wrong with every message. */
#include "worker_testing.h"

#define QUEUE                                                                                                \
    "{\"name\":\"q\",\"processor\":\"counting\",\"type\":\"classic\",\"prefetch\":1000,\"retry\":{"          \
    "\"attempts\":2,"                                                                                        \
    "\"delay\":\"1ms\"}}"

static FILE *lines;

static void open_log(void)
{
    lines = tmpfile();
    cr_assert_not_null(lines);
    log_configure(fileno(lines), WHIPPET_WARNING, LOG_FORMAT_TEXT);
}

static void close_all(void)
{
    work_close();
    fclose(lines);
}

TestSuite(log_limit, .fini = close_all);

/* How many lines hold `text`; the last of them is kept in `last`. */
static char last[1000];

static unsigned said(const char *text)
{
    char line[1000];
    unsigned count = 0;
    rewind(lines);
    while (fgets(line, sizeof line, lines) != NULL) {
        if (strstr(line, text) == NULL)
            continue;
        count++;
        snprintf(last, sizeof last, "%s", line);
    }
    return count;
}

Test(log_limit, lets_every_line_through_while_there_are_few)
{
    work_open(QUEUE);
    open_log();
    for (int i = 0; i < 20; i++)
        work_deliver("q", "r1");
    rig_until(work_count(0, OUTCOME_DEAD_LETTERED) == 20);
    cr_assert_eq(said("attempt 1 of 2 failed"), 20);
    cr_assert_eq(said("dead-lettered to q.dead"), 20);
    log_limits_end(work_subscription(0));
    cr_assert_eq(said("more like this"), 0);
}

Test(log_limit, says_the_first_with_their_cause_and_how_many_more_there_were)
{
    work_open(QUEUE);
    open_log();
    for (int i = 0; i < 500; i++)
        work_deliver("q", "r1");
    rig_until(work_count(0, OUTCOME_DEAD_LETTERED) == 500);
    cr_assert_eq(said("attempt 1 of 2 failed"), 20, "%u", said("attempt 1 of 2 failed"));
    cr_assert_not_null(strstr(last, "the test said so (r1)"), "%s", last);
    cr_assert_eq(said("dead-lettered to q.dead"), 20);
    log_limits_end(work_subscription(0));
    cr_assert_eq(said("failed attempts: … 480 more like this in the last 10 s"), 1);
    cr_assert_not_null(strstr(last, "the last: the test said so (r1)"), "%s", last);
    cr_assert_eq(said("dead letters: … 480 more like this"), 1);
}

Test(log_limit, of_one_queue_hides_nothing_of_another)
{
    work_open(QUEUE ",{\"name\":\"p\",\"processor\":\"counting\",\"retry\":{\"attempts\":1}}");
    open_log();
    for (int i = 0; i < 100; i++)
        work_deliver("q", "r1");
    work_deliver("p", "x1");
    rig_until(work_count(1, OUTCOME_DEAD_LETTERED) == 1);
    cr_assert_eq(said("dead-lettered to p.dead"), 1);
    rig_until(work_count(0, OUTCOME_DEAD_LETTERED) == 100);
}

/* 64 that wait for a confirm say it once. */
Test(log_limit, has_what_can_not_be_confirmed_said_once)
{
    work_open("{\"name\":\"q\",\"processor\":\"counting\",\"retry\":{\"attempts\":1}}");
    open_log();
    rig.broker->confirm = FAKE_NACKS;
    for (int i = 0; i < 64; i++)
        work_deliver("q", "x1");
    rig_until(counter_get(&work.worker->stats.sent[SENDING_DEAD_LETTER].failed) == 64);
    cr_assert_eq(said("not dead-lettered to q.dead yet; the message is kept"), 1);
    rig.broker->confirm = FAKE_CONFIRMS;
    rig_until(work_count(0, OUTCOME_DEAD_LETTERED) == 64);
    log_limits_end(work_subscription(0));
    cr_assert_eq(said("… 63 more like this"), 1);
}
