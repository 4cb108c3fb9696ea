/* A processor that does not call itself as its file is called. */
#include <whippet/processor.h>

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    (void)task, (void)message, (void)state;
    return WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.name = "another", .version = "1.0", .process = process);
