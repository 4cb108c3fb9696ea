/* A processor with a mistake in its options. */
#include <whippet/processor.h>

static const whippet_option options[] = {
    {"size", WHIPPET_OPTION_SIZE, NULL, false, "one"},
    {"size", WHIPPET_OPTION_SIZE, NULL, false, "two"},
    {0},
};

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    (void)task, (void)message, (void)state;
    return WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.name = "same_option_twice", .version = "1.0", .options = options, .process = process);
