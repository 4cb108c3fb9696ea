#include "postgres_cancel.h"
#include <async/loop.h>
#include <base/memory.h>
#include <stdatomic.h>
#include <whippet/task.h>

static const double patience = 2.0; /* seconds */
static const double pause = 0.01;   /* seconds between two looks whether a thread may be had */

/* PQcancel blocks, and a server that is cut off keeps it for ten seconds (tcp_user_timeout in
 * postgres_target.c). The threads it runs in look up names, too, and must not all wait for it. */
enum {
    CANCELS_MOST = 2
};
static atomic_int cancels;

/* A thread's own, which may come back when the task is long gone. */
struct request {
    const struct postgres_library *library;
    PGcancel *cancel;
};

static void request_run(void *arg)
{
    struct request *request = arg;
    char text[256];
    request->library->cancel(request->cancel, text, sizeof text);
}

static void request_destroy(void *arg)
{
    struct request *request = arg;
    request->library->freeCancel(request->cancel);
    memory_free(request);
}

static void end_turn(void *arg)
{
    request_destroy(arg);
    atomic_fetch_sub(&cancels, 1);
}

/* One of CANCELS_MOST. */
static int take_turn(whippet_task *task)
{
    int error = 0;
    while (error == 0 && atomic_fetch_add(&cancels, 1) >= CANCELS_MOST) {
        atomic_fetch_sub(&cancels, 1);
        error = whippet_sleep(task, pause);
    }
    return error;
}

static int send_request(whippet_task *task, void *request)
{
    int error = take_turn(task);
    if (error != 0) {
        request_destroy(request);
        return error;
    }
    error = loop_offload(task, request_run, request, end_turn);
    if (error != WHIPPET_E_TIMEOUT && error != WHIPPET_E_CANCELLED)
        end_turn(request);
    return error;
}

static int send_in_time(whippet_task *task, void *request)
{
    return whippet_with_timeout(task, patience, send_request, request);
}

void postgres_cancel(whippet_task *task, const struct postgres_library *library, PGconn *pg)
{
    struct request *request = memory_allocate(sizeof *request);
    if (request == NULL)
        return;
    *request = (struct request){.library = library, .cancel = library->getCancel(pg)};
    if (request->cancel != NULL)
        whippet_shield(task, send_in_time, request);
    else
        memory_free(request);
}
