#include "dead_count.h"

/* RabbitMQ says 0, too, of a quorum queue that has not answered it within 250 ms, as on a busy machine
 * (rabbit_quorum_queue:stat): a 0 that took so long is asked for again. */
static const double BELIEVED_SECONDS = 0.25;
static const double REQUEST_SECONDS = 10;

enum {
    LOOKS_MAX = 20
};

int dead_count_ready(whippet_task *task, struct channel *channel, const struct loop *loop, const char *queue,
                     uint64_t *ready)
{
    struct queue_declaration look = {.queue = queue, .passive = true};
    for (int looks = 0; looks < LOOKS_MAX; looks++) {
        double asked_at = loop_now(loop);
        int error = channel_queue_declare(task, channel, &look, REQUEST_SECONDS);
        if (error != 0)
            return error;
        *ready = channel->reply.message_count;
        if (*ready > 0 || loop_now(loop) - asked_at < BELIEVED_SECONDS)
            return 0;
    }
    return 0;
}
