/* Posts each message to an endpoint. What the endpoint sees, and what its answer means, is in README.md
 * beside this file. */
#include "signature.h"
#include "template.h"
#include <retry_after.h>
#include <secret_file.h>
#include <stdlib.h>
#include <string.h>
#include <whippet/processor.h>

static const whippet_option options[] = {
    {
        .name = "url",
        .type = WHIPPET_OPTION_STRING,
        .required = true,
        .help = "the endpoint, http:// or https://",
    },
    {
        .name = "method",
        .type = WHIPPET_OPTION_STRING,
        .default_value = "POST",
        .help = "how the message is sent",
    },
    {
        .name = "content_type",
        .type = WHIPPET_OPTION_STRING,
        .help = "the header Content-Type; without it, the message's own, else application/octet-stream",
    },
    {
        .name = "headers",
        .type = WHIPPET_OPTION_MAP,
        .help = "further headers; {message_id}, {routing_key}, {header.NAME} and the like stand for the "
                "message's",
    },
    {
        .name = "secret_file",
        .type = WHIPPET_OPTION_STRING,
        .help = "a file with the secret that the body is signed with (HMAC-SHA256)",
    },
    {
        .name = "signature_header",
        .type = WHIPPET_OPTION_STRING,
        .default_value = "X-Hub-Signature-256",
        .help = "the header that carries the signature, \"sha256=<hexadecimal>\"",
    },
    {
        .name = "timeout",
        .type = WHIPPET_OPTION_DURATION,
        .default_value = "30s",
        .help = "for the whole answer; the queue's timeout ends the attempt in any case",
    },
    {
        .name = "connect_timeout",
        .type = WHIPPET_OPTION_DURATION,
        .default_value = "10s",
        .help = "until the connection stands, TLS included",
    },
    {
        .name = "response_limit",
        .type = WHIPPET_OPTION_SIZE,
        .default_value = "1MiB",
        .help = "how large an answer may be",
    },
    {
        .name = "ca_file",
        .type = WHIPPET_OPTION_STRING,
        .help = "certificates (PEM) that are trusted instead of the system's",
    },
    {
        .name = "redirects",
        .type = WHIPPET_OPTION_INTEGER,
        .default_value = "0",
        .help = "how many redirects are followed, with the same method and body",
    },
    {.name = NULL},
};

enum {
    OWN_HEADERS = 2,     /* Content-Type and the signature */
    EXCERPT_LIMIT = 300, /* bytes of an answer that go into the reason */
    MOST_REDIRECTS = 100,
    TOO_MANY_REQUESTS = 429,
};

/* Of one queue. */
struct settings {
    whippet_http_request request; /* what is the same for all messages */
    const char *content_type;     /* borrowed; NULL: the message's */
    const char *const *headers;   /* names and templates by turns; borrowed */
    size_t header_count;
    const char *signature_header; /* borrowed */
    char *secret;                 /* owned; NULL: nothing is signed */
};

/* --- Settings -------------------------------------------------------------------------------------------*/

static const char *optional_string(const whippet_settings *given, const char *name)
{
    const char *text = whippet_setting_string(given, name);
    return *text != '\0' ? text : NULL;
}

static bool read_limits(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    int64_t redirects = whippet_setting_integer(given, "redirects");
    whippet_http_request *request = &settings->request;
    request->timeout = whippet_setting_duration(given, "timeout");
    request->connect_timeout = whippet_setting_duration(given, "connect_timeout");
    request->body_limit = whippet_setting_size(given, "response_limit");
    request->redirects = (unsigned)redirects;
    if (redirects >= 0 && redirects <= MOST_REDIRECTS)
        return true;
    whippet_fail(failure, "redirects: expected 0 to %d", MOST_REDIRECTS);
    return false;
}

