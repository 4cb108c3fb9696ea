/* A processor that forgot its name. */
#include <whippet/processor.h>

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    (void)task, (void)message, (void)state;
    return WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.version = "1.0", .process = process);
