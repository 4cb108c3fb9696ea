/* Lines that would come once for each message: the first say what is wrong, then they are counted. */
#include "worker_internal.h"
#include <base/log.h>
#include <stdio.h>
#include <string.h>

static const double WINDOW_SECONDS = 10;

/* What is said of those that were not. */
static const struct {
    const char *words;
    enum whippet_log_level level;
    unsigned most; /* lines in one window */
} KINDS[LOG_KIND_COUNT] = {
    [LOG_ATTEMPT_FAILED] = {"failed attempts", WHIPPET_WARNING, 20},
    [LOG_DEAD_LETTERED] = {"dead letters", WHIPPET_ERROR, 20},
    [LOG_DISCARDED] = {"discarded messages", WHIPPET_ERROR, 20},
    [LOG_NOT_HANDED_OVER] = {"messages that are kept, as no copy of them could be confirmed", WHIPPET_WARNING,
                             1},
    [LOG_HEADERS_LEFT_OUT] = {"dead letters without their own headers", WHIPPET_WARNING, 1},
    [LOG_NOT_STARTED] = {"attempts that could not be started", WHIPPET_ERROR, 1},
    [LOG_UNHANDLED] = {"messages returned unhandled", WHIPPET_ERROR, 1},
    [LOG_CONSUMED_IN_VAIN] = {"consumers that the broker took away at once", WHIPPET_WARNING, 3},
    [LOG_CONSUMING_AGAIN] = {"times consuming again", WHIPPET_INFO, 3},
};

static void report_left_out(struct log_limit *limit)
{
    const struct subscription *subscription = limit->subscription;
    struct log_fields fields = {.queue = subscription->config->name,
                                .processor = subscription->config->processor,
                                .error = limit->error[0] != '\0' ? limit->error : NULL};
    if (limit->left_out > 0)
        log_event(KINDS[limit->kind].level, &fields, "%s: … %llu more like this in the last %g s",
                  KINDS[limit->kind].words, (unsigned long long)limit->left_out, WINDOW_SECONDS);
    limit->said = 0;
    limit->left_out = 0;
}

static void on_window_end(struct timer *timer)
{
    report_left_out(list_entry(timer, struct log_limit, window));
}

static struct timers *timers_of(const struct subscription *subscription)
{
    return &loop_scheduler(subscription->worker->loop)->timers;
}

void log_limits_init(struct subscription *subscription)
{
    for (int kind = 0; kind < LOG_KIND_COUNT; kind++)
        subscription->log_limits[kind] = (struct log_limit){
            .subscription = subscription, .kind = (enum log_kind)kind, .window.function = on_window_end};
}

void log_limits_end(struct subscription *subscription)
{
    for (int kind = 0; kind < LOG_KIND_COUNT; kind++) {
        timer_stop(timers_of(subscription), &subscription->log_limits[kind].window);
        report_left_out(&subscription->log_limits[kind]);
    }
}

void log_limited(struct subscription *subscription, enum log_kind kind, const struct log_fields *fields,
                 const char *format, ...)
{
    struct log_limit *limit = &subscription->log_limits[kind];
    if (!timer_armed(&limit->window) && !timer_start(timers_of(subscription), &limit->window,
                                                     loop_now(subscription->worker->loop) + WINDOW_SECONDS))
        report_left_out(limit); /* without memory for the timer nothing is held back */
    if (limit->said >= KINDS[kind].most) {
        limit->left_out++;
        snprintf(limit->error, sizeof limit->error, "the last: %s",
                 fields->error != NULL ? fields->error : "");
        return;
    }
    va_list arguments;
    limit->said++;
    va_start(arguments, format);
    log_event_v(KINDS[kind].level, fields, format, arguments);
    va_end(arguments);
}
