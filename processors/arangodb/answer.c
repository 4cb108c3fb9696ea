#include "answer.h"
#include <inttypes.h>
#include <retry_after.h>
#include <stdio.h>
#include <time.h>

enum {
    PROBLEM_SIZE = 512,
    MESSAGE_LIMIT = 400, /* bytes of the server's words */
    BAD_REQUEST = 400,
    CONTENT_TOO_LARGE = 413,
    UNPROCESSABLE = 422,
};

struct answer answer_missing(const char *problem)
{
    return (struct answer){.problem = problem};
}

/* What somebody else than ArangoDB says is not repeated: it may be anything, our own headers included. */
static const char *describe(whippet_task *task, const struct answer *answer)
{
    char *problem = whippet_alloc(task, PROBLEM_SIZE);
    whippet_bytes words = whippet_json_text(task, whippet_json_get(answer->body, "errorMessage"));
    if (problem == NULL)
        return "out of memory";
    if (answer->number == 0)
        snprintf(problem, PROBLEM_SIZE, "status %d, and the answer is not ArangoDB's", answer->status);
    else
        snprintf(problem, PROBLEM_SIZE, "status %d: %.*s (error %" PRId64 ")", answer->status,
                 (int)(words.len < MESSAGE_LIMIT ? words.len : MESSAGE_LIMIT),
                 words.data != NULL ? (const char *)words.data : "", answer->number);
    return problem;
}

struct answer answer_read(whippet_task *task, const whippet_http_response *response)
{
    whippet_json_value body = whippet_json_read(response->body, NULL, NULL);
    struct answer answer = {
        .status = response->status,
        .body = body.kind == WHIPPET_JSON_OBJECT ? body : (whippet_json_value){0},
        .pause = retry_after_seconds(whippet_http_response_header(response, "Retry-After"), time(NULL)),
    };
    whippet_json_integer(whippet_json_get(answer.body, "errorNum"), &answer.number);
    answer.problem = answer_is_done(&answer) ? "" : describe(task, &answer);
    return answer;
}

/* A web server that is somebody else's says 200 to anything, but it does not know the key. */
bool answer_is_done(const struct answer *answer)
{
    return answer->status / 100 == 2 && whippet_json_get(answer->body, "_key").kind == WHIPPET_JSON_STRING;
}

/* All else is about somebody: a collection that is not there yet, a right that is not given, another who
 * writes the same document, a server that is not well. */
static bool is_about_the_document(const struct answer *answer)
{
    return answer->status == BAD_REQUEST || answer->status == CONTENT_TOO_LARGE ||
           answer->status == UNPROCESSABLE || answer->number == ARANGODB_UNIQUE_CONSTRAINT_VIOLATED;
}

whippet_verdict answer_refuse(whippet_task *task, const struct answer *answer)
{
    if (is_about_the_document(answer))
        return whippet_reject(task, "%s", answer->problem);
    return whippet_retry_after(task, answer->pause, "%s", answer->problem);
}
