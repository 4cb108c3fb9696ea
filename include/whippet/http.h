/**
 * @file
 * Asking an HTTP server as an await.
 *
 *     whippet_http_request request = {.url = "https://shop.example/orders", .body = whippet_body(message)};
 *     whippet_http_response response;
 *     int error = whippet_http(task, &request, &response);
 *     if (error != 0)
 *         return whippet_retry_later(task, "%s", response.error);
 *     return response.status == 200 ? WHIPPET_ACK : whippet_reject(task, "status %d", response.status);
 *
 * Connections are kept and used again by all the tasks of a worker (`run: loop`), a thread or a child
 * process. libcurl does the work: it is loaded when it is first needed, and follows the environment's
 * http_proxy, https_proxy and no_proxy. HTTP/1.1 is spoken; TLS certificates and names are always verified.
 */
#ifndef WHIPPET_HTTP_H
#define WHIPPET_HTTP_H

#include <whippet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What holds where a request says nothing. */
enum {
    WHIPPET_HTTP_BODY_LIMIT = 1024 * 1024, /**< bytes of a response's body */
    WHIPPET_HTTP_HEADER_LIMIT = 64 * 1024, /**< bytes of a response's headers */
    WHIPPET_HTTP_CONNECT_TIMEOUT = 10,     /**< seconds */
};

/** A header to send. */
typedef struct whippet_http_header {
    const char *name;  /**< a token (RFC 9110, section 5.1), such as "Content-Type" */
    const char *value; /**< without line breaks; NULL: the header is left out */
} whippet_http_header;

/** What to ask. Zeroed members are left out; everything is borrowed until whippet_http returns. */
typedef struct whippet_http_request {
    const char *url;                    /**< "http://…" or "https://…" */
    const char *method;                 /**< NULL: POST with a body, else GET */
    const whippet_http_header *headers; /**< those to send besides Host, Content-Length and the like */
    size_t header_count;                /**< how many there are */
    whippet_bytes body;                 /**< data NULL: none. With HEAD none is sent */
    const char *user;                   /**< for basic authentication, with `password`; NULL: none */
    const char *password;               /**< NULL: "" */
    const char *ca_file;    /**< certificates in PEM that are trusted instead of the system's; NULL: those */
    double timeout;         /**< seconds for all of it; 0: as long as the task has. The task's deadline counts
                                 in any case */
    double connect_timeout; /**< seconds until the connection stands, TLS included; 0: 10 */
    size_t body_limit;      /**< bytes of a response's body; 0: 1 MiB */
    size_t header_limit;    /**< bytes of a response's headers; 0: 64 KiB */
    unsigned redirects;     /**< how many are followed, with the same method; 0: a redirect is a response */
} whippet_http_request;

/** What came back. The memory belongs to the task, and is freed when the message is done. */
typedef struct whippet_http_response {
    int status;            /**< 200, 404 …; 0: none came */
    whippet_bytes body;    /**< with a NUL behind its end, which does not count */
    whippet_bytes headers; /**< as they came, a line each; see whippet_http_response_header */
    const char *error;     /**< why whippet_http failed, in words for a person, with method and URL (but for
                                password and query); "" when it did not. Never NULL */
} whippet_http_response;

/**
 * Sends the request and awaits the whole response. The headers traceparent and tracestate of the message that
 * is being processed go along, unless the request has a traceparent of its own
 * (https://www.w3.org/TR/trace-context/). When the await is cut short the transfer ends, and its connection
 * with it.
 *
 * Returns 0 when a response has come, whatever its status. Else, with response->error in words:
 * TIMEOUT: `timeout`, `connect_timeout` or the task's deadline; CANCELLED;
 * REFUSED: nobody listens there, or its certificate is not to be trusted;
 * UNAVAILABLE: its name is not known, it can't be reached, or there is no libcurl;
 * CLOSED: the connection ended before the response did; it may have done what was asked, or not;
 * PROTOCOL: what answers does not speak HTTP, or TLS;
 * LIMIT: the response is larger than allowed, or there were too many redirects; `status` tells the last one;
 * INVALID: the request can't be sent as it is; MEMORY.
 */
WHIPPET_API int whippet_http(whippet_task *task, const whippet_http_request *request,
                             whippet_http_response *response);

/** The value of the response's header `name`, whatever its case, without the space around it; of several, the
 * first. data is NULL when there is none. Does not suspend. */
WHIPPET_API whippet_bytes whippet_http_response_header(const whippet_http_response *response,
                                                       const char *name);

/**
 * For setup(): whether such a request could be sent at all: libcurl is there, the URL, the method and the
 * headers are in order, the CA file can be read. Nothing is sent. `request` NULL asks for libcurl alone. 0,
 * or an error with the failure filled. Does not suspend; blocks for some milliseconds, to load libcurl.
 */
WHIPPET_API int whippet_http_check(const whippet_http_request *request, whippet_failure *failure);

#ifdef __cplusplus
}
#endif

#endif
