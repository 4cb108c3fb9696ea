#include "http_transfer.h"
#include "http_fields.h"
#include "http_pool.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>

/* --- What comes -----------------------------------------------------------------------------------------*/

static size_t keep(struct http_transfer *transfer, struct buffer *buffer, const char *data, size_t size,
                   size_t limit, enum http_fault too_large)
{
    if (size > limit - buffer_length(buffer))
        transfer->fault = too_large;
    else if (!buffer_append(buffer, data, size))
        transfer->fault = HTTP_STARVED;
    return transfer->fault == HTTP_SOUND ? size : 0;
}

/* Called for each line: those of an informational response and of a redirect, too, which are forgotten. */
static size_t on_header(char *data, size_t one, size_t size, void *owner)
{
    struct http_transfer *transfer = owner;
    (void)one;
    if (size >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        buffer_clear(&transfer->headers);
        transfer->headers_ended = false;
    }
    transfer->headers_ended = transfer->headers_ended || data[0] == '\r' || data[0] == '\n';
    return keep(transfer, &transfer->headers, data, size, transfer->header_limit, HTTP_HEADERS_TOO_LARGE);
}

static size_t on_body(char *data, size_t one, size_t size, void *owner)
{
    struct http_transfer *transfer = owner;
    (void)one;
    return keep(transfer, &transfer->body, data, size, transfer->body_limit, HTTP_BODY_TOO_LARGE);
}

/* --- How it gets there ----------------------------------------------------------------------------------*/

/* Not called where the name is known, or a connection stands. */
static int on_look_up(void *resolver, void *reserved, void *owner)
{
    struct http_transfer *transfer = owner;
    long redirects = 0;
    (void)resolver, (void)reserved;
    /* One that has been answered can't be started again. */
    transfer->library->easy_getinfo(transfer->easy, CURLINFO_REDIRECT_COUNT, &redirects);
    return redirects > 0 || http_pool_may_look_up(transfer->pool, transfer) ? 0 : 1;
}

static int on_connecting(void *owner, curl_socket_t descriptor, curlsocktype purpose)
{
    struct http_transfer *transfer = owner;
    (void)descriptor, (void)purpose;
    http_pool_name_is_known(transfer->pool, transfer);
    return CURL_SOCKOPT_OK;
}

/* --- What is asked --------------------------------------------------------------------------------------*/

/* Options that fail do so for want of memory. */
#define SET(transfer, option, value)                                                                         \
    ((transfer)->library->easy_setopt((transfer)->easy, (option), (value)) == CURLE_OK)

static bool set_method(struct http_transfer *transfer)
{
    const whippet_http_request *request = transfer->request;
    const char *method = http_method(request);
    /* Without this, libcurl would wait for the body of an answer that has none. */
    if (strcmp(method, "HEAD") == 0)
        return SET(transfer, CURLOPT_NOBODY, 1L);
    /* libcurl does without a body where none is said, but then a server would be right to wait for one. */
    bool has_body = request->body.data != NULL || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
                    strcmp(method, "PATCH") == 0;
    if (has_body && !(SET(transfer, CURLOPT_POST, 1L) &&
                      SET(transfer, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len) &&
                      SET(transfer, CURLOPT_POSTFIELDS,
                          request->body.data != NULL ? (const char *)request->body.data : "")))
        return false;
    return SET(transfer, CURLOPT_CUSTOMREQUEST, method);
}

