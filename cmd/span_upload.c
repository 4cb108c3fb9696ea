#include "span_upload.h"
#include <base/buffer.h>
#include <base/bytes.h>
#include <base/clock.h>
#include <base/memory.h>
#include <libcurl/library.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    TOO_MANY_REQUESTS = 429,
    BAD_GATEWAY = 502,
    UNAVAILABLE = 503,
    GATEWAY_TIMEOUT = 504,
    ANSWER_MAX = 16 * 1024, /* bytes that are read of one */
};

struct span_uploader {
    const struct curl_library *library;
    CURL *curl;                 /* keeps its connection */
    struct curl_slist *headers; /* of each request */
    struct buffer answer;       /* its body */
};

/* --- Preparing ------------------------------------------------------------------------------------------*/

static bool add_header(struct span_uploader *uploader, const char *line)
{
    struct curl_slist *longer = uploader->library->slist_append(uploader->headers, line);
    if (longer != NULL)
        uploader->headers = longer;
    return longer != NULL;
}

static bool add_pair(struct span_uploader *uploader, const struct trace_pair *pair)
{
    size_t size = strlen(pair->name) + strlen(pair->value) + sizeof ": ";
    char *line = memory_allocate(size);
    if (line == NULL)
        return false;
    snprintf(line, size, "%s: %s", pair->name, pair->value);
    bool added = add_header(uploader, line);
    memory_free(line);
    return added;
}

static bool add_headers(struct span_uploader *uploader, const struct trace_pairs *pairs)
{
    /* Without the last, libcurl asks beforehand whether a large body is welcome. */
    bool added = add_header(uploader, "Content-Type: application/json") && add_header(uploader, "Expect:");
    for (size_t i = 0; added && i < pairs->count; i++)
        added = add_pair(uploader, &pairs->items[i]);
    return added;
}

/* What does not fit is left out: an answer that says something is short. */
static size_t take_answer(char *data, size_t size, size_t count, void *owner)
{
    struct buffer *answer = owner;
    if (buffer_length(answer) + size * count <= ANSWER_MAX)
        buffer_append(answer, data, size * count);
    return size * count;
}

/* Asked at least once a second. Other than 0: give it up. */
static int is_over(void *until, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return clock_monotonic() >= atomic_load((const _Atomic double *)until);
}

static void set_options(struct span_uploader *uploader, const char *url)
{
    const struct curl_library *library = uploader->library;
    CURL *curl = uploader->curl;
    library->easy_setopt(curl, CURLOPT_URL, url);
    library->easy_setopt(curl, CURLOPT_POST, 1L);
    library->easy_setopt(curl, CURLOPT_HTTPHEADER, uploader->headers);
    library->easy_setopt(curl, CURLOPT_USERAGENT, "whippet/" WHIPPET_VERSION);
    library->easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    library->easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    library->easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    library->easy_setopt(curl, CURLOPT_WRITEDATA, &uploader->answer);
    library->easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, is_over);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A resolver that hangs is not waited for. */
    library->easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
#endif
}

struct span_uploader *span_uploader_create(const struct trace_settings *settings,
                                           struct whippet_failure *failure)
{
    const struct curl_library *library = curl_library_load(failure);
    if (library == NULL)
        return NULL;
    struct span_uploader *uploader = memory_allocate_zeroed(sizeof *uploader);
    if (uploader != NULL) {
        uploader->library = library;
        buffer_init(&uploader->answer);
        uploader->curl = library->easy_init();
        if (uploader->curl != NULL && add_headers(uploader, &settings->headers)) {
            set_options(uploader, settings->endpoint);
            return uploader;
        }
    }
    span_uploader_destroy(uploader);
    failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    return NULL;
}

void span_uploader_destroy(struct span_uploader *uploader)
{
    if (uploader == NULL)
        return;
    uploader->library->easy_cleanup(uploader->curl);
    uploader->library->slist_free_all(uploader->headers);
    buffer_destroy(&uploader->answer);
    memory_free(uploader);
}

/* --- Sending --------------------------------------------------------------------------------------------*/

/* What the Retry-After of an answer says, in seconds; 0 where there is none. */
static double asked_pause(const struct span_uploader *uploader)
{
    curl_off_t seconds = 0;
    uploader->library->easy_getinfo(uploader->curl, CURLINFO_RETRY_AFTER, &seconds);
    return (double)seconds;
}

/* What OTLP says of each status (https://opentelemetry.io/docs/specs/otlp/#otlphttp-response). */
static enum upload_result judge(const struct span_uploader *uploader, struct upload_answer *answer)
{
    long status = 0;
    uploader->library->easy_getinfo(uploader->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200 && status < 300) {
        const struct buffer *body = &uploader->answer;
        upload_answer_read(bytes_of(buffer_begin(body), buffer_length(body)), answer);
        return UPLOAD_DONE;
    }
    failure_set(&answer->failure, WHIPPET_E_REFUSED, "the collector answers with status %ld", status);
    if (status == TOO_MANY_REQUESTS || status == UNAVAILABLE)
        answer->pause = asked_pause(uploader);
    bool is_passing = status == TOO_MANY_REQUESTS || status == BAD_GATEWAY || status == UNAVAILABLE ||
                      status == GATEWAY_TIMEOUT;
    return is_passing ? UPLOAD_AGAIN : UPLOAD_REFUSED;
}

enum upload_result span_uploader_send(void *owner, whippet_bytes body, const _Atomic double *until,
                                      struct upload_answer *answer)
{
    struct span_uploader *uploader = owner;
    const struct curl_library *library = uploader->library;
    char words[CURL_ERROR_SIZE] = "";
    double seconds = fmax(0.001, atomic_load(until) - clock_monotonic());
    buffer_clear(&uploader->answer);
    library->easy_setopt(uploader->curl, CURLOPT_POSTFIELDS, body.data);
    library->easy_setopt(uploader->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    library->easy_setopt(uploader->curl, CURLOPT_TIMEOUT_MS, (long)ceil(seconds * 1000));
    library->easy_setopt(uploader->curl, CURLOPT_XFERINFODATA, until);
    library->easy_setopt(uploader->curl, CURLOPT_ERRORBUFFER, words);
    CURLcode code = library->easy_perform(uploader->curl);
    library->easy_setopt(uploader->curl, CURLOPT_ERRORBUFFER, NULL);
    if (code != CURLE_OK) {
        failure_set(&answer->failure, WHIPPET_E_UNAVAILABLE, "%s",
                    *words != '\0' ? words : library->easy_strerror(code));
        return UPLOAD_AGAIN;
    }
    return judge(uploader, answer);
}
