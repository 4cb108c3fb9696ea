#include <config/retry.h>
#include <math.h>
#include <stdio.h>

double retry_pause(const whippet_retry_policy *policy, unsigned failed_attempts)
{
    if (policy->backoff != WHIPPET_BACKOFF_EXPONENTIAL)
        return policy->delay;
    double pause = ldexp(policy->delay, failed_attempts > 1000 ? 999 : (int)failed_attempts - 1);
    return policy->max_delay > 0 ? fmin(pause, policy->max_delay) : pause;
}

double retry_pauses(const whippet_retry_policy *policy)
{
    double sum = 0;
    for (unsigned failed = 1; failed < policy->attempts; failed++)
        sum += retry_pause(policy, failed);
    return sum;
}

double retry_longest_hold(const struct queue_config *queue)
{
    return queue->retry_via == RETRY_VIA_BROKER
               ? queue->timeout
               : queue->retry.attempts * queue->timeout + retry_pauses(&queue->retry);
}

uint64_t retry_queue_delay(const whippet_retry_policy *policy, unsigned failed_attempts)
{
    return (uint64_t)ceil(round(retry_pause(policy, failed_attempts) * 1e6) / 1e3);
}

unsigned retry_queue_delays(const whippet_retry_policy *policy, uint64_t milliseconds[RETRY_QUEUES_MAX])
{
    unsigned count = 0;
    uint64_t last = 0;
    for (unsigned failed = 1; failed < policy->attempts; failed++) {
        uint64_t delay = retry_queue_delay(policy, failed);
        if (count > 0 && delay == last)
            break; /* it does not grow any more */
        if (count < RETRY_QUEUES_MAX)
            milliseconds[count] = delay;
        last = delay;
        count++;
    }
    return count;
}

bool retry_queue_name(const char *queue, uint64_t milliseconds, char name[RETRY_QUEUE_NAME_SIZE])
{
    static const struct {
        const char *name;
        uint64_t milliseconds;
    } units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    size_t unit = 0;
    while (milliseconds % units[unit].milliseconds != 0)
        unit++;
    int length = snprintf(name, RETRY_QUEUE_NAME_SIZE, "%s.retry.%llu%s", queue,
                          (unsigned long long)(milliseconds / units[unit].milliseconds), units[unit].name);
    return length < RETRY_QUEUE_NAME_SIZE;
}
