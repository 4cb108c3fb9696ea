/* Measures how long after its publishing a message reaches process(). */
#include "report.h"

struct latency {
    struct report report;
    struct latencies latencies;
};

static int setup(const whippet_settings *settings, void **state, whippet_failure *failure)
{
    if (report_setup(sizeof(struct latency), settings, state, failure) != 0)
        return -1;
    struct latency *self = *state;
    latencies_init(&self->latencies, self->report.count);
    return 0;
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    struct latency *self = state;
    whippet_bytes body = whippet_body(message);
    (void)task;
    measure_message(&self->report.measure, body.len);
    latencies_add(&self->latencies, body.data, body.len);
    if (self->report.measure.messages == self->report.count) {
        char percentiles[128];
        latencies_finish(&self->latencies, percentiles, sizeof percentiles);
        report_finish(&self->report, percentiles);
    }
    return WHIPPET_ACK;
}

static const whippet_option options[] = {REPORT_OPTIONS, {0}};

WHIPPET_PROCESSOR(.name = "latency", .version = "1.0",
                  .summary = "measures the time from publishing to processing", .options = options,
                  .setup = setup, .process = process, .teardown = free);
