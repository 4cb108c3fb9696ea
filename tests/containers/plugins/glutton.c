/* Takes memory until the kernel ends its process, for one body alone. */
#include <whippet/processor.h>

#include <stdlib.h>
#include <string.h>

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    whippet_bytes body = whippet_body(message);
    enum {
        PIECE = 16 * 1024 * 1024,
        PIECES = 64 /* 1 GiB: more than the container may have, and no harm to a machine that sets no limit */
    };

    (void)task, (void)state;
    for (int i = 0; i < PIECES && body.len == 6 && memcmp(body.data, "poison", 6) == 0; i++) {
        char *piece = malloc(PIECE);
        if (piece != NULL) {
            memset(piece, 1, PIECE);
        }
    }
    return WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.name = "glutton", .version = "1.0", .summary = "eats all memory for one message",
                  .process = process);
