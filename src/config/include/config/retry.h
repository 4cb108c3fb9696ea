/* What a queue's retry policy comes to in time, and in delay queues at the broker. Pure. */
#ifndef CONFIG_RETRY_H
#define CONFIG_RETRY_H

#include <config/config.h>

enum {
    RETRY_ATTEMPTS_MAX = 1000,
    RETRY_QUEUES_MAX = 16,       /* delay queues of one queue */
    RETRY_QUEUE_NAME_SIZE = 256, /* with the NUL */
};

/* The pause after the failed attempt number `failed_attempts` (from 1), before jitter. Seconds. */
double retry_pause(const whippet_retry_policy *policy, unsigned failed_attempts);

/* All pauses of one message together, before jitter. Seconds. */
double retry_pauses(const whippet_retry_policy *policy);

/* The longest that one message may stay unacknowledged, from the start of its first attempt: every attempt up
 * to `timeout`, and with RETRY_VIA_MEMORY all of them and the pauses between. Seconds. */
double retry_longest_hold(const struct queue_config *queue);

/* How long the broker lets a message of the queue be unacknowledged. Seconds; INFINITY: for ever. */
double queue_patience(const struct queue_config *queue, double consumer_timeout);

/* The longest that the pause after that failed attempt may be, for everything that can follow it to end
 * within the broker's patience, of which `held` seconds are gone. Seconds; below 0 when there is no time
 * left. */
double retry_room(const struct queue_config *queue, double patience, unsigned failed_attempts, double held);

/* The different pauses of the policy in whole milliseconds, rounded up, ascending: one delay queue each.
 * Returns how many there are, of which at most RETRY_QUEUES_MAX were written. */
unsigned retry_queue_delays(const whippet_retry_policy *policy, uint64_t milliseconds[RETRY_QUEUES_MAX]);

/* The delay of the delay queue that takes a message after its failed attempt of that number. */
uint64_t retry_queue_delay(const whippet_retry_policy *policy, unsigned failed_attempts);

/* The same where the next attempt is to come no sooner than in `seconds`: the shortest of the policy's delays
 * that is as long as both, else the longest. */
uint64_t retry_queue_delay_after(const whippet_retry_policy *policy, unsigned failed_attempts,
                                 double seconds);

/* "<queue>.retry.<delay>", the delay in the largest unit that it is whole in: "orders.retry.3s", "….90s",
 * "….1500ms". False when that is longer than a name may be. */
bool retry_queue_name(const char *queue, uint64_t milliseconds, char name[RETRY_QUEUE_NAME_SIZE]);

#endif
