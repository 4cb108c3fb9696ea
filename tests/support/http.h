/* A plain HTTP client on loopback, for tests of the admin port. Each call is a connection of its own. */
#ifndef TESTS_SUPPORT_HTTP_H
#define TESTS_SUPPORT_HTTP_H

#include <stdbool.h>
#include <stddef.h>

struct http_reply {
    int status;  /* 0: the connection ended, or the time, before there was one */
    char *text;  /* all of it, headers included; NUL-terminated */
    char *body;  /* within text */
    size_t size; /* of the body */
};

/* Connects to 127.0.0.1; the descriptor blocks for `seconds` at most. */
int http_connect(unsigned port, double seconds);
void http_send(int descriptor, const char *text);

/* Reads to the end of the connection, and closes it. */
struct http_reply http_read(int descriptor);

/* GET `path`. Fails the test when it cannot connect. */
struct http_reply http_get(unsigned port, const char *path);

/* The same with any method and further header lines ("Accept: …\r\n"; "" for none). */
struct http_reply http_request(unsigned port, const char *method, const char *path, const char *headers);
void http_free(struct http_reply *reply);

/* Whether the reply's text holds that. */
bool http_says(const struct http_reply *reply, const char *text);

/* The value of the one sample that begins with `name`, of a page of metrics; fails the test when there is
 * none. */
double http_sample(const struct http_reply *reply, const char *name);

#endif
