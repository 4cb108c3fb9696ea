/* How many messages wait in a queue. */
#ifndef CMD_DEAD_COUNT_H
#define CMD_DEAD_COUNT_H

#include <async/loop.h>
#include <io/channel.h>

/* Asks on an open channel. 0 with `*ready` set, or the error of a request; suspends. */
int dead_count_ready(whippet_task *task, struct channel *channel, const struct loop *loop, const char *queue,
                     uint64_t *ready);

#endif
