#include <cjson/cJSON.h>
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

double queue_patience(const struct queue_config *queue, double consumer_timeout)
{
    const cJSON *own = cJSON_GetObjectItemCaseSensitive(queue->arguments, "x-consumer-timeout");
    double patience = cJSON_IsNumber(own) ? own->valuedouble / 1000 : consumer_timeout;
    return patience <= 0 || queue->type == QUEUE_TYPE_STREAM ? INFINITY : patience;
}

double retry_room(const struct queue_config *queue, double patience, unsigned failed_attempts, double held)
{
    double room = patience - held;
    for (unsigned failed = failed_attempts; failed < queue->retry.attempts; failed++)
        room -= queue->timeout + (failed > failed_attempts ? retry_pause(&queue->retry, failed) : 0);
    return room;
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

uint64_t retry_queue_delay_after(const whippet_retry_policy *policy, unsigned failed_attempts, double seconds)
{
    uint64_t delays[RETRY_QUEUES_MAX];
    uint64_t delay = retry_queue_delay(policy, failed_attempts);
    unsigned count = seconds > 0 ? retry_queue_delays(policy, delays) : 0;
    for (unsigned i = 0; i < count && i < RETRY_QUEUES_MAX && (double)delay < seconds * 1000; i++)
        delay = delays[i] > delay ? delays[i] : delay;
    return delay;
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
