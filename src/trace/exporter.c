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
static const double ASKED_MAX = 300;     /* of one that the collector asks for */
static const double SAY_SECONDS = 60;    /* between two words about spans that are rejected */
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

/* Once a minute at most, as the collector's words may differ each time. */
static void report_objection(struct exporter *exporter, const char *words)
{
    struct log_fields fields = {.error = words};
    double now = clock_monotonic();
    exporter->unsaid_rejected += exporter->request_rejected;
    if (exporter->objection_at > 0 && now - exporter->objection_at < SAY_SECONDS)
        return;
    if (exporter->unsaid_rejected > 0)
        log_event(
            WHIPPET_WARNING, &fields,
            "the collector at %s rejects spans, %llu so far, and takes others; messages are not affected, "
            "and whippet_trace_spans_dropped_total counts what is lost",
            exporter->endpoint, (unsigned long long)exporter->unsaid_rejected);
    else
        log_event(WHIPPET_WARNING, &fields, "the collector at %s takes the spans, and warns",
                  exporter->endpoint);
    exporter->objection_at = now;
    exporter->unsaid_rejected = 0;
}

/* What else the answer means. */
static void heed(struct exporter *exporter, enum upload_result result, const struct upload_answer *answer)
{
    bool done = result == UPLOAD_DONE;
    size_t most = exporter->request_spans;
    exporter->request_rejected = !done ? 0 : answer->rejected < most ? (size_t)answer->rejected : most;
    if (done && answer->failure.error != 0)
        report_objection(exporter, answer->failure.text);
    if (result == UPLOAD_AGAIN && answer->pause > 0)
        exporter->not_before = clock_monotonic() + fmin(answer->pause, ASKED_MAX);
}

/* Within its time, and that of the end. */
static enum upload_result send_once(struct exporter *exporter)
{
    struct upload_answer answer = {0};
    whippet_bytes body = {buffer_begin(&exporter->request), buffer_length(&exporter->request)};
    atomic_store(&exporter->send_until,
                 fmin(clock_monotonic() + exporter->timeout, atomic_load(&exporter->end)));
    if (is_ending(exporter)) /* which may have come in between */
        atomic_store(&exporter->send_until, atomic_load(&exporter->end));
    enum upload_result result =
        exporter->upload(exporter->upload_owner, body, &exporter->send_until, &answer);
    report(exporter, result, answer.failure.text);
    heed(exporter, result, &answer);
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
        if (exporter->not_before > 0)
            pause_until(exporter, exporter->not_before);
        exporter->not_before = 0;
        result = send_once(exporter);
        tries++;
    } while (result == UPLOAD_AGAIN && may_try_again(exporter, tries));
    size_t taken = result == UPLOAD_DONE ? exporter->request_spans - exporter->request_rejected : 0;
    counter_add(&exporter->stats->exported, taken);
    drop(exporter, TRACE_DROP_EXPORT, exporter->request_spans - taken);
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
