/* The seam between whippet_publish and whoever really publishes: the worker's publishing connection, `whippet
 * try`, or a test. */
#ifndef WORKER_PUBLISHING_H
#define WORKER_PUBLISHING_H

#include <trace/context.h>
#include <whippet/publish.h>

/* The span of a publication, which its traceparent names. Zeroed: nobody traces. */
struct publish_span {
    struct trace_context context;
    uint64_t parent; /* the attempt's */
};

/* Publishes what was found valid, and returns what whippet_publish returns. May suspend. */
typedef int publish_function(void *owner, whippet_task *task, const whippet_publication *publication,
                             const struct publish_span *span);

/* Who publishes from now on, for the whole program; `function` NULL: nobody, and whippet_publish returns
 * UNAVAILABLE. `owner` must outlive every task that may publish, or the next installation. */
void publishing_install(publish_function *function, void *owner);

#endif
