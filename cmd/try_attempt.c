#include "exit_codes.h"
#include "try.h"
#include <async/loop.h>
#include <async/task.h>
#include <base/clock.h>
#include <base/memory.h>
#include <config/units.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <worker/publishing.h>

enum {
    STACK_SIZE = 256 * 1024, /* the worker's default */
    REASON_SIZE = 1100,      /* bytes; as much as a task keeps of one */
};

/* What the processor would have published; its texts are copies. */
struct publication {
    char *exchange;
    char *routing_key;
    size_t body_length;
};

/* One attempt, and what came of it. */
struct attempt {
    const struct processor *processor;
    struct whippet_message *message;
    struct loop *loop;
    whippet_task *task; /* NULL when it does not run */
    bool ended;
    bool interrupted;
    whippet_verdict verdict;
    int struck; /* TIMEOUT, CANCELLED or 0 */
    char reason[REASON_SIZE];
    double seconds;
    size_t stack_used;                /* bytes */
    struct publication *publications; /* owned */
    size_t publication_count;
};

/* --- Running --------------------------------------------------------------------------------------------*/

/* Stands in for the publishing connection: remembers, and confirms. */
static int remember_publication(void *owner, whippet_task *task, const whippet_publication *publication)
{
    struct attempt *attempt = owner;
    size_t count = attempt->publication_count;
    struct publication *grown = memory_resize(attempt->publications, (count + 1) * sizeof *grown);
    if (grown == NULL)
        return WHIPPET_E_MEMORY;
    attempt->publications = grown;
    grown[count] = (struct publication){
        .exchange = memory_copy_text(publication->exchange != NULL ? publication->exchange : ""),
        .routing_key = memory_copy_text(publication->routing_key != NULL ? publication->routing_key : ""),
        .body_length = publication->body.len,
    };
    attempt->publication_count++;
    return whippet_sleep(task, 0);
}

static void forget_publications(struct attempt *attempt)
{
    for (size_t i = 0; i < attempt->publication_count; i++) {
        memory_free(attempt->publications[i].exchange);
        memory_free(attempt->publications[i].routing_key);
    }
    memory_free(attempt->publications);
}

static int process_message(whippet_task *task, void *arg)
{
    struct attempt *attempt = arg;
    const struct processor *processor = attempt->processor;
    attempt->task = task;
    task_set_message(task, attempt->message);
    attempt->verdict = processor->plugin->descriptor.process(task, attempt->message, processor->state);
    attempt->struck = task_struck(task);
    attempt->stack_used = task_stack_used(task);
    strncpy(attempt->reason, task_reason(task), sizeof attempt->reason - 1);
    return 0;
}

static void attempt_ended(void *arg, int result)
{
    struct attempt *attempt = arg;
    (void)result;
    attempt->task = NULL;
    attempt->ended = true;
    loop_stop(attempt->loop);
}

static void interrupt(void *owner)
{
    struct attempt *attempt = owner;
    attempt->interrupted = true;
    if (attempt->task != NULL)
        task_cancel(attempt->task);
}

/* False when memory is short. */
static bool run_attempt(struct attempt *attempt, const struct log_fields *fields, double timeout)
{
    struct scheduler *scheduler = loop_scheduler(attempt->loop);
    bool started;
    double before = clock_monotonic();
    task_start(scheduler, process_message, attempt, loop_refresh_now(attempt->loop) + timeout, fields,
               attempt_ended, &started);
    if (!started)
        return false;
    while (!attempt->ended)
        loop_run(attempt->loop);
    attempt->seconds = clock_monotonic() - before;
    return true;
}

/* --- Printing -------------------------------------------------------------------------------------------*/

static const char *verdict_name(const struct attempt *attempt)
{
    switch (attempt->verdict) {
    case WHIPPET_ACK: return "ACK";
    case WHIPPET_REJECT: return "REJECT";
    case WHIPPET_RETRY: return "RETRY";
    }
    return "RETRY (it returned no verdict that there is)";
}

static const char *reason_of(const struct attempt *attempt)
{
    if (attempt->reason[0] != '\0')
        return attempt->reason;
    if (attempt->interrupted)
        return "interrupted";
    return attempt->struck != 0 ? whippet_error_text(attempt->struck) : "none given";
}

