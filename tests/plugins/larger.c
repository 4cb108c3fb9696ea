/* A processor built with later headers, in which the descriptor has more members: to be taken as far as it is
 * known. */
#include <whippet/processor.h>

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    (void)task, (void)message, (void)state;
    return WHIPPET_ACK;
}

struct later_processor {
    whippet_processor known;
    const void *unknown[8];
};

extern WHIPPET_API const struct later_processor whippet_processor_descriptor;
const struct later_processor whippet_processor_descriptor = {
    .known = {.abi = WHIPPET_ABI,
              .size = sizeof(struct later_processor),
              .name = "larger",
              .process = process},
};
