#include "exchange.h"

enum {
    UNAUTHORIZED = 401
};

static int ask(whippet_task *task, const whippet_http_request *request, const char *authorization,
               struct answer *answer)
{
    whippet_http_response response;
    const whippet_http_header headers[] = {
        {"Content-Type", request->body.data != NULL ? "application/json" : NULL},
        {"Authorization", authorization}};
    whippet_http_request authorized = *request;
    authorized.headers = headers;
    authorized.header_count = sizeof headers / sizeof headers[0];
    int error = whippet_http(task, &authorized, &response);
    *answer = error != 0 ? answer_missing(response.error) : answer_read(task, &response);
    return error;
}

static int authorize_and_ask(whippet_task *task, struct session *session, const whippet_http_request *request,
                             struct credential *credential, struct answer *answer)
{
    int error = session_authorize(task, session, credential->number, credential);
    if (error == 0)
        return ask(task, request, credential->authorization, answer);
    *answer = answer_missing(credential->problem);
    return error;
}

int exchange(whippet_task *task, const struct settings *settings, const whippet_http_request *request,
             struct answer *answer)
{
    struct credential credential = {0};
    if (settings->session == NULL)
        return ask(task, request, NULL, answer);
    int error = authorize_and_ask(task, settings->session, request, &credential, answer);
    if (error == 0 && answer->status == UNAUTHORIZED)
        error = authorize_and_ask(task, settings->session, request, &credential, answer);
    return error;
}
