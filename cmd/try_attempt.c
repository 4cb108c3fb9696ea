#include "exit_codes.h"
#include "try.h"
#include <async/loop.h>
#include <async/task.h>
#include <base/clock.h>
#include <base/memory.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <worker/background.h>
#include <worker/publication.h>
#include <worker/publishing.h>

enum {
    STACK_SIZE = 256 * 1024, /* the worker's default */
};

struct attempt;

/* The processor at work. */
struct session {
    const struct processor *processor;
    struct loop *loop;
    struct background background;
    struct log_fields background_fields;
    struct attempt *attempt; /* that runs; NULL: none */
};

struct attempt {
    struct session *session;
    struct whippet_message *message;
    whippet_task *task; /* NULL when it does not run */
    struct try_outcome outcome;
};

/* --- Running --------------------------------------------------------------------------------------------*/

/* Stands in for the publishing connection: remembers, and confirms. */
static int remember_publication(void *owner, whippet_task *task, const whippet_publication *publication)
{
    struct try_outcome *outcome = &((struct attempt *)owner)->outcome;
    size_t count = outcome->publication_count;
    struct message **grown = memory_resize(outcome->publications, (count + 1) * sizeof(struct message *));
    if (grown == NULL)
        return WHIPPET_E_MEMORY;
    outcome->publications = grown;
    int error = publication_deliver(publication, &grown[count]);
    if (error != 0)
        return error;
    outcome->publication_count++;
    return whippet_sleep(task, 0);
}

static void forget_publications(struct try_outcome *outcome)
{
    for (size_t i = 0; i < outcome->publication_count; i++)
        message_destroy(outcome->publications[i]);
    memory_free(outcome->publications);
}

static int process_message(whippet_task *task, void *arg)
{
    struct attempt *attempt = arg;
    const struct processor *processor = attempt->session->processor;
    attempt->task = task;
    task_set_message(task, attempt->message);
    struct try_outcome *outcome = &attempt->outcome;
    outcome->verdict = processor->plugin->descriptor.process(task, attempt->message, processor->state);
    outcome->struck = task_struck(task);
    strncpy(outcome->reason, task_reason(task), sizeof outcome->reason - 1);
    return 0;
}

static void attempt_ended(void *arg, int result)
{
    struct attempt *attempt = arg;
    (void)result;
    attempt->task = NULL;
    attempt->session->attempt = NULL;
    loop_stop(attempt->session->loop);
}

static void interrupt(void *owner)
{
    struct attempt *attempt = ((struct session *)owner)->attempt;
    if (attempt == NULL)
        return;
    attempt->outcome.interrupted = true;
    if (attempt->task != NULL)
        task_cancel(attempt->task);
}

/* False when memory is short. */
static bool run_attempt(struct attempt *attempt, const struct log_fields *fields, double timeout)
{
    struct session *session = attempt->session;
    struct scheduler *scheduler = loop_scheduler(session->loop);
    bool started;
    stack_pool_measure(scheduler->stacks);
    double before = clock_monotonic();
    session->attempt = attempt;
    task_start(scheduler, process_message, attempt, loop_refresh_now(session->loop) + timeout, fields,
               attempt_ended, &started);
    if (!started)
        return false;
    while (session->attempt != NULL)
        loop_run(session->loop);
    attempt->outcome.seconds = clock_monotonic() - before;
    attempt->outcome.stack_used = stack_pool_deepest(scheduler->stacks);
    attempt->outcome.stack_size = STACK_SIZE;
    return true;
}

/* --- The session ----------------------------------------------------------------------------------------*/

static int out_of_memory(const char *text)
{
    fprintf(stderr, "whippet try: %s\n", text);
    return EXIT_INTERNAL;
}

static void background_ended(void *owner)
{
    const struct session *session = owner;
    loop_stop(session->loop);
}

/* A loop that ends the attempt on SIGINT and SIGTERM, with the processor's background() on it. False with the
 * failure filled. */
static bool open_session(struct session *session, const struct try_request *request,
                         struct whippet_failure *failure)
{
    session->loop = loop_create(STACK_SIZE, failure);
    if (session->loop == NULL)
        return false;
    session->background_fields = (struct log_fields){
        .queue = request->queue, .processor = session->processor->plugin->descriptor.name};
    session->background.ended = background_ended;
    session->background.owner = session;
    if (loop_on_signal(session->loop, SIGINT, interrupt, session) &&
        loop_on_signal(session->loop, SIGTERM, interrupt, session) &&
        background_start(&session->background, loop_scheduler(session->loop), session->processor,
                         &session->background_fields))
        return true;
    failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    loop_destroy(session->loop);
    return false;
}

static void close_session(struct session *session)
{
    background_cancel(&session->background);
    while (background_runs(&session->background))
        loop_run(session->loop);
    loop_destroy(session->loop);
}

/* --- Attempts -------------------------------------------------------------------------------------------*/

/* Runs the attempt that the message says it is. Returns an exit code. */
static int one_attempt(const struct try_request *request, struct session *session,
                       struct whippet_message *message, bool *again)
{
    struct attempt attempt = {.session = session, .message = message, .outcome.attempt = message->attempt};
    struct try_outcome *outcome = &attempt.outcome;
    struct log_fields fields = {.queue = request->queue,
                                .processor = session->processor->plugin->descriptor.name,
                                .message_id = request->properties.message_id,
                                .attempt = message->attempt};
    publishing_install(remember_publication, &attempt);
    bool ran = run_attempt(&attempt, &fields, request->timeout);
    publishing_install(NULL, NULL);
    bool printed = ran && (request->json ? try_print_json : try_print_text)(request, outcome);
    forget_publications(outcome);
    if (!printed)
        return out_of_memory("out of memory");
    *again = outcome->verdict != WHIPPET_ACK && outcome->verdict != WHIPPET_REJECT && !outcome->interrupted;
    return outcome->verdict == WHIPPET_ACK ? EXIT_DONE : EXIT_FAILED;
}

static int every_attempt(const struct try_request *request, struct session *session, struct message *content)
{
    struct whippet_message message = {.content = content, .queue = request->queue, .attempts = TRY_ATTEMPTS};
    int code = EXIT_FAILED;
    bool again = true;
    for (unsigned attempt = request->attempt; again && attempt <= TRY_ATTEMPTS; attempt++) {
        message.attempt = attempt;
        if (attempt > request->attempt && !request->json)
            printf("\n");
        code = one_attempt(request, session, &message, &again);
        fflush(stdout);
        again = again && request->all_attempts && code != EXIT_INTERNAL;
    }
    return code;
}

int try_attempts(const struct try_request *request, const struct processor *processor,
                 struct message *content)
{
    struct whippet_failure failure;
    struct session session = {.processor = processor};
    if (!open_session(&session, request, &failure))
        return out_of_memory(failure.text);
    int code = every_attempt(request, &session, content);
    close_session(&session);
    return code;
}
