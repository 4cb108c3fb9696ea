/* RabbitMQ's management API (https://www.rabbitmq.com/docs/management#http-api): for what AMQP does not tell.
 * All of it blocks: it is for commands, and for a thread of its own. */
#ifndef MANAGEMENT_CLIENT_H
#define MANAGEMENT_CLIENT_H

#include <base/failure.h>
#include <stdatomic.h>

struct cJSON;
struct management_client;

/* Where it is, and as whom to ask. Everything is borrowed for as long as a client is there. */
struct management_access {
    const char *url;           /* "http://host:15672", with or without user and password */
    const char *user;          /* where the URL names none; NULL: nobody */
    const char *password;      /* his */
    const char *password_file; /* holds it, in place of `password`; NULL: none */
    const char *vhost;
};

/* Keeps its connection from one request to the next. A request is broken off, within a second, when `*cut` is
 * true; NULL: never. NULL with the failure where libcurl is not installed, or memory is short. */
struct management_client *management_client_create(const struct management_access *access,
                                                   const atomic_bool *cut, struct whippet_failure *failure);
void management_client_destroy(struct management_client *client); /* NULL is fine */

/* GETs `path`, which begins with a slash and may hold one %s, for the virtual host, and `more` (NULL:
 * nothing) as one further segment behind that. Ten seconds at most. NULL with the failure, which says what to
 * do: REFUSED without permission, INVALID where something else answers, UNAVAILABLE where nothing does.
 * `*status` (NULL: of no interest) is that of HTTP, 0 without an answer. */
struct cJSON *management_client_get(struct management_client *client, const char *path, const char *more,
                                    long *status, struct whippet_failure *failure);

/* One request, for who has no more. */
struct cJSON *management_get(const struct management_access *access, const char *path,
                             struct whippet_failure *failure);

enum {
    MANAGEMENT_WHERE_SIZE = 256
};

/* "http://host:15672" of a URL: without user, password and path. */
void management_describe(const char *url, char where[MANAGEMENT_WHERE_SIZE]);

#endif