static bool read_headers(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    size_t count;
    settings->content_type = optional_string(given, "content_type");
    settings->signature_header = whippet_setting_string(given, "signature_header");
    settings->headers = whippet_setting_strings(given, "headers", &count);
    settings->header_count = count / 2;
    for (size_t i = 0; i < settings->header_count; i++) {
        if (!template_check(settings->headers[2 * i + 1], settings->headers[2 * i], failure))
            return false;
    }
    return true;
}

/* The request with the headers as they are written, holes and all: whether it could be sent. */
static bool check_request(const struct settings *settings, whippet_failure *failure)
{
    whippet_http_request request = settings->request;
    whippet_http_header *headers = calloc(settings->header_count + OWN_HEADERS, sizeof *headers);
    if (headers == NULL) {
        whippet_fail(failure, "out of memory");
        return false;
    }
    for (size_t i = 0; i < settings->header_count; i++)
        headers[i] = (whippet_http_header){settings->headers[2 * i], settings->headers[2 * i + 1]};
    headers[settings->header_count] = (whippet_http_header){"Content-Type", settings->content_type};
    headers[settings->header_count + 1] = (whippet_http_header){settings->signature_header, ""};
    request.headers = headers;
    request.header_count = settings->header_count + OWN_HEADERS;
    int error = whippet_http_check(&request, failure);
    free(headers);
    return error == 0;
}

static bool read_settings(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    const char *secret_file = optional_string(given, "secret_file");
    settings->request = (whippet_http_request){
        .url = whippet_setting_string(given, "url"),
        .method = whippet_setting_string(given, "method"),
        .ca_file = optional_string(given, "ca_file"),
    };
    if (!read_limits(settings, given, failure) || !read_headers(settings, given, failure) ||
        !check_request(settings, failure))
        return false;
    if (secret_file == NULL)
        return true;
    settings->secret = secret_file_read("secret_file", secret_file, failure);
    return settings->secret != NULL;
}

static int setup(const whippet_settings *given, void **state, whippet_failure *failure)
{
    struct settings *settings = calloc(1, sizeof *settings);
    if (settings == NULL) {
        whippet_fail(failure, "out of memory");
        return -1;
    }
    if (!read_settings(settings, given, failure)) {
        free(settings);
        return -1;
    }
    *state = settings;
    return 0;
}

static void teardown(void *state)
{
    struct settings *settings = state;
    secret_file_destroy(settings->secret);
    free(settings);
}

/* --- The request ----------------------------------------------------------------------------------------*/

/* A header of the message's; one that comes out empty is left out. False when memory is short. */
static bool fill_header(whippet_task *task, const whippet_message *message, const char *name,
                        const char *template, whippet_http_header *header)
{
    const char *value = template_fill(task, template, message);
    *header = (whippet_http_header){name, value != NULL && *value != '\0' ? value : NULL};
    return value != NULL;
}

static bool fill_content_type(whippet_task *task, const struct settings *settings,
                              const whippet_message *message, whippet_http_header *header)
{
    bool is_the_messages = settings->content_type == NULL && whippet_content_type(message).len > 0;
    const char *otherwise =
        settings->content_type != NULL ? settings->content_type : "application/octet-stream";
    *header = (whippet_http_header){"Content-Type", otherwise};
    return !is_the_messages || fill_header(task, message, "Content-Type", "{content_type}", header);
}

/* 0, or the error of an await. */
static int fill_signature(whippet_task *task, const struct settings *settings, const whippet_message *message,
                          whippet_http_header *header)
{
    *header = (whippet_http_header){settings->signature_header, NULL};
    if (settings->secret == NULL)
        return 0;
    char *signature = whippet_alloc(task, SIGNATURE_SIZE);
    header->value = signature;
    return signature != NULL ? signature_make(task, settings->secret, whippet_body(message), signature)
                             : WHIPPET_E_MEMORY;
}

