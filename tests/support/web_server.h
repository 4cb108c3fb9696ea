/* A web server on loopback (libmicrohttpd), with a thread for each connection, so that a handler may take its
 * time. What it answers is up to the test. */
#ifndef TESTS_SUPPORT_WEB_SERVER_H
#define TESTS_SUPPORT_WEB_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct MHD_Connection;
struct web_server;

enum {
    WEB_FIELDS = 8
};

/* A request, and the answer that the handler fills in. Valid during the handler's call. */
struct web_exchange {
    const char *method;
    const char *path; /* without the query */
    const char *body; /* NUL-terminated */
    size_t body_size;
    unsigned client; /* the port that it came from: a number for each connection */
    unsigned number; /* of all requests, from 1 */
    struct MHD_Connection *connection;

    unsigned status;                    /* 200 when the handler begins */
    const char *answer;                 /* a C string; must outlive the call. NULL: see `size` */
    char *made;                         /* the same, made for this request; the server frees it */
    uint64_t size;                      /* else: so many 'x' */
    uint64_t cut_at;                    /* the connection ends behind so many of them; 0: it does not */
    double pause;                       /* seconds before each 1024 of them */
    const char *fields[2 * WEB_FIELDS]; /* header names and values by turns; NULL ends them */
};

/* Called by several threads at once. */
typedef void web_handler(struct web_exchange *exchange, void *owner);

/* Plain, or with TLS when both files (PEM) are named. Fails the test when it can't be had. */
struct web_server *web_server_start(web_handler *handler, void *owner, const char *certificate_file,
                                    const char *key_file);
void web_server_stop(struct web_server *server); /* ends web_stall, and what is under way */

unsigned web_server_port(const struct web_server *server);
unsigned web_server_requests(struct web_server *server); /* that a handler was called for */

/* A header of the request; NULL when there is none. */
const char *web_header(const struct web_exchange *exchange, const char *name);

/* An argument in the query of the request's URL; NULL when there is none. */
const char *web_argument(const struct web_exchange *exchange, const char *name);

/* For a handler: comes back when the server is told to stop, or after `seconds`. */
void web_stall(struct web_exchange *exchange, double seconds);

/* A listener that answers each connection with these bytes, whatever it is asked, and hangs up; NULL: that
 * accepts none, so that who connects hears nothing. Returns its port; there for as long as the process. */
unsigned raw_server_start(const char *bytes);

/* A port of loopback where nobody listens, for as long as the process. */
unsigned unused_port(void);

#endif
