/* How much memory a configuration can come to take. */
#ifndef WORKER_BOUND_H
#define WORKER_BOUND_H

#include <config/config.h>

struct memory_bound {
    uint64_t messages; /* every prefetched message at max_message_size, with its envelope */
    uint64_t stacks;   /* every attempt at its full stack */
    uint64_t spawned;  /* every task that processors may spawn at its full stack; of all queues together */
    uint64_t children; /* with `run: process`, what child processes hold beside their attempts' stacks */
    uint64_t buffers;  /* of the two connections */
};

/* What one queue adds. A queue whose mode is its processor's wish counts as run in the loop. */
struct memory_bound bound_of_queue(const struct config *config, const struct queue_config *queue);

/* All of it; the sum of them is the most that the worker itself takes beyond what processors allocate.
 */
struct memory_bound bound_of_config(const struct config *config);

#endif
