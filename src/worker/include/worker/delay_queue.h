/* The broker's queues in which messages wait for their next attempt (retry.via: broker). */
#ifndef WORKER_DELAY_QUEUE_H
#define WORKER_DELAY_QUEUE_H

#include <base/buffer.h>
#include <stdbool.h>
#include <stdint.h>

/* Appends the encoded arguments with which the worker declares the one that holds messages of `queue` back
 * for so long. False when memory is short. */
bool delay_queue_write_arguments(struct buffer *entries, const char *queue, uint64_t milliseconds);

#endif
