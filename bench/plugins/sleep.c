/* Waits before it is done with a message, as a processor does that asks another service. */
#include "report.h"

struct sleeper {
    struct report report; /* of messages that came */
    double seconds;
    uint64_t done; /* messages that have slept */
};

static int setup(const whippet_settings *settings, void **state, whippet_failure *failure)
{
    if (report_setup(sizeof(struct sleeper), settings, state, failure) != 0)
        return -1;
    struct sleeper *self = *state;
    self->seconds = whippet_setting_duration(settings, "seconds");
    return 0;
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    struct sleeper *self = state;
    measure_message(&self->report.measure, whippet_body(message).len);
    if (whippet_sleep(task, self->seconds) < 0)
        return WHIPPET_RETRY;
    if (++self->done == self->report.count)
        report_finish(&self->report, "");
    return WHIPPET_ACK;
}

static const whippet_option options[] = {
    REPORT_OPTIONS, {"seconds", WHIPPET_OPTION_DURATION, "1s", false, "how long each message waits"}, {0}};

WHIPPET_PROCESSOR(.name = "sleep", .version = "1.0", .summary = "sleeps for each message", .options = options,
                  .setup = setup, .process = process, .teardown = free);
