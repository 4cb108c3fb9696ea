/* What an observer may know of a worker. The loop's thread writes, any other reads: on the way of a message
 * there are no locks, and nothing that a reader does keeps the loop from anything. Only adding and removing a
 * queue locks. */
#ifndef STATS_STATS_H
#define STATS_STATS_H

#include <base/list.h>
#include <pthread.h>
#include <stats/counters.h>
#include <stats/in_flight.h>
#include <stats/shared_text.h>
#include <stdbool.h>

/* --- A queue's subscription -----------------------------------------------------------------------------*/

enum subscription_state {
    SUBSCRIPTION_IDLE,      /* there is no connection */
    SUBSCRIPTION_OPENING,   /* its channel */
    SUBSCRIPTION_DECLARING, /* exchanges, queue, bindings, dead-letter queue */
    SUBSCRIPTION_CONSUMING, /* the broker has said consume-ok */
    SUBSCRIPTION_DRAINING,  /* it takes no more; what was delivered comes to its end */
    SUBSCRIPTION_FAILED,    /* the failure says why; it is tried again with backoff */
    SUBSCRIPTION_CLOSED,
};

const char *subscription_state_name(enum subscription_state state);

/* What the management API says of a queue. */
struct broker_figures {
    _Atomic bool known;
    counter ready;
    counter unacknowledged; /* of all consumers */
    counter consumers;
};

struct queue_stats {
    struct queue_counters counters;
    _Atomic int state;          /* enum subscription_state */
    _Atomic double state_since; /* clock_monotonic */
    _Atomic unsigned concurrency;
    _Atomic unsigned prefetch;
    struct shared_text failure;    /* why it did not consume, the last time it did not; "": it always has */
    struct shared_text last_error; /* of an attempt, of its start, or of a dead letter on its way */
    _Atomic double last_error_at;  /* clock_monotonic; 0: there was none */
    struct broker_figures broker;  /* the management thread's */

    struct list link;     /* in stats->queues */
    struct list namesake; /* in one of stats->names */
    size_t view;          /* which one is made of it; for who holds stats->lock */
    char *queue;          /* owned, and constant between stats_add_queue and stats_remove_queue */
    char *processor;
};

/* --- A connection ---------------------------------------------------------------------------------------*/

enum connection_role {
    CONNECTION_CONSUME,
    CONNECTION_PUBLISH,
    CONNECTION_RELAY, /* of messages over max_message_size: needed only while there are any */
    CONNECTION_ROLES,
};

const char *connection_role_name(enum connection_role role);

struct connection_stats {
    _Atomic bool needed; /* that it is down means something */
    _Atomic bool up;
    _Atomic bool blocked;       /* by an alarm of the broker */
    _Atomic double since;       /* clock_monotonic, of `up`; 0: it never was */
    counter epoch;              /* how often it has been up */
    counter reconnects;         /* how often it came back while it was needed */
    bool was_lost;              /* since it was needed; the loop's own */
    struct shared_text address; /* of the broker that it is connected to, or was last; without the password */
    struct shared_text last_error; /* why it was lost, or could not be had, last */
};

/* --- The loop -------------------------------------------------------------------------------------------*/

struct loop_stats {
    _Atomic double ticked_at; /* clock_monotonic; the loop ticks at least once in STATS_TICK_SECONDS */
    _Atomic double lag;       /* seconds: how late it was at a tick last */
    _Atomic double lag_max;   /* the most there ever was */
};

/* Who keeps the loop from turning. */
struct loop_blocked {
    double seconds; /* for how long it has not turned */
    bool by_task;   /* and then by which message's code; else by the worker's own */
    char queue[64]; /* the beginning of its name */
    bool queue_is_cut;
    char message_id[64]; /* the beginning of it; "": it has none */
    unsigned attempt;
};

/* --- The management API ---------------------------------------------------------------------------------*/

struct management_stats {
    _Atomic bool asked; /* it is configured */
    _Atomic bool up;    /* it answers */
    struct shared_text where;
    struct shared_text error; /* why it did not answer the last time; "": it did, or it was not asked yet */
};

/* --- Messages that we send ------------------------------------------------------------------------------*/

enum sending {
    SENDING_DEAD_LETTER,
    SENDING_RETRY,       /* to a delay queue */
    SENDING_PUBLICATION, /* by a processor */
    SENDING_COUNT,
};

const char *sending_name(enum sending sending);

struct sending_stats {
    counter confirmed;
    counter failed;
};

/* --- Traces ---------------------------------------------------------------------------------------------*/

/* Why a span never came to the collector. X(NAME, "label"). */
#define TRACE_DROPS(X)                                                                                       \
    X(FULL, "queue_full")      /* more came than could be sent */                                            \
    X(EXPORT, "export_failed") /* the collector was away, or refused or rejected them */

