/* Running attempts to their end. */
#include "test.h"
#include <async/retry.h>
#include <base/bytes.h>
#include <base/memory.h>
#include <base/random.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    ATTEMPTS = 5, /* the worker's default */
    NO_VERDICT_SIZE = 80,
};

/* Attempts that run at the same time. */
struct round {
    whippet_test *test;
    size_t running;
};

struct attempt {
    struct round *round;
    struct whippet_message message;
    struct log_fields fields;
    double began; /* a moment */
    whippet_test_result result;
};

static bool is_verdict(whippet_verdict verdict)
{
    return verdict == WHIPPET_ACK || verdict == WHIPPET_RETRY || verdict == WHIPPET_REJECT;
}

/* --- An attempt -----------------------------------------------------------------------------------------*/

static const char *keep_reason(whippet_test *test, const whippet_task *task, whippet_verdict verdict)
{
    const char *reason = task_reason(task);
    size_t size = strlen(reason) + NO_VERDICT_SIZE;
    char *kept = test_allocate(test, size);
    snprintf(kept, size, "%s", reason);
    if (!is_verdict(verdict))
        snprintf(kept, size, "process() returned %d, which is no verdict", (int)verdict);
    return kept;
}

static int process_message(whippet_task *task, void *arg)
{
    struct attempt *attempt = arg;
    whippet_test *test = attempt->round->test;
    const struct processor *processor = &test->processor;
    task_set_message(task, &attempt->message);
    whippet_verdict verdict =
        processor->plugin->descriptor.process(task, &attempt->message, processor->state);
    attempt->result = (whippet_test_result){
        .verdict = is_verdict(verdict) ? verdict : WHIPPET_RETRY,
        .reason = keep_reason(test, task, verdict),
        .struck = task_struck(task),
        .attempt = attempt->message.attempt,
        .retry_after = task_retry_after(task),
    };
    return 0;
}

static void attempt_ended(void *arg, int ignored)
{
    struct attempt *attempt = arg;
    struct round *round = attempt->round;
    (void)ignored;
    attempt->result.seconds = loop_now(round->test->loop) - attempt->began;
    if (--round->running == 0)
        loop_stop(round->test->loop);
}

static void attempt_start(struct attempt *attempt)
{
    whippet_test *test = attempt->round->test;
    bool started;
    attempt->fields = (struct log_fields){
        .queue = attempt->message.queue,
        .processor = test->processor.plugin->descriptor.name,
        .message_id = whippet_message_id(&attempt->message),
        .attempt = attempt->message.attempt,
    };
    attempt->began = loop_now(test->loop);
    task_start(loop_scheduler(test->loop), process_message, attempt, attempt->began + test->timeout,
               &attempt->fields, attempt_ended, &started);
    if (!started)
        test_fail(test->fail, "whippet_test_run: out of memory for a task");
}

static void run_round(struct attempt *attempts, size_t count)
{
    struct round *round = attempts->round;
    struct loop *loop = round->test->loop;
    round->running = count;
    loop_refresh_now(loop);
    stack_pool_measure(loop_scheduler(loop)->stacks);
    for (size_t i = 0; i < count; i++)
        attempt_start(&attempts[i]);
    loop_run(loop);
    for (size_t i = 0; i < count; i++)
        attempts[i].result.stack_used = stack_pool_deepest(loop_scheduler(loop)->stacks);
}

static void describe_message(struct attempt *attempt, const whippet_test_message *description)
{
    whippet_test *test = attempt->round->test;
    static const whippet_test_message EMPTY;
    if (description == NULL)
        description = &EMPTY;
    unsigned attempts = description->attempts > 0 ? description->attempts : ATTEMPTS;
    if (description->attempt > attempts)
        test_fail(test->fail, "whippet_test_message: attempt %u of %u can't be", description->attempt,
                  attempts);
    attempt->message = (struct whippet_message){
        .content = message_make(test, description),
        .queue = description->queue != NULL ? description->queue : "test",
        .attempt = description->attempt > 0 ? description->attempt : 1,
        .attempts = attempts,
    };
}

/* --- Messages -------------------------------------------------------------------------------------------*/

whippet_test_result whippet_test_run(whippet_test *test, const whippet_test_message *message)
{
    test_check(test, "whippet_test_run");
    struct round round = {.test = test};
    struct attempt attempt = {.round = &round};
    describe_message(&attempt, message);
    run_round(&attempt, 1);
    message_destroy(attempt.message.content);
    return attempt.result;
}

void whippet_test_run_together(whippet_test *test, const whippet_test_message *messages, size_t count,
                               whippet_test_result *results)
{
    test_check(test, "whippet_test_run_together");
    if (count == 0)
        return;
    struct round round = {.test = test};
    struct attempt *attempts = memory_allocate_zeroed(count * sizeof *attempts);
    if (attempts == NULL)
        test_fail(test->fail, "whippet_test_run_together: out of memory");
    for (size_t i = 0; i < count; i++) {
        attempts[i].round = &round;
        describe_message(&attempts[i], &messages[i]);
    }
    run_round(attempts, count);
    for (size_t i = 0; i < count; i++) {
        message_destroy(attempts[i].message.content);
        results[i] = attempts[i].result;
    }
    memory_free(attempts);
}

/* --- Attempt after attempt ------------------------------------------------------------------------------*/

struct pause {
    whippet_test *test;
    double seconds;
};

static int run_pause(whippet_task *task, void *arg)
{
    const struct pause *pause = arg;
    return whippet_sleep(task, pause->seconds);
}

static void pause_ended(void *arg, int ignored)
{
    const struct pause *pause = arg;
    (void)ignored;
    loop_stop(pause->test->loop);
}

static void pause_for(whippet_test *test, double seconds)
{
    struct pause pause = {.seconds = seconds, .test = test};
    bool started;
    task_start(loop_scheduler(test->loop), run_pause, &pause, INFINITY, NULL, pause_ended, &started);
    if (!started)
        test_fail(test->fail, "whippet_test_run_attempts: out of memory for a task");
    loop_run(test->loop);
}

whippet_test_result whippet_test_run_attempts(whippet_test *test, const whippet_test_message *message,
                                              const whippet_retry_policy *policy)
{
    static const whippet_retry_policy DEFAULT = WHIPPET_RETRY_DEFAULT;
    test_check(test, "whippet_test_run_attempts");
    if (policy == NULL)
        policy = &DEFAULT;
    if (!retry_policy_valid(policy))
        test_fail(test->fail,
                  "whippet_test_run_attempts: the policy needs at least one attempt, times that are not "
                  "negative, and jitter from 0 to 1");
    whippet_test_message description = message != NULL ? *message : (whippet_test_message){0};
    description.attempts = policy->attempts;
    double began = loop_refresh_now(test->loop);
    unsigned number = description.attempt > 0 ? description.attempt : 1;
    size_t deepest = 0;
    for (;; number++) {
        description.attempt = number;
        whippet_test_result result = whippet_test_run(test, &description);
        deepest = result.stack_used > deepest ? result.stack_used : deepest;
        if (result.verdict != WHIPPET_RETRY || retry_exhausted(policy, number)) {
            result.seconds = loop_now(test->loop) - began;
            result.stack_used = deepest;
            return result;
        }
        pause_for(test, fmax(result.retry_after, retry_delay(policy, number, random_unit())));
    }
}
