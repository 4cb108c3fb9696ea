#include "exporter.h"
#include "otlp.h"
#include <base/clock.h>
#include <base/log.h>
#include <base/thread.h>
#include <errno.h>
#include <math.h>
#include <time.h>

enum {
    BATCH_SPANS = 512, /* in one request, as OpenTelemetry's own exporters have it */
    TRIES = 5,         /* to send it */
    NANOSECONDS = 1000000000,
};

static const double GATHER_SECONDS = 1;  /* how long spans wait for others to go with */
static const double PAUSE_MAX = 30;      /* between two tries, which begins with a second */
static const double ABORT_SECONDS = 1.5; /* until an upload that is to end has done so */

/* --- Waiting --------------------------------------------------------------------------------------------*/

static struct timespec timespec_of(double moment)
{
    double whole = floor(moment);
    return (struct timespec){.tv_sec = (time_t)whole, .tv_nsec = (long)((moment - whole) * NANOSECONDS)};
}

static bool is_ending(const struct exporter *exporter)
{
    return isfinite(atomic_load(&exporter->end));
}

/* Until the moment, or until it is posted: false then. */
static bool wait_until(sem_t *semaphore, double moment)
{
    struct timespec until = timespec_of(moment);
    while (sem_clockwait(semaphore, CLOCK_MONOTONIC, &until) != 0)
        if (errno != EINTR)
            return true;
    return false;
}

/* Whatever comes meanwhile, but for the end. */
static void pause_until(struct exporter *exporter, double moment)
{
    while (!is_ending(exporter) && !wait_until(&exporter->wake, moment))
        continue;
}

/* --- A batch --------------------------------------------------------------------------------------------*/

static void drop(struct exporter *exporter, enum trace_drop reason, size_t count)
{
    counter_add(&exporter->stats->dropped[reason], count);
}

/* Moves what there is from the ring to the request. False when there is nothing, or no memory for it: it
 * stays where it is then. */
static bool gather(struct exporter *exporter)
{
    double offset = clock_wall() - clock_monotonic();
    const struct span *span;
    size_t count = 0;
    buffer_clear(&exporter->request);
    bool done = span_ring_peek(&exporter->ring, 0) != NULL && otlp_begin(&exporter->request, &exporter->head);
    while (done && count < BATCH_SPANS && (span = span_ring_peek(&exporter->ring, count)) != NULL) {
        done = otlp_add(&exporter->request, span, offset);
        count++;
    }
    if (!done || !otlp_end(&exporter->request))
        return false;
    span_ring_release(&exporter->ring, count);
    exporter->request_spans = count;
    return true;
}

static void report(struct exporter *exporter, enum upload_result result, const char *why)
{
    struct log_fields fields = {.error = why};
    if (result == UPLOAD_DONE && exporter->failures > 0)
        log_event(WHIPPET_INFO, NULL, "traces are exported to %s again", exporter->endpoint);
    else if (result != UPLOAD_DONE && exporter->failures == 0)
        log_event(WHIPPET_WARNING, &fields,
                  "traces can't be exported to %s: %s; messages are not affected, and "
                  "whippet_trace_spans_dropped_total counts what is lost",
                  exporter->endpoint, result == UPLOAD_AGAIN ? "trying again" : "they are refused");
    exporter->failures = result == UPLOAD_DONE ? 0 : exporter->failures + 1;
}

/* Within its time, and that of the end. */
static enum upload_result send_once(struct exporter *exporter)
{
    struct whippet_failure failure = {0};
    whippet_bytes body = {buffer_begin(&exporter->request), buffer_length(&exporter->request)};
    atomic_store(&exporter->send_until,
                 fmin(clock_monotonic() + exporter->timeout, atomic_load(&exporter->end)));
    if (is_ending(exporter)) /* which may have come in between */
        atomic_store(&exporter->send_until, atomic_load(&exporter->end));
    enum upload_result result =
        exporter->upload(exporter->upload_owner, body, &exporter->send_until, &failure);
    report(exporter, result, failure.text);
    return result;
}

/* Whether another try is worth it, after the pause. */
static bool may_try_again(struct exporter *exporter, unsigned tries)
{
    if (tries == TRIES || is_ending(exporter))
        return false;
    unsigned doublings = exporter->failures < 6 ? exporter->failures - 1 : 5;
    pause_until(exporter, clock_monotonic() + fmin(PAUSE_MAX, (double)(1u << doublings)));
    return true;
}

static bool send_batch(struct exporter *exporter)
{
    enum upload_result result;
    unsigned tries = 0;
    do {
        result = send_once(exporter);
        tries++;
    } while (result == UPLOAD_AGAIN && may_try_again(exporter, tries));
    if (result == UPLOAD_DONE)
        counter_add(&exporter->stats->exported, exporter->request_spans);
    else
        drop(exporter, TRACE_DROP_EXPORT, exporter->request_spans);
    return result == UPLOAD_DONE;
}

/* --- The thread -----------------------------------------------------------------------------------------*/

/* What is left when the end has come, and nobody took it. */
static void drop_rest(struct exporter *exporter)
{
    size_t count = 0;
    while (span_ring_peek(&exporter->ring, count) != NULL)
        count++;
    span_ring_release(&exporter->ring, count);
    drop(exporter, TRACE_DROP_EXPORT, count);
}

/* Sends what there is; at the end only as long as that goes well, and there is time. What came while a batch
 * that was not full was on its way waits for others to go with, like all that comes. */
static void send_all(struct exporter *exporter)
{
    while (clock_monotonic() < atomic_load(&exporter->end) && gather(exporter)) {
        bool sent = send_batch(exporter);
        if (exporter->request_spans < BATCH_SPANS || (!sent && is_ending(exporter)))
            return;
    }
}

static void *run(void *arg)
{
    struct exporter *exporter = arg;
    bool ending;
    do {
        ending = is_ending(exporter);
        send_all(exporter);
        if (!ending)
            wait_until(&exporter->wake, clock_monotonic() + GATHER_SECONDS);
    } while (!ending);
    drop_rest(exporter);
    sem_post(&exporter->ended);
    return NULL;
}

static void destroy_semaphores(struct exporter *exporter)
{
    sem_destroy(&exporter->wake);
    sem_destroy(&exporter->ended);
}

bool exporter_start(struct exporter *exporter)
{
    atomic_store(&exporter->end, INFINITY);
    atomic_store(&exporter->send_until, INFINITY);
    sem_init(&exporter->wake, 0, 0);
    sem_init(&exporter->ended, 0, 0);
    if (thread_start(&exporter->thread, "whippet-trace", run, exporter) == 0)
        return true;
    destroy_semaphores(exporter);
    return false;
}

bool exporter_stop(struct exporter *exporter, double seconds)
{
    double end = clock_monotonic() + seconds;
    atomic_store(&exporter->end, end);
    atomic_store(&exporter->send_until, fmin(end, atomic_load(&exporter->send_until)));
    exporter_wake(exporter);
    if (wait_until(&exporter->ended, end + ABORT_SECONDS))
        return false;
    pthread_join(exporter->thread, NULL);
    destroy_semaphores(exporter);
    return true;
}
