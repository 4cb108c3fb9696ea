/* Where tokens come from: the server, for user and password; or a file. */
#ifndef ARANGODB_TOKEN_H
#define ARANGODB_TOKEN_H

#include <whippet/processor.h>

enum {
    TOKEN_PROBLEM_SIZE = 512
};

/* All that is named is borrowed for as long as the source lives. */
struct token_origin {
    const char *server;                  /* its URL, without a slash at its end */
    const whippet_http_request *request; /* what all requests have in common */
    const char *user;                    /* a token is fetched for this one … */
    const char *password;                /* … with that; NULL: "" */
    const char *file;                    /* instead of these: the file that it is in; NULL: none */
};

struct token_source {
    struct token_origin origin;
    whippet_http_request login; /* how a token is asked for */
    whippet_http_header content_type;
    char *login_url;  /* owned */
    char *login_body; /* owned; has the password in it */
};

/* False with the failure filled; then it is to be destroyed all the same. */
bool token_source_init(struct token_source *source, const struct token_origin *origin,
                       whippet_failure *failure);
void token_source_destroy(struct token_source *source);

/* Awaits a token that is not `known` (NULL: any), which the caller frees. 0; else an error, `problem` saying
 * why, for a person and without a secret. */
int token_source_ask(whippet_task *task, const struct token_source *source, const char *known, char **token,
                     char problem[TOKEN_PROBLEM_SIZE]);

#endif
