/* Counting a message done only when its document can be seen. */
#include "attempt.h"
#include "escape.h"
#include "exchange.h"
#include "likeness.h"
#include <string.h>

/* --- Looking --------------------------------------------------------------------------------------------*/

static const char *url_of(const struct attempt *attempt)
{
    const char *before = attempt->settings->read_url;
    char *url = whippet_alloc(attempt->task, strlen(before) + ESCAPE_FACTOR * strlen(attempt->key) + 1);
    if (url != NULL)
        escape_append(stpcpy(url, before), attempt->key);
    return url;
}

/* What is there already stays as it is under MODE_IGNORE, whatever it is. */
static bool is_ours(const struct attempt *attempt, whippet_json_value found, bool *is_starved)
{
    enum mode mode = attempt->settings->mode;
    return mode == MODE_IGNORE ||
           likeness_holds(attempt->task, mode == MODE_UPDATE ? LIKENESS_INCLUDES : LIKENESS_EQUAL,
                          attempt->document, found, is_starved);
}

int attempt_look(const struct attempt *attempt, enum sight *sight, struct answer *answer)
{
    const struct settings *settings = attempt->settings;
    whippet_http_request request = settings->request;
    bool is_starved = false;
    request.url = url_of(attempt);
    request.body_limit = settings->read_limit;
    if (request.url == NULL) {
        *answer = answer_missing("out of memory");
        return WHIPPET_E_MEMORY;
    }
    int error = exchange(attempt->task, settings, &request, answer);
    if (error != 0)
        return error;
    if (answer->number == ARANGODB_DOCUMENT_NOT_FOUND)
        *sight = SIGHT_NONE;
    else if (!answer_is_done(answer))
        return WHIPPET_E_UNAVAILABLE;
    else
        *sight = is_ours(attempt, answer->body, &is_starved) ? SIGHT_OURS : SIGHT_OTHER;
    if (is_starved)
        *answer = answer_missing("out of memory");
    return is_starved ? WHIPPET_E_MEMORY : 0;
}

/* --- Looking until it is there --------------------------------------------------------------------------*/

struct view {
    const struct attempt *attempt;
    enum sight sight;
    const char *problem; /* why the last look failed; NULL: it did not */
};

/* A whippet_retry_callback: whether it is there. */
static int look(whippet_task *task, void *arg)
{
    struct view *view = arg;
    struct answer answer;
    (void)task;
    int error = attempt_look(view->attempt, &view->sight, &answer);
    view->problem = error != 0 ? answer.problem : NULL;
    return error != 0 ? error : view->sight == SIGHT_OURS;
}

int attempt_verify(const struct attempt *attempt)
{
    const whippet_retry_policy *policy = &attempt->settings->verify_policy;
    struct view view = {.attempt = attempt};
    if (!attempt->settings->is_verified)
        return 0;
    int found = whippet_retry(attempt->task, policy, look, &view);
    if (found > 0)
        return 0;
    if (view.problem != NULL || found != WHIPPET_E_RETRY_EXHAUSTED)
        return whippet_retry_later(attempt->task, "it was written, but reading it back failed: %s",
                                   view.problem != NULL ? view.problem : whippet_error_text(found));
    return whippet_retry_later(attempt->task, "it was written, but after %u looks %s", policy->attempts,
                               view.sight == SIGHT_NONE ? "it is not there" : "another document is there");
}
