/* Having a document written. */
#include "attempt.h"
#include "exchange.h"

enum {
    ANSWER_LIMIT = 64 * 1024 /* bytes: key, revision, or an error */
};

/* A message may come again after it was done. Then its document is in the way of itself. */
static int look_whether_it_was_done(const struct attempt *attempt, const struct answer *refusal)
{
    enum sight sight = SIGHT_NONE;
    struct answer answer;
    int error = attempt->key != NULL ? attempt_look(attempt, &sight, &answer) : 0;
    if (error != 0)
        return whippet_retry_later(attempt->task, "%s; whether that is this very document can't be seen: %s",
                                   refusal->problem, answer.problem);
    if (sight != SIGHT_OURS)
        return answer_refuse(attempt->task, refusal);
    whippet_log(attempt->task, WHIPPET_DEBUG, "nothing was changed: done before");
    return 0;
}

static int take_chosen_key(struct attempt *attempt, const struct answer *answer)
{
    attempt->key = whippet_json_string(attempt->task, whippet_json_get(answer->body, "_key"));
    return attempt->key != NULL ? 0 : whippet_retry_later(attempt->task, "out of memory");
}

int attempt_write(struct attempt *attempt)
{
    const struct settings *settings = attempt->settings;
    whippet_http_request request = settings->request;
    struct answer answer;
    request.method = "POST";
    request.url = settings->write_url;
    request.body = attempt->text;
    request.body_limit = ANSWER_LIMIT;
    if (exchange(attempt->task, settings, &request, &answer) != 0)
        return whippet_retry_later(attempt->task, "%s", answer.problem);
    if (answer_is_done(&answer))
        return take_chosen_key(attempt, &answer);
    if (answer.number == ARANGODB_UNIQUE_CONSTRAINT_VIOLATED && settings->mode == MODE_INSERT)
        return look_whether_it_was_done(attempt, &answer);
    return answer_refuse(attempt->task, &answer);
}
