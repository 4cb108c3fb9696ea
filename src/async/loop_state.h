/* What a loop is made of. */
#ifndef ASYNC_LOOP_STATE_H
#define ASYNC_LOOP_STATE_H

#include "pulse.h"
#include <async/loop.h>
#include <ev.h>
#include <pthread.h>

/* Work off the loop: a queue, a few threads, and what they have done. A loop has two: one for its own work,
 * such as looking up names, so that a processor that keeps its threads busy never stops a reconnect. */
struct offload {
    struct ev_loop *ev;
    size_t thread_limit;
    const struct offload_observer *observer; /* borrowed; NULL: none */
    void *observer_owner;
    ev_async wake; /* threads → loop: something is done */

    pthread_mutex_t mutex; /* guards all below, and the state of jobs */
    pthread_cond_t wanted; /* something is queued, or the threads are to end */
    struct list queued;
    struct list done;
    pthread_t *threads; /* owned; room for `thread_limit` */
    size_t thread_count;
    size_t unfinished; /* jobs queued or running */
    bool stopping;
};

/* Calls from other threads. */
struct calls {
    ev_async wake;
    pthread_mutex_t mutex; /* guards the list and the links of those in it */
    struct list queued;
};

struct loop {
    struct pulse pulse;
    struct scheduler scheduler;
    struct ev_loop *ev; /* owned */
    ev_check check;     /* reads the clock once a turn, before anything is handled */
    ev_timer timer;     /* the scheduler's next timer */
    double timer_at;    /* the moment that `timer` is set for */
    double polled_at;   /* when libev last read its clock */
    double gather;      /* seconds between two polls, at least */
    bool leaps;         /* loop_set_leaping */
    double ahead;       /* seconds that its clock is ahead of clock_monotonic, by leaping */
    size_t watching;    /* descriptors that are waited for */
    struct list signals;
    struct list residents;
    struct offload own;        /* the program's: loop_offload */
    struct offload processors; /* theirs: whippet_offload */
    struct calls calls;
    bool stopped;
};

/* Its wake-up keeps the loop waiting even where nothing else is watched. */
void offload_init(struct offload *offload, struct ev_loop *ev);
void offload_destroy(struct offload *offload);

/* Whether the loop is still to hear of some of it. */
bool offload_is_under_way(struct offload *offload);

void residents_destroy(struct loop *loop);

void calls_init(struct calls *calls, struct ev_loop *ev);
void calls_destroy(struct calls *calls, struct ev_loop *ev);

#endif
