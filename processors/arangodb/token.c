#include "token.h"
#include "jwt.h"
#include <json.h>
#include <secret_file.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_LIMIT = 64 * 1024, /* bytes of the answer that a token comes in */
    UNAUTHORIZED = 401,
};

static const char LOGIN_PATH[] = "/_open/auth";

/* --- From the server ------------------------------------------------------------------------------------*/

/* In words of ours, since the server's could repeat what it was sent. NULL with the problem filled. */
static char *token_in(whippet_task *task, const struct token_source *source,
                      const whippet_http_response *response, char problem[TOKEN_PROBLEM_SIZE])
{
    whippet_json_value body = whippet_json_read(response->body, NULL, NULL);
    const char *token = whippet_json_string(task, whippet_json_get(body, "jwt"));
    if (response->status == UNAUTHORIZED)
        snprintf(problem, TOKEN_PROBLEM_SIZE, "POST %s: status %d: user and password are not taken",
                 source->login_url, UNAUTHORIZED);
    else if (response->status / 100 != 2)
        snprintf(problem, TOKEN_PROBLEM_SIZE, "POST %s: status %d", source->login_url, response->status);
    else if (token == NULL || !jwt_is_token(token))
        snprintf(problem, TOKEN_PROBLEM_SIZE, "POST %s: there is no token in the answer", source->login_url);
    else
        return strdup(token);
    return NULL;
}

static int fetch(whippet_task *task, const struct token_source *source, char **token,
                 char problem[TOKEN_PROBLEM_SIZE])
{
    whippet_http_response response;
    int error = whippet_http(task, &source->login, &response);
    if (error != 0) {
        snprintf(problem, TOKEN_PROBLEM_SIZE, "%s", response.error);
        return error;
    }
    *token = token_in(task, source, &response, problem);
    return *token != NULL ? 0 : WHIPPET_E_REFUSED;
}

/* --- From the file --------------------------------------------------------------------------------------*/

struct reading {
    const char *file;
    char *secret;
};

static int read_file(void *arg)
{
    struct reading *reading = arg;
    reading->secret = secret_file_read_again(reading->file);
    return 0;
}

static int read_again(whippet_task *task, const struct token_source *source, const char *known, char **token,
                      char problem[TOKEN_PROBLEM_SIZE])
{
    struct reading reading = {.file = source->origin.file};
    int error = whippet_offload(task, read_file, &reading);
    if (error == 0 && reading.secret != NULL && jwt_is_token(reading.secret) &&
        (known == NULL || strcmp(reading.secret, known) != 0)) {
        *token = reading.secret;
        return 0;
    }
    secret_file_destroy(reading.secret);
    snprintf(problem, TOKEN_PROBLEM_SIZE,
             "the token in %s is not taken (status %d), and there is no other in it", reading.file,
             UNAUTHORIZED);
    return error != 0 ? error : WHIPPET_E_REFUSED;
}

/* --- Either ---------------------------------------------------------------------------------------------*/

int token_source_ask(whippet_task *task, const struct token_source *source, const char *known, char **token,
                     char problem[TOKEN_PROBLEM_SIZE])
{
    int error = source->origin.file != NULL ? read_again(task, source, known, token, problem)
                                            : fetch(task, source, token, problem);
    if (error != 0 && problem[0] == '\0')
        snprintf(problem, TOKEN_PROBLEM_SIZE, "%s", whippet_error_text(error));
    return error;
}

/* --- Coming and going -----------------------------------------------------------------------------------*/

static whippet_bytes bytes_of(const char *text)
{
    return (whippet_bytes){text, strlen(text)};
}

static void write_login(struct json *json, const struct token_origin *origin)
{
    json_open(json, '{');
    json_name(json, bytes_of("username"));
    json_text(json, bytes_of(origin->user));
    json_name(json, bytes_of("password"));
    json_text(json, bytes_of(origin->password != NULL ? origin->password : ""));
    json_close(json, '}');
}

static bool prepare_login(struct token_source *source)
{
    const struct token_origin *origin = &source->origin;
    struct json json = {0};
    write_login(&json, origin);
    source->login_body = calloc(1, json.length + 1);
    source->login_url = malloc(strlen(origin->server) + sizeof LOGIN_PATH);
    if (source->login_body == NULL || source->login_url == NULL)
        return false;
    json = (struct json){.text = source->login_body};
    write_login(&json, origin);
    stpcpy(stpcpy(source->login_url, origin->server), LOGIN_PATH);
    source->content_type = (whippet_http_header){"Content-Type", "application/json"};
    source->login = *origin->request;
    source->login.url = source->login_url;
    source->login.headers = &source->content_type;
    source->login.header_count = 1;
    source->login.body = (whippet_bytes){source->login_body, json.length};
    source->login.body_limit = ANSWER_LIMIT;
    return true;
}

bool token_source_init(struct token_source *source, const struct token_origin *origin,
                       whippet_failure *failure)
{
    *source = (struct token_source){.origin = *origin};
    if (origin->file != NULL || prepare_login(source))
        return true;
    whippet_fail(failure, "out of memory");
    return false;
}

void token_source_destroy(struct token_source *source)
{
    secret_file_destroy(source->login_body);
    free(source->login_url);
}