static bool set_security(struct http_transfer *transfer)
{
    const whippet_http_request *request = transfer->request;
    if (request->user != NULL &&
        !(SET(transfer, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) &&
          SET(transfer, CURLOPT_USERNAME, request->user) &&
          SET(transfer, CURLOPT_PASSWORD, request->password != NULL ? request->password : "")))
        return false;
    return (request->ca_file == NULL ||
            (SET(transfer, CURLOPT_CAINFO, request->ca_file) && SET(transfer, CURLOPT_CAPATH, NULL))) &&
           SET(transfer, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
}

double http_connect_timeout(const whippet_http_request *request)
{
    return request->connect_timeout > 0 ? request->connect_timeout : WHIPPET_HTTP_CONNECT_TIMEOUT;
}

static long milliseconds(double seconds)
{
    return (long)ceil(fmin(seconds, 1e6) * 1000);
}

/* QUICK_EXIT: whoever stops while a name is looked up does not wait for the thread that does so. */
static bool set_conduct(struct http_transfer *transfer)
{
    const whippet_http_request *request = transfer->request;
    return SET(transfer, CURLOPT_PROTOCOLS_STR, "http,https") &&
           SET(transfer, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") &&
           SET(transfer, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           SET(transfer, CURLOPT_NOSIGNAL, 1L) && SET(transfer, CURLOPT_QUICK_EXIT, 1L) &&
           SET(transfer, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(http_connect_timeout(request))) &&
           SET(transfer, CURLOPT_FOLLOWLOCATION, request->redirects > 0 ? 1L : 0L) &&
           SET(transfer, CURLOPT_MAXREDIRS, (long)request->redirects) &&
           SET(transfer, CURLOPT_POSTREDIR, (long)CURL_REDIR_POST_ALL);
}

static bool set_callbacks(struct http_transfer *transfer)
{
    return SET(transfer, CURLOPT_PRIVATE, transfer) && SET(transfer, CURLOPT_ERRORBUFFER, transfer->words) &&
           SET(transfer, CURLOPT_RESOLVER_START_FUNCTION, on_look_up) &&
           SET(transfer, CURLOPT_RESOLVER_START_DATA, transfer) &&
           SET(transfer, CURLOPT_SOCKOPTFUNCTION, on_connecting) &&
           SET(transfer, CURLOPT_SOCKOPTDATA, transfer) &&
           SET(transfer, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) &&
           SET(transfer, CURLOPT_HEADERFUNCTION, on_header) && SET(transfer, CURLOPT_HEADERDATA, transfer) &&
           SET(transfer, CURLOPT_WRITEFUNCTION, on_body) && SET(transfer, CURLOPT_WRITEDATA, transfer) &&
           SET(transfer, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)transfer->body_limit);
}

bool http_transfer_open(struct http_transfer *transfer, CURL *easy)
{
    transfer->easy = easy;
    if (easy == NULL)
        return false;
    transfer->fields = http_fields_create(transfer->library, transfer->request, transfer->trace_parent,
                                          transfer->trace_state);
    return transfer->fields != NULL && SET(transfer, CURLOPT_HTTPHEADER, transfer->fields) &&
           SET(transfer, CURLOPT_URL, transfer->request->url) && set_callbacks(transfer) &&
           set_conduct(transfer) && set_security(transfer) && set_method(transfer);
}

/* --- What came of it ------------------------------------------------------------------------------------*/

static const struct {
    CURLcode code;
    int error;
} MEANINGS[] = {
    {CURLE_COULDNT_RESOLVE_HOST, WHIPPET_E_UNAVAILABLE},
    {CURLE_COULDNT_RESOLVE_PROXY, WHIPPET_E_UNAVAILABLE},
    {CURLE_COULDNT_CONNECT, WHIPPET_E_UNAVAILABLE},
    {CURLE_OPERATION_TIMEDOUT, WHIPPET_E_TIMEOUT},
    {CURLE_OUT_OF_MEMORY, WHIPPET_E_MEMORY},
    {CURLE_URL_MALFORMAT, WHIPPET_E_INVALID},
    {CURLE_SSL_CACERT_BADFILE, WHIPPET_E_INVALID},
    {CURLE_PEER_FAILED_VERIFICATION, WHIPPET_E_REFUSED},
    {CURLE_GOT_NOTHING, WHIPPET_E_CLOSED},
    {CURLE_PARTIAL_FILE, WHIPPET_E_CLOSED},
    {CURLE_SEND_ERROR, WHIPPET_E_CLOSED},
    {CURLE_RECV_ERROR, WHIPPET_E_CLOSED},
    {CURLE_FILESIZE_EXCEEDED, WHIPPET_E_LIMIT},
    {CURLE_TOO_MANY_REDIRECTS, WHIPPET_E_LIMIT},
};

static int meaning_of(CURLcode code)
{
    for (size_t i = 0; i < sizeof MEANINGS / sizeof MEANINGS[0]; i++) {
        if (MEANINGS[i].code == code)
            return MEANINGS[i].error;
    }
    return WHIPPET_E_PROTOCOL;
}

static int conclude_fault(struct http_transfer *transfer, enum http_fault fault)
{
    switch (fault) {
    case HTTP_BODY_TOO_LARGE:
        snprintf(transfer->words, sizeof transfer->words, "the response is larger than %zu bytes",
                 transfer->body_limit);
        return WHIPPET_E_LIMIT;
    case HTTP_HEADERS_TOO_LARGE:
        snprintf(transfer->words, sizeof transfer->words, "the response's headers are larger than %zu bytes",
                 transfer->header_limit);
        return WHIPPET_E_LIMIT;
    default: snprintf(transfer->words, sizeof transfer->words, "out of memory"); return WHIPPET_E_MEMORY;
    }
}

/* A line of headers of over 100 KiB (DYN_HTTP_REQUEST) is "out of memory" to libcurl, and since 8.6
 * CURLE_TOO_LARGE, which has no name here yet. */
static bool is_header_too_long(const struct http_transfer *transfer, CURLcode code)
{
    enum {
        TOO_LARGE = 100
    };
    bool is_within = buffer_length(&transfer->headers) > 0 && !transfer->headers_ended;
    return is_within && (code == CURLE_OUT_OF_MEMORY || (int)code == TOO_LARGE);
}

int http_transfer_conclude(struct http_transfer *transfer, CURLcode code)
{
    const struct curl_library *library = transfer->library;
    long status = 0, system_error = 0;
    library->easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    library->easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &system_error);
    transfer->status = (int)status;
    if (transfer->fault != HTTP_SOUND)
        return conclude_fault(transfer, transfer->fault);
    if (is_header_too_long(transfer, code))
        return conclude_fault(transfer, HTTP_HEADERS_TOO_LARGE);
    if (code == CURLE_FILESIZE_EXCEEDED)
        return conclude_fault(transfer, HTTP_BODY_TOO_LARGE);
    if (code == CURLE_OK && transfer->headers_ended)
        return 0;
    if (code == CURLE_OK) {
        snprintf(transfer->words, sizeof transfer->words,
                 "the connection ended within the response's headers");
        return WHIPPET_E_CLOSED;
    }
    if (transfer->words[0] == '\0')
        snprintf(transfer->words, sizeof transfer->words, "%s", library->easy_strerror(code));
    return code == CURLE_COULDNT_CONNECT && system_error == ECONNREFUSED ? WHIPPET_E_REFUSED
                                                                         : meaning_of(code);
}

/* --- Coming and going -----------------------------------------------------------------------------------*/

void http_transfer_init(struct http_transfer *transfer, const struct curl_library *library,
                        const whippet_http_request *request)
{
    *transfer = (struct http_transfer){
        .library = library,
        .request = request,
        .body_limit = request->body_limit > 0 ? request->body_limit : WHIPPET_HTTP_BODY_LIMIT,
        .header_limit = request->header_limit > 0 ? request->header_limit : WHIPPET_HTTP_HEADER_LIMIT,
    };
    buffer_init(&transfer->headers);
    buffer_init(&transfer->body);
    list_init(&transfer->link);
    list_init(&transfer->lookup);
    waiter_init(&transfer->done);
    waiter_init(&transfer->stopped);
}

CURL *http_transfer_close(struct http_transfer *transfer)
{
    CURL *easy = transfer->easy;
    transfer->library->slist_free_all(transfer->fields);
    transfer->easy = NULL;
    transfer->fields = NULL;
    return easy;
}

void http_transfer_destroy(struct http_transfer *transfer)
{
    buffer_destroy(&transfer->headers);
    buffer_destroy(&transfer->body);
}

struct http_transfer *http_transfer_of(const struct curl_library *library, CURL *easy)
{
    char *transfer = NULL;
    if (easy == NULL || library->easy_getinfo(easy, CURLINFO_PRIVATE, &transfer) != CURLE_OK)
        return NULL;
    return (struct http_transfer *)(void *)transfer;
}