/* Fills in what differs from message to message. 0, or an error. */
static int fill_request(whippet_task *task, const struct settings *settings, const whippet_message *message,
                        whippet_http_request *request)
{
    size_t count = settings->header_count;
    whippet_http_header *headers = whippet_alloc(task, (count + OWN_HEADERS) * sizeof *headers);
    bool filled = headers != NULL && fill_content_type(task, settings, message, &headers[count]);
    for (size_t i = 0; filled && i < count; i++)
        filled =
            fill_header(task, message, settings->headers[2 * i], settings->headers[2 * i + 1], &headers[i]);
    if (!filled)
        return WHIPPET_E_MEMORY;
    *request = settings->request;
    request->headers = headers;
    request->header_count = count + OWN_HEADERS;
    request->body = whippet_body(message);
    if (request->body.data == NULL)
        request->body.data = "";
    return fill_signature(task, settings, message, &headers[count + 1]);
}

/* --- The answer -----------------------------------------------------------------------------------------*/

/* The first line of what the endpoint says about it. */
static whippet_bytes excerpt(whippet_bytes body)
{
    const char *data = body.data;
    size_t length = 0;
    while (length < body.len && length < EXCERPT_LIMIT && data[length] != '\n' && data[length] != '\r' &&
           data[length] != '\0')
        length++;
    return (whippet_bytes){data, length};
}

/* Up to the query, in which there may be secrets. */
static whippet_bytes without_query(whippet_bytes url)
{
    const char *data = url.data;
    size_t length = 0;
    while (length < url.len && data[length] != '?' && data[length] != '#')
        length++;
    return (whippet_bytes){data, length};
}

/* Whether the endpoint would say the same again. */
static bool is_final(int status)
{
    return status / 100 == 3 || (status / 100 == 4 && status != TOO_MANY_REQUESTS);
}

static whippet_verdict verdict_of_status(whippet_task *task, const whippet_http_response *response)
{
    int status = response->status;
    whippet_bytes text = excerpt(response->body);
    const char *colon = text.len > 0 ? ": " : "";
    if (status / 100 == 2)
        return WHIPPET_ACK;
    if (status / 100 == 3) {
        whippet_bytes place = without_query(whippet_http_response_header(response, "Location"));
        return whippet_reject(task, "status %d: it has moved to %.*s; change \"url\", or allow \"redirects\"",
                              status, (int)place.len, place.len > 0 ? (const char *)place.data : "");
    }
    if (is_final(status))
        return whippet_reject(task, "status %d%s%.*s", status, colon, (int)text.len, (const char *)text.data);
    double seconds = retry_after_seconds(whippet_http_response_header(response, "Retry-After"), time(NULL));
    return whippet_retry_after(task, seconds, "status %d%s%.*s", status, colon, (int)text.len,
                               (const char *)text.data);
}

/* What can't be sent as it is never can. An answer that is too large to be read still has its status. */
static whippet_verdict verdict_of_error(whippet_task *task, int error, const whippet_http_response *response)
{
    bool is_limit = error == WHIPPET_E_LIMIT;
    if (is_limit && response->status / 100 == 2) {
        whippet_log(task, WHIPPET_DEBUG, "done, with status %d: %s", response->status, response->error);
        return WHIPPET_ACK;
    }
    if (error == WHIPPET_E_INVALID || (is_limit && is_final(response->status)))
        return whippet_reject(task, "%s", response->error);
    return whippet_retry_later(task, "%s", response->error);
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    const struct settings *settings = state;
    whippet_http_request request;
    whippet_http_response response;
    int error = fill_request(task, settings, message, &request);
    if (error != 0)
        return whippet_retry_later(task, "%s", whippet_error_text(error));
    error = whippet_http(task, &request, &response);
    return error != 0 ? verdict_of_error(task, error, &response) : verdict_of_status(task, &response);
}

WHIPPET_PROCESSOR(.name = "http", .version = "1.0", .summary = "posts each message to an HTTP endpoint",
                  .options = options, .setup = setup, .process = process, .teardown = teardown);
