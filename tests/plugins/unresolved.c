/* A processor that calls what nobody offers: to be refused when it is loaded, not when the first message
 * comes. */
#include <whippet/processor.h>

whippet_verdict whippet_no_such_function(whippet_task *task);

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    (void)message;
    (void)state;
    return whippet_no_such_function(task);
}

WHIPPET_PROCESSOR(.name = "unresolved", .version = "1.0", .summary = "cannot be loaded", .process = process);
