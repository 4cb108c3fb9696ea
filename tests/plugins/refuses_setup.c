/* A processor whose setup() fails, with a reason. */
#include <whippet/processor.h>

static int setup(const whippet_settings *settings, void **state, whippet_failure *failure)
{
    (void)settings;
    (void)state;
    whippet_fail(failure, "no licence found on a rainy day");
    return -1;
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    (void)task;
    (void)message;
    (void)state;
    return WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.name = "refuses_setup", .version = "1.0", .summary = "never starts", .setup = setup,
                  .process = process);
