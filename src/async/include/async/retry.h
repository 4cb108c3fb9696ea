/* The arithmetic of retrying: for whippet_retry, and for the worker, which waits without a task. Pure, but
 * for the log. */
#ifndef ASYNC_RETRY_H
#define ASYNC_RETRY_H

#include <stdbool.h>
#include <whippet/retry.h>

/* At least one attempt, no negative or endless time, a known backoff, and jitter from 0 to 1. */
bool retry_policy_valid(const whippet_retry_policy *policy);

/* True when `failed_attempts` were the last. */
bool retry_exhausted(const whippet_retry_policy *policy, unsigned failed_attempts);

/* Seconds between the end of the failed attempt number `failed_attempts` (from 1) and the next. `chance`, at
 * least 0 and below 1, picks the place within what jitter leaves open: 0 is the whole delay. */
double retry_delay(const whippet_retry_policy *policy, unsigned failed_attempts, double chance);

struct retry_log;

/* Says how many lines of whippet_retry were left out, if any were; the next are written again. */
void retry_log_report(struct retry_log *log);

#endif
