/* The thread that takes spans from the ring, and has them uploaded. */
#ifndef TRACE_EXPORTER_H
#define TRACE_EXPORTER_H

#include "span_ring.h"
#include <base/buffer.h>
#include <pthread.h>
#include <semaphore.h>

struct exporter {
    struct span_ring ring;
    struct trace_stats *stats; /* borrowed; so are the next three */
    span_upload *upload;
    void *upload_owner;
    const char *endpoint; /* for words */
    double timeout;       /* seconds, for an upload */
    struct buffer head;   /* of each request */
    struct buffer request;
    size_t request_spans;
    unsigned failures;         /* in a row; the thread's own, as the next four */
    size_t request_rejected;   /* of its spans, by the collector that took the others */
    uint64_t unsaid_rejected;  /* since the log heard of rejected ones */
    double objection_at;       /* when it did: a moment; 0: never */
    double not_before;         /* when the collector may be asked again: a moment */
    _Atomic double send_until; /* when the upload under way must end: a moment */
    _Atomic double end;        /* when all must: a moment; INFINITY while it is not to end */
    sem_t wake;                /* there is much to do, or the end has come */
    sem_t ended;               /* the thread's last word */
    pthread_t thread;
};

/* All but the thread's own must be filled in. False when there can be no thread. */
bool exporter_start(struct exporter *exporter);

/* True when the thread has ended, at the latest some time after `seconds`; else it is left behind. */
bool exporter_stop(struct exporter *exporter, double seconds);

/* From the loop's thread: never blocks. */
static inline void exporter_wake(struct exporter *exporter)
{
    sem_post(&exporter->wake);
}

#endif
