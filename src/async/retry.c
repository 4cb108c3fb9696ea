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

/* --- Its lines in the log -------------------------------------------------------------------------------*/

static const double WINDOW_SECONDS = 10;

enum {
    WINDOW_LINES = 20 /* the others are lines of the level debug, and counted */
};

void retry_log_report(struct retry_log *log)
{
    if (log->left_out > 0)
        log_event(WHIPPET_WARNING, NULL,
                  "failed attempts of whippet_retry: … %u more like this in the last %g s", log->left_out,
                  WINDOW_SECONDS);
    log->said = 0;
    log->left_out = 0;
}

static void on_window_end(struct timer *timer)
{
    retry_log_report(list_entry(timer, struct retry_log, window));
}

/* Of the next line: where something is down, every task that needs it fails again and again. */
static enum whippet_log_level line_level(struct scheduler *scheduler)
{
    struct retry_log *log = &scheduler->retry_log;
    log->window.function = on_window_end;
    if (!timer_armed(&log->window) &&
        !timer_start(&scheduler->timers, &log->window, scheduler->now + WINDOW_SECONDS))
        retry_log_report(log); /* without memory for the timer nothing is held back */
    if (log->said < WINDOW_LINES) {
        log->said++;
        return WHIPPET_WARNING;
    }
    log->left_out++;
    return WHIPPET_DEBUG;
}

/* `delay`, in seconds, is until the next one; negative: there is none. */
static void say_failed(const whippet_task *task, unsigned attempt, unsigned attempts, int result,
                       double delay)
{
    const struct log_fields *known = task_log_fields(task);
    struct log_fields fields = known != NULL ? *known : (struct log_fields){0};
    enum whippet_log_level level = line_level(task_scheduler(task));
    fields.error = result == 0 ? "nothing useful" : whippet_error_text(result);
    if (delay < 0)
        log_event(level, &fields, "attempt %u of %u failed; giving up", attempt, attempts);
    else
        log_event(level, &fields, "attempt %u of %u failed; next in %gs", attempt, attempts,
                  round(delay * 1000) / 1000);
}

/* --- Retrying -------------------------------------------------------------------------------------------*/

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

    for (unsigned attempt = 1;; attempt++) {
        int result = callback(task, arg);
        if (result > 0)
            return result;
        if (was_struck(task, result))
            return task_struck(task);
        if (retry_exhausted(policy, attempt)) {
            say_failed(task, attempt, policy->attempts, result, -1);
            return WHIPPET_E_RETRY_EXHAUSTED;
        }
        double delay = retry_delay(policy, attempt, random_unit());
        say_failed(task, attempt, policy->attempts, result, delay);
        int error = whippet_sleep(task, delay);
        if (error != 0)
            return error;
    }
}
