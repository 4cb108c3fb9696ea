/* Fails every attempt, and reports once so many were made: from then on that many messages wait for their
 * retry. */
#include "report.h"

static int setup(const whippet_settings *settings, void **state, whippet_failure *failure)
{
    return report_setup(sizeof(struct report), settings, state, failure);
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    struct report *report = state;
    measure_message(&report->measure, whippet_body(message).len);
    if (report->measure.messages == report->count)
        report_write(report, "");
    return whippet_retry_later(task, "as asked for");
}

static const whippet_option options[] = {REPORT_OPTIONS, {0}};

WHIPPET_PROCESSOR(.name = "fail", .version = "1.0", .summary = "fails every attempt", .options = options,
                  .setup = setup, .process = process, .teardown = free);
