/* A processor with a mistake in its options. */
#include <whippet/processor.h>

static const whippet_option options[] = {
    {"pause", WHIPPET_OPTION_DURATION, "3 parsecs", false, "a default that is none"},
    {0},
};

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    (void)task, (void)message, (void)state;
    return WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.name = "wrong_default", .version = "1.0", .options = options, .process = process);