/* Control characters could steer the terminal. */
static void print_safely(const char *text)
{
    for (; *text != '\0'; text++)
        putchar((unsigned char)*text >= ' ' && *text != 0x7f ? *text : *text == '\n' ? '\n' : '?');
}

static void print_publications(const struct attempt *attempt)
{
    for (size_t i = 0; i < attempt->publication_count; i++) {
        const struct publication *publication = &attempt->publications[i];
        printf("published  %zu bytes to the exchange \"", publication->body_length);
        print_safely(publication->exchange != NULL ? publication->exchange : "");
        printf("\" with the routing key \"");
        print_safely(publication->routing_key != NULL ? publication->routing_key : "");
        printf("\" (not really)\n");
    }
}

static void print_attempt(const struct attempt *attempt, double timeout)
{
    char time[UNITS_TEXT_SIZE], used[UNITS_TEXT_SIZE], size[UNITS_TEXT_SIZE];
    if (attempt->message->attempt > 1)
        printf("attempt    %u of %u\n", attempt->message->attempt, attempt->message->attempts);
    printf("verdict    %s\n", verdict_name(attempt));
    if (attempt->verdict != WHIPPET_ACK) {
        printf("reason     ");
        print_safely(reason_of(attempt));
        printf("\n");
    }
    if (attempt->struck == WHIPPET_E_TIMEOUT) {
        duration_format(timeout, time);
        printf("timeout    it took longer than %s\n", time);
    }
    size_format(attempt->stack_used, used);
    size_format(STACK_SIZE, size);
    printf("time       %.3f ms\n", attempt->seconds * 1000);
    printf("stack      %s of %s\n", used, size);
    print_publications(attempt);
}

/* --- Attempts -------------------------------------------------------------------------------------------*/

/* A loop that ends the attempt on SIGINT and SIGTERM; NULL with the failure filled. */
static struct loop *open_loop(struct attempt *attempt, struct whippet_failure *failure)
{
    struct loop *loop = loop_create(STACK_SIZE, failure);
    if (loop == NULL)
        return NULL;
    stack_pool_measure(loop_scheduler(loop)->stacks);
    if (loop_on_signal(loop, SIGINT, interrupt, attempt) && loop_on_signal(loop, SIGTERM, interrupt, attempt))
        return loop;
    failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    loop_destroy(loop);
    return NULL;
}

static int out_of_memory(const char *text)
{
    fprintf(stderr, "whippet try: %s\n", text);
    return EXIT_INTERNAL;
}

/* Runs the attempt that the message says it is. Returns an exit code. */
static int one_attempt(const struct try_request *request, const struct processor *processor,
                       struct whippet_message *message, bool *again)
{
    struct whippet_failure failure;
    struct attempt attempt = {.processor = processor, .message = message};
    struct log_fields fields = {.queue = request->queue,
                                .processor = processor->plugin->descriptor.name,
                                .message_id = request->properties.message_id,
                                .attempt = message->attempt};
    attempt.loop = open_loop(&attempt, &failure);
    if (attempt.loop == NULL)
        return out_of_memory(failure.text);
    publishing_install(remember_publication, &attempt);
    bool ran = run_attempt(&attempt, &fields, request->timeout);
    publishing_install(NULL, NULL);
    loop_destroy(attempt.loop);
    if (ran)
        print_attempt(&attempt, request->timeout);
    forget_publications(&attempt);
    if (!ran)
        return out_of_memory("out of memory");
    *again = attempt.verdict != WHIPPET_ACK && attempt.verdict != WHIPPET_REJECT && !attempt.interrupted;
    return attempt.verdict == WHIPPET_ACK ? EXIT_DONE : EXIT_FAILED;
}

int try_attempts(const struct try_request *request, const struct processor *processor,
                 struct message *content)
{
    struct whippet_message message = {.content = content, .queue = request->queue, .attempts = TRY_ATTEMPTS};
    int code = EXIT_FAILED;
    bool again = true;
    for (unsigned attempt = request->attempt; again && attempt <= TRY_ATTEMPTS; attempt++) {
        message.attempt = attempt;
        if (attempt > request->attempt)
            printf("\n");
        code = one_attempt(request, processor, &message, &again);
        fflush(stdout);
        again = again && request->all_attempts && code != EXIT_INTERNAL;
    }
    return code;
}
