/* A processor with a mistake in its options. */
#include <whippet/processor.h>

static const whippet_option options[] = {
    {"matrix", (enum whippet_option_type)99, NULL, false, "of a type that comes later"},
    {0},
};

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    (void)task, (void)message, (void)state;
    return WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.name = "strange_option", .version = "1.0", .options = options, .process = process);
