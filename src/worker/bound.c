#include <amqp/session.h>
#include <io/publisher.h>
#include <worker/bound.h>

enum {
    /* Envelope, properties and headers; what these have beyond a frame counts to max_message_size. The
     * delivery's own book-keeping is far below the rest. */
    ENVELOPE_MAX = SESSION_FRAME_MAX + 1024,
    /* Three connections, each with a read buffer of two frames, and a long header that is put together. */
    READ_BUFFERS = 3 * (2 * (SESSION_FRAME_MAX + SESSION_FRAME_OVERHEAD) + SESSION_HEADER_HELD),
    /* What a child process takes before its plugin does anything, and the buffers to and from it. */
    CHILD_BASE = 8 << 20,
};

/* A child copies each message it works on, and has one more in the buffer that it comes in by. */
static uint64_t held_by_children(const struct queue_config *queue, unsigned processes)
{
    uint64_t copies = (uint64_t)queue->concurrency + processes;
    return copies * (queue->max_message_size + ENVELOPE_MAX) + (uint64_t)processes * CHILD_BASE;
}

struct memory_bound bound_of_queue(const struct config *config, const struct queue_config *queue)
{
    unsigned processes = queue->processes < queue->concurrency ? queue->processes : queue->concurrency;
    return (struct memory_bound){
        .messages = (uint64_t)queue->prefetch * (queue->max_message_size + ENVELOPE_MAX),
        .stacks = (uint64_t)queue->concurrency * config->stack_size,
        .children = queue->run == RUN_PROCESS ? held_by_children(queue, processes) : 0,
    };
}

struct memory_bound bound_of_config(const struct config *config)
{
    struct memory_bound total = {.buffers = READ_BUFFERS + PUBLISHER_BACKLOG_MAX};
    uint64_t largest = 0;
    for (size_t i = 0; i < config->queue_count; i++) {
        struct memory_bound queue = bound_of_queue(config, &config->queues[i]);
        total.messages += queue.messages;
        total.stacks += queue.stacks;
        total.children += queue.children;
        if (config->queues[i].max_message_size > largest)
            largest = config->queues[i].max_message_size;
    }
    total.spawned = (config->max_tasks - config_tasks_reserved(config)) * config->stack_size;
    /* A dead letter is copied into the output queue, which takes none beyond its limit but may overshoot by
     * one. */
    total.buffers += largest;
    return total;
}
