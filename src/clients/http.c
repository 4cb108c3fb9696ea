/* whippet_http: the task's side of a request. */
#include "http_fields.h"
#include "http_pool.h"
#include "http_words.h"
#include <base/bytes.h>
#include <math.h>
#include <stdio.h>
#include <whippet/trace.h>

/* --- Before ---------------------------------------------------------------------------------------------*/

static void load_library(void *arg)
{
    struct whippet_failure unread;
    (void)arg;
    curl_library_load(&unread);
}

/* NULL with the failure filled. Suspends the first time. */
static const struct curl_library *await_library(whippet_task *task, struct whippet_failure *failure)
{
    if (!curl_library_is_loaded()) {
        int error = loop_offload(task, load_library, NULL, NULL);
        if (error != 0) {
            failure_set(failure, error, "loading libcurl: %s", whippet_error_text(error));
            return NULL;
        }
    }
    return curl_library_load(failure);
}

static int check_request(const whippet_task *task, const whippet_http_request *request,
                         struct whippet_failure *failure)
{
    if (loop_of_task(task) == NULL)
        return failure_set(failure, WHIPPET_E_UNAVAILABLE, "there is no event loop");
    if (task_scheduler(task)->running != task)
        return failure_set(failure, WHIPPET_E_INVALID, "the task is not the one that runs");
    if (request->url == NULL)
        return failure_set(failure, WHIPPET_E_INVALID, "the request has no URL");
    if (task_struck(task) != 0)
        return failure_set(failure, task_struck(task), "%s", whippet_error_text(task_struck(task)));
    return http_fields_check(request, failure);
}

/* Everything that can fail before a transfer; apart from whippet_http, to have the failure's text off the
 * stack afterwards. 0 with `*pool` set. */
__attribute__((noinline)) static int prepare(whippet_task *task, const whippet_http_request *request,
                                             whippet_http_response *response, struct http_pool **pool,
                                             const struct curl_library **library)
{
    struct whippet_failure failure = {0};
    int error = check_request(task, request, &failure);
    if (error == 0) {
        *library = await_library(task, &failure);
        error = failure.error;
    }
    if (error == 0) {
        *pool = http_pool_of(loop_of_task(task), *library);
        if (*pool == NULL)
            error = failure_set(&failure, WHIPPET_E_MEMORY, "out of memory");
    }
    if (error != 0)
        response->error = http_words(task, request, error, failure.text);
    return error;
}

/* --- Meanwhile ------------------------------------------------------------------------------------------*/

/* Until the end, but no longer than may be waited for the connection while another request looks the name
 * up: libcurl, which else sees to that, does not know of this one. */
static int await_done(whippet_task *task, struct http_transfer *transfer, double now)
{
    static const char activity[] = "waiting for an HTTP response";
    const whippet_http_request *request = transfer->request;
    double until = request->timeout > 0 ? now + request->timeout : INFINITY;
    double to_connect = now + http_connect_timeout(request);
    int error = waiter_wait(task, &transfer->done, fmin(until, to_connect), activity);
    if (error == WHIPPET_E_TIMEOUT && task_struck(task) != 0)
        return task_struck(task);
    if (error != WHIPPET_E_TIMEOUT || transfer->done.woken || to_connect >= until)
        return error;
    if (transfer->easy != NULL)
        return waiter_wait(task, &transfer->done, until, activity);
    snprintf(transfer->words, sizeof transfer->words, "its name was not looked up within %g s",
             http_connect_timeout(request));
    return error;
}

/* Returns what became of it: 0 or an error. */
static int await_transfer(whippet_task *task, struct http_pool *pool, struct http_transfer *transfer)
{
    double now = scheduler_moment(task_scheduler(task));
    http_pool_start(pool, transfer);
    int error = await_done(task, transfer, now);
    if (transfer->done.woken)
        return transfer->done.result;
    http_pool_stop(pool, transfer);
    waiter_wait_shielded(task, &transfer->stopped, "ending an HTTP request");
    return error;
}

/* --- After ----------------------------------------------------------------------------------------------*/

/* A copy in the task's memory, with a NUL at its end. False when memory is short. */
static bool give(whippet_task *task, struct buffer *buffer, whippet_bytes *copy)
{
    size_t length = buffer_length(buffer);
    char *memory = whippet_alloc(task, length + 1);
    if (memory == NULL)
        return false;
    if (length > 0)
        memcpy(memory, buffer_begin(buffer), length);
    *copy = bytes_of(memory, length);
    return true;
}

static int fill_response(whippet_task *task, struct http_transfer *transfer, int error,
                         whippet_http_response *response)
{
    const char *words = transfer->words;
    response->status = transfer->status;
    if (error == 0 && !(give(task, &transfer->headers, &response->headers) &&
                        give(task, &transfer->body, &response->body))) {
        error = WHIPPET_E_MEMORY;
        words = "out of memory";
    }
    if (error != 0)
        response->error = http_words(task, transfer->request, error, words);
    return error;
}

int whippet_http(whippet_task *task, const whippet_http_request *request, whippet_http_response *response)
{
    struct http_transfer transfer;
    struct http_pool *pool = NULL;
    const struct curl_library *library = NULL;
    *response = (whippet_http_response){.error = ""};
    int error = prepare(task, request, response, &pool, &library);
    if (error != 0)
        return error;
    http_transfer_init(&transfer, library, request);
    transfer.trace_parent = whippet_trace_parent(task);
    transfer.trace_state = whippet_trace_state(task);
    error = await_transfer(task, pool, &transfer);
    error = fill_response(task, &transfer, error, response);
    http_transfer_destroy(&transfer);
    return error;
}
