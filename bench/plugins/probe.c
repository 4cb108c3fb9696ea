/* Looks how late the loop is: with the first message it begins to wake every millisecond, `count` times, and
 * notes how long after its moment each waking came. */
#include "report.h"

struct probe {
    struct report report;
    struct latencies latencies;
};

static const double PAUSE_SECONDS = 0.001;

static int setup(const whippet_settings *settings, void **state, whippet_failure *failure)
{
    if (report_setup(sizeof(struct probe), settings, state, failure) != 0)
        return -1;
    struct probe *self = *state;
    latencies_init(&self->latencies, self->report.count);
    return 0;
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    struct probe *self = state;
    measure_message(&self->report.measure, whippet_body(message).len);
    for (uint64_t i = 0; i < self->report.count; i++) {
        uint64_t due = measure_nanoseconds() + (uint64_t)(PAUSE_SECONDS * 1e9);
        if (whippet_sleep(task, PAUSE_SECONDS) < 0)
            return WHIPPET_RETRY;
        /* The pause counts from the beginning of the loop's turn, which may be before `due` was told. */
        uint64_t now = measure_nanoseconds();
        due = due < now ? due : now;
        latencies_add(&self->latencies, &due, sizeof due);
    }
    char percentiles[128];
    latencies_finish(&self->latencies, percentiles, sizeof percentiles);
    report_finish(&self->report, percentiles);
    return WHIPPET_ACK;
}

static const whippet_option options[] = {REPORT_OPTIONS, {0}};

WHIPPET_PROCESSOR(.name = "probe", .version = "1.0", .summary = "looks how late the loop is",
                  .options = options, .setup = setup, .process = process, .teardown = free);
