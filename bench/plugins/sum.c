/* Sums the bytes of the bodies: the least that a processor can do. */
#include "report.h"

static int setup(const whippet_settings *settings, void **state, whippet_failure *failure)
{
    return report_setup(sizeof(struct report), settings, state, failure);
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    struct report *report = state;
    (void)task;
    measure_message(&report->measure, whippet_body(message).len);
    if (report->measure.messages == report->count)
        report_finish(report, "");
    return WHIPPET_ACK;
}

static const whippet_option options[] = {REPORT_OPTIONS, {0}};

WHIPPET_PROCESSOR(.name = "sum", .version = "1.0", .summary = "sums the bytes of the bodies",
                  .options = options, .setup = setup, .process = process, .teardown = free);
