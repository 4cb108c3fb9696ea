/* Counting a message done only when it can be seen. */
#include "attempt.h"

struct view {
    const struct attempt *attempt;
    const whippet_pg_parameter *parameters;
    const whippet_pg_result *result;
};

/* A whippet_retry_callback: how many rows there are. */
static int look(whippet_task *task, void *arg)
{
    struct view *view = arg;
    const struct settings *settings = view->attempt->settings;
    int error = whippet_pg_query(task, settings->pg, settings->verify.text, view->parameters,
                                 settings->verify.count, &view->result);
    return error != 0 ? error : whippet_pg_rows(view->result) > 0;
}

int attempt_verify(const struct attempt *attempt)
{
    const struct settings *settings = attempt->settings;
    struct view view = {.attempt = attempt};
    whippet_pg_parameter *parameters;
    if (settings->verify.text == NULL)
        return 0;
    int verdict = attempt_read(attempt, &settings->verify, &parameters);
    if (verdict != 0)
        return verdict;
    view.parameters = parameters;
    int found = whippet_retry(attempt->task, &settings->verify_policy, look, &view);
    if (found > 0)
        return 0;
    const char *text = whippet_pg_error(view.result);
    if (found == WHIPPET_E_RETRY_EXHAUSTED && *text == '\0')
        return whippet_retry_later(attempt->task, "it was written, but can't be read back after %u looks",
                                   settings->verify_policy.attempts);
    return whippet_retry_later(attempt->task, "it was written, but reading it back failed: %s",
                               *text != '\0' ? text : whippet_error_text(found));
}
