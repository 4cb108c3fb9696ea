/* The seam between whippet_publish and whoever really publishes: the worker's publishing connection, `whippet
 * try`, or a test. */
#ifndef WORKER_PUBLISHING_H
#define WORKER_PUBLISHING_H

#include <whippet/publish.h>

/* Publishes what was found valid, and returns what whippet_publish returns. May suspend. */
typedef int publish_function(void *owner, whippet_task *task, const whippet_publication *publication);

/* Who publishes from now on, for the whole program; `function` NULL: nobody, and whippet_publish returns
 * UNAVAILABLE. `owner` must outlive every task that may publish, or the next installation. */
void publishing_install(publish_function *function, void *owner);

#endif
