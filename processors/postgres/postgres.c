/* Writes each message to PostgreSQL, as a row or with a statement. README.md beside this file tells how. */
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
    struct settings *settings = state;
    struct attempt attempt = {.task = task, .message = message, .settings = settings};
    int verdict = attempt_read(&attempt, &settings->write, &attempt.parameters);
    if (verdict == 0)
        verdict = attempt_prepare_inbox(&attempt);
    if (verdict == 0)
        verdict = attempt_write(&attempt);
    if (verdict == 0)
        verdict = attempt_verify(&attempt);
    return verdict != 0 ? (whippet_verdict)verdict : WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.name = "postgres", .version = "1.0", .summary = "writes each message to PostgreSQL",
                  .options = settings_options, .setup = setup, .process = process, .teardown = teardown);
