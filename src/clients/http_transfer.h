/* One request and its response, as libcurl sees them: an "easy handle". Its functions are called on the
 * loop's own stack, since nobody knows how much of one libcurl and TLS take; but for init and destroy. */
#ifndef CLIENTS_HTTP_TRANSFER_H
#define CLIENTS_HTTP_TRANSFER_H

#include <async/task.h>
#include <base/buffer.h>
#include <base/list.h>
#include <libcurl/library.h>
#include <whippet/http.h>

/* Why our own callbacks ended a transfer. */
enum http_fault {
    HTTP_SOUND,
    HTTP_NAME_IS_ASKED, /* somebody else looks its name up just now: it is to be started again */
    HTTP_STARVED,       /* of memory */
    HTTP_BODY_TOO_LARGE,
    HTTP_HEADERS_TOO_LARGE,
};

struct http_pool;

/* On the stack of the task that waits for it. */
struct http_transfer {
    const struct curl_library *library;
    const whippet_http_request *request; /* borrowed */
    const char *trace_parent;            /* headers that go along; borrowed, NULL: none */
    const char *trace_state;
    CURL *easy;                /* owned, while it runs; else NULL */
    struct curl_slist *fields; /* owned, likewise */
    size_t body_limit;
    size_t header_limit;

    struct buffer headers; /* of the last response */
    bool headers_ended;    /* their last line has come, which libcurl does not insist on */
    struct buffer body;
    int status; /* 0: none came */
    enum http_fault fault;
    char words[CURL_ERROR_SIZE]; /* why it failed; "": it did not, or libcurl did not say */

    struct list link;   /* the pool's */
    struct list lookup; /* among those that look their name up */
    struct http_pool *pool;
    struct waiter done;    /* woken with 0 or an error */
    struct waiter stopped; /* woken when it was stopped before that */
};

/* Seconds that the connection may take. */
double http_connect_timeout(const whippet_http_request *request);

void http_transfer_init(struct http_transfer *transfer, const struct curl_library *library,
                        const whippet_http_request *request);
void http_transfer_destroy(struct http_transfer *transfer);

/* Fills the easy handle with the request; it is the transfer's now, until http_transfer_close. False when
 * memory is short, and when there is no handle. */
bool http_transfer_open(struct http_transfer *transfer, CURL *easy);

/* The one whose easy handle it is; NULL for libcurl's own. */
struct http_transfer *http_transfer_of(const struct curl_library *library, CURL *easy);

/* What libcurl's word comes to, with `status` and `words` filled in: 0 or an error. */
int http_transfer_conclude(struct http_transfer *transfer, CURLcode code);

/* Takes the easy handle, which belongs to no multi handle any more, out of the transfer. The caller's; NULL
 * when there was none. */
CURL *http_transfer_close(struct http_transfer *transfer);

#endif
