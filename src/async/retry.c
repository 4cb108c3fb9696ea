#include <async/retry.h>
#include <async/task.h>
#include <base/log.h>
#include <base/random.h>
#include <math.h>
#include <whippet/task.h>

bool retry_policy_valid(const whippet_retry_policy *policy)
{
    bool known =
        policy->backoff == WHIPPET_BACKOFF_CONSTANT || policy->backoff == WHIPPET_BACKOFF_EXPONENTIAL;
    return known && policy->attempts >= 1 && policy->delay >= 0 && isfinite(policy->delay) &&
           policy->max_delay >= 0 && isfinite(policy->max_delay) && policy->jitter >= 0 &&
           policy->jitter <= 1;
}

bool retry_exhausted(const whippet_retry_policy *policy, unsigned failed_attempts)
{
    return failed_attempts >= policy->attempts;
}

double retry_delay(const whippet_retry_policy *policy, unsigned failed_attempts, double chance)
{
    enum {
        MOST_DOUBLINGS = 1023
    }; /* beyond which a double is infinite anyway */
    double delay = policy->delay;
    if (policy->backoff == WHIPPET_BACKOFF_EXPONENTIAL) {
        unsigned doublings = failed_attempts > 0 ? failed_attempts - 1 : 0;
        delay = ldexp(delay, doublings < MOST_DOUBLINGS ? (int)doublings : MOST_DOUBLINGS);
        if (policy->max_delay > 0 && delay > policy->max_delay)
            delay = policy->max_delay;
    }
    return delay * (1 - policy->jitter * chance);
}

static const char *describe(int result)
{
    return result == 0 ? "nothing useful" : whippet_error_text(result);
}

/* True when the deadline or the cancellation that ended the callback holds for this task too, and not only
 * for a narrower scope inside the callback. */
static bool was_struck(const whippet_task *task, int result)
{
    return (result == WHIPPET_E_TIMEOUT || result == WHIPPET_E_CANCELLED) && task_struck(task) != 0;
}

int whippet_retry(whippet_task *task, const whippet_retry_policy *policy, whippet_retry_callback *callback,
                  void *arg)
{
    static const whippet_retry_policy usual = WHIPPET_RETRY_DEFAULT;
    if (policy == NULL)
        policy = &usual;
    if (!retry_policy_valid(policy))
        return WHIPPET_E_INVALID;

    const struct log_fields *fields = task_log_fields(task);
    for (unsigned attempt = 1;; attempt++) {
        int result = callback(task, arg);
        if (result > 0)
            return result;
        if (was_struck(task, result))
            return task_struck(task);
        if (retry_exhausted(policy, attempt)) {
            log_event(WHIPPET_WARNING, fields, "attempt %u of %u failed: %s; giving up", attempt,
                      policy->attempts, describe(result));
            return WHIPPET_E_RETRY_EXHAUSTED;
        }
        double delay = retry_delay(policy, attempt, random_unit());
        log_event(WHIPPET_WARNING, fields, "attempt %u of %u failed: %s; next in %gs", attempt,
                  policy->attempts, describe(result), round(delay * 1000) / 1000);
        int error = whippet_sleep(task, delay);
        if (error != 0)
            return error;
    }
}