enum trace_drop {
#define TRACE_DROP_ENUM(name, label) TRACE_DROP_##name,
    TRACE_DROPS(TRACE_DROP_ENUM)
#undef TRACE_DROP_ENUM
    TRACE_DROP_COUNT,
};

const char *trace_drop_label(enum trace_drop reason);

/* In spans. FULL is the loop's, all else the exporting thread's. */
struct trace_stats {
    counter exported;
    counter dropped[TRACE_DROP_COUNT];
};

/* --- All of it ------------------------------------------------------------------------------------------*/

enum {
    STATS_NAMES = 1024 /* buckets: some thousand queues stand in them by ones and twos */
};

struct stats {
    const char *version; /* borrowed */
    double started_at;   /* clock_monotonic */
    double started_wall; /* seconds since 1970 */
    struct loop_stats loop;
    struct connection_stats connections[CONNECTION_ROLES];
    struct sending_stats sent[SENDING_COUNT];
    struct trace_stats traces;
    _Atomic bool stopping;
    struct in_flight_board board;
    struct management_stats management;

    /* Whether the loop is blocked at the moment, and by whom. Asked by other threads; takes no lock. */
    bool (*look_who_blocks)(void *owner, struct loop_blocked *blocked);
    void *looks; /* its owner */

    pthread_mutex_t lock; /* of the lists, and of the names in them */
    struct list queues;   /* struct queue_stats, in the order they were added */
    size_t queue_count;
    struct list names[STATS_NAMES]; /* the same in the same order, by the hash of their queue's name */
};

void stats_init(struct stats *stats, const char *version);
void stats_destroy(struct stats *stats); /* every queue must have been removed, and no reader be left */

/* Makes the queue known to readers. `queue` is the caller's, zeroed at first; the names are copied. False
 * when memory is short. */
bool stats_add_queue(struct stats *stats, struct queue_stats *queue, const char *name, const char *processor);

/* Ends that. What it counted, and the later of the last deliveries and errors, goes on in another entry of
 * the same queue and processor where there is one, so that a subscription that was replaced loses nothing.
 * Safe for one that was never added. */
void stats_remove_queue(struct stats *stats, struct queue_stats *queue);

/* For the management thread. What it says of every entry of that queue; NULL: nothing is known. */
struct broker_numbers {
    uint64_t ready;
    uint64_t unacknowledged;
    uint64_t consumers;
};
void stats_set_broker(struct stats *stats, const char *queue, const struct broker_numbers *numbers);

/* The API at `where` (NULL: none) is to be asked: nothing is known yet. */
void stats_begin_management(struct stats *stats, const char *where);

/* The API did or did not answer; `error` is NULL or says why not, and then nothing is known of any queue. */
void stats_set_management(struct stats *stats, const char *error);

/* For the loop. `now` is clock_monotonic. */
void queue_stats_enter(struct queue_stats *queue, enum subscription_state state, double now);
void queue_stats_fail(struct queue_stats *queue, const char *error, double now); /* an attempt */
void connection_stats_up(struct connection_stats *connection, const char *address, double now);
void connection_stats_down(struct connection_stats *connection, const char *error, double now);
void connection_stats_needed(struct connection_stats *connection);
void connection_stats_closed(struct connection_stats *connection, double now); /* not needed any more */
void loop_stats_tick(struct loop_stats *loop, double now, double lag);
void sending_stats_count(struct sending_stats *sending, bool confirmed);

#define STATS_TICK_SECONDS 0.5

/* --- Reading --------------------------------------------------------------------------------------------*/

/* One queue at one moment. */
struct queue_view {
    const char *queue;
    const char *processor;
    struct queue_totals totals;
    enum subscription_state state;
    double state_since;
    unsigned concurrency;
    unsigned prefetch;
    char failure[SHARED_TEXT_SIZE];
    char last_error[SHARED_TEXT_SIZE];
    double last_error_at;
    bool broker_is_known;
    struct broker_numbers broker;
};

struct queue_views {
    struct queue_view *items;
    size_t count;
    char *names; /* what they point into */
};

/* Every queue; entries of the same queue and processor are one view, for while a subscription is replaced
 * there are two. False when memory is short; else for the caller to destroy. */
bool stats_view_queues(struct stats *stats, struct queue_views *views);
void queue_views_destroy(struct queue_views *views);

/* How it goes on the whole. Entries of the same queue and processor are one, and the newer speaks for the
 * state. */
struct queue_counts {
    size_t queues;
    size_t consuming;
    uint64_t in_flight;
};

/* For the loop, which alone adds and removes queues: takes no lock, and no memory. */
struct queue_counts stats_count_queues(const struct stats *stats);

/* Seconds by which the loop is late at the moment: what it last measured, or, when no tick came for longer
 * than that, the time that has passed without one. */
double loop_stats_lag(const struct loop_stats *loop, double now);

#endif
