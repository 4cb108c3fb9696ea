#include "exit_codes.h"
#include "try.h"
#include <async/loop.h>
#include <async/stack.h>
#include <base/memory.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <worker/trial.h>

struct session {
    const struct try_request *request;
    struct loop *loop;
    struct trial *trial;
    size_t stack_size;
    size_t messages;
    size_t counts[3];              /* last attempts that ended with ACK, RETRY, REJECT */
    struct message **publications; /* of the attempt that runs, where there is one message; owned */
    size_t publication_count;
    bool printed;     /* something */
    bool interrupted; /* by a signal */
    bool starved;     /* memory was short for what is to be printed */
};

/* --- What it says ---------------------------------------------------------------------------------------*/

static void separate(struct session *session)
{
    if (session->printed && !session->request->json)
        printf("\n");
    session->printed = true;
}

static void forget_publications(struct session *session)
{
    for (size_t i = 0; i < session->publication_count; i++)
        message_destroy(session->publications[i]);
    memory_free(session->publications);
    session->publications = NULL;
    session->publication_count = 0;
}

static void keep_publication(struct session *session, struct message *copy)
{
    size_t count = session->publication_count;
    struct message **grown = memory_resize(session->publications, (count + 1) * sizeof(struct message *));
    if (grown == NULL) {
        session->starved = true;
        message_destroy(copy);
        return;
    }
    session->publications = grown;
    grown[session->publication_count++] = copy;
}

/* What one message publishes is shown with its attempt. */
static void published(void *owner, struct message *copy)
{
    struct session *session = owner;
    if (session->messages == 1) {
        keep_publication(session, copy);
        return;
    }
    separate(session);
    bool done = (session->request->json ? try_print_publication_json : try_print_publication_text)(copy);
    session->starved = session->starved || !done;
    message_destroy(copy);
}

static void count(struct session *session, whippet_verdict verdict)
{
    session->counts[verdict == WHIPPET_ACK ? 0 : verdict == WHIPPET_REJECT ? 2 : 1]++;
}

static void print_sum(const struct session *session)
{
    if (session->messages > 1 && !session->request->json)
        printf("\n%zu messages: %zu ACK, %zu RETRY, %zu REJECT\n", session->messages, session->counts[0],
               session->counts[1], session->counts[2]);
}

static bool ended(void *owner, const struct trial_attempt *attempt)
{
    struct session *session = owner;
    const struct try_request *request = session->request;
    struct stack_pool *stacks = loop_scheduler(session->loop)->stacks;
    bool is_retried = attempt->verdict != WHIPPET_ACK && attempt->verdict != WHIPPET_REJECT;
    bool is_measured = trial_mode(session->trial) == RUN_LOOP;
    struct try_outcome outcome = {
        .message = attempt->message + 1,
        .messages = session->messages,
        .attempt = attempt->attempt,
        .verdict = attempt->verdict,
        .interrupted = session->interrupted,
        .struck = attempt->struck,
        .reason = attempt->reason,
        .retry_after = is_retried ? attempt->retry_after : 0,
        .seconds = attempt->duration,
        .stack_used = is_measured ? stack_pool_deepest(stacks) : 0,
        .stack_size = is_measured ? session->stack_size : 0,
        .publications = session->publications,
        .publication_count = session->publication_count,
    };
    separate(session);
    if (!(request->json ? try_print_json : try_print_text)(request, &outcome))
        session->starved = true;
    fflush(stdout);
    forget_publications(session);
    stack_pool_measure(stacks);
    bool again =
        request->all_attempts && !session->interrupted && is_retried && attempt->attempt < TRY_ATTEMPTS;
    if (!again)
        count(session, attempt->verdict);
    return again;
}

static const struct trial_handlers HANDLERS = {.ended = ended, .published = published};

/* --- The session ----------------------------------------------------------------------------------------*/

/* Who asks twice does not want to wait for code that blocks. */
static void interrupt(void *owner)
{
    struct session *session = owner;
    if (session->interrupted)
        _exit(EXIT_FAILED);
    session->interrupted = true;
    if (session->trial != NULL)
        trial_cancel(session->trial);
}

static int fail(const char *text, int code)
{
    fprintf(stderr, "whippet try: %s\n", text);
    return code;
}

static int open_trial(struct session *session, const struct config *config)
{
    struct config_errors errors = {0};
    loop_set_threads(session->loop, config->threads);
    if (!loop_on_signal(session->loop, SIGINT, interrupt, session) ||
        !loop_on_signal(session->loop, SIGTERM, interrupt, session))
        return fail("out of memory", EXIT_INTERNAL);
    session->trial = trial_create(session->loop, config, &HANDLERS, session, &errors);
    try_errors_print(session->request, &errors);
    config_errors_destroy(&errors);
    return session->trial != NULL ? EXIT_DONE : EXIT_CONFIGURATION;
}

static int run_messages(struct session *session, struct message **messages)
{
    for (size_t i = 0; i < session->messages; i++) {
        if (!trial_add(session->trial, messages[i], session->request->attempt))
            return fail("out of memory", EXIT_INTERNAL);
        messages[i] = NULL;
    }
    stack_pool_measure(loop_scheduler(session->loop)->stacks);
    const char *why = trial_run(session->trial);
    if (why != NULL)
        return fail(why, EXIT_CONFIGURATION);
    print_sum(session);
    if (session->starved)
        return fail("out of memory", EXIT_INTERNAL);
    return session->counts[0] == session->messages ? EXIT_DONE : EXIT_FAILED;
}

static int try_all(struct session *session, const struct config *config, struct message **messages)
{
    int code = open_trial(session, config);
    if (code != EXIT_DONE)
        return code;
    code = run_messages(session, messages);
    if (!trial_destroy(session->trial)) {
        fail("the processor did not come to its end", code);
        fflush(stdout);
        _exit(EXIT_FAILED);
    }
    forget_publications(session);
    return code;
}

int try_attempts(const struct try_request *request, const struct config *config, struct message **messages,
                 size_t count)
{
    struct whippet_failure failure;
    struct session session = {.request = request, .messages = count, .stack_size = config->stack_size};
    int code = EXIT_INTERNAL;
    session.loop = loop_create(config->stack_size, &failure);
    if (session.loop != NULL)
        code = try_all(&session, config, messages);
    else
        fail(failure.text, code);
    if (session.loop != NULL)
        loop_destroy(session.loop);
    for (size_t i = 0; i < count; i++)
        if (messages[i] != NULL)
            message_destroy(messages[i]);
    return code;
}
