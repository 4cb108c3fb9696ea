/* Waits for a descriptor that never becomes readable. */
#include <whippet/processor.h>

#include <unistd.h>

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    int ends[2];

    (void)message, (void)state;
    if (pipe(ends) != 0) {
        return WHIPPET_REJECT;
    }
    whippet_wait_fd(task, ends[0], WHIPPET_READABLE);
    close(ends[0]);
    close(ends[1]);
    return WHIPPET_RETRY;
}

WHIPPET_PROCESSOR(.name = "waiting", .version = "1.0", .summary = "waits for nothing", .process = process);
