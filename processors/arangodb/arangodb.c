/* Writes each message to ArangoDB, as a document. README.md beside this file tells how. */
#include "attempt.h"

static int setup(const whippet_settings *given, void **state, whippet_failure *failure)
{
    *state = settings_create(given, failure);
    return *state != NULL ? 0 : -1;
}

static void teardown(void *state)
{
    settings_destroy(state);
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    struct attempt attempt = {.task = task, .message = message, .settings = state};
    int verdict = attempt_read(&attempt);
    if (verdict == 0)
        verdict = attempt_write(&attempt);
    if (verdict == 0)
        verdict = attempt_verify(&attempt);
    return verdict != 0 ? (whippet_verdict)verdict : WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.name = "arangodb", .version = "1.0", .summary = "writes each message to ArangoDB",
                  .options = settings_options, .setup = setup, .process = process, .teardown = teardown);
