/* What the files of the worker share. Each part's own functions stand in its own section. */
#ifndef WORKER_WORKER_INTERNAL_H
#define WORKER_WORKER_INTERNAL_H

#include "executor.h"
#include <base/list.h>
#include <base/log_repeated.h>
#include <config/retry.h>
#include <io/publisher.h>
#include <stats/stats.h>
#include <trace/tracer.h>
#include <worker/background.h>
#include <worker/brokers.h>
#include <worker/ledger.h>
#include <worker/message.h>
#include <worker/publication.h>
#include <worker/publishing.h>
#include <worker/settlement.h>
#include <worker/worker.h>

/* --- log_limit.c: lines that would come once for each message -------------------------------------------*/

enum log_kind {
    LOG_ATTEMPT_FAILED,
    LOG_DEAD_LETTERED,
    LOG_DISCARDED,
    LOG_NOT_HANDED_OVER,
    LOG_HEADERS_LEFT_OUT,
    LOG_NOT_STARTED,
    LOG_UNHANDLED,
    LOG_CONSUMED_IN_VAIN,
    LOG_CONSUMING_AGAIN,
    LOG_KIND_COUNT
};

struct log_limit {
    struct subscription *subscription;
    enum log_kind kind;
    struct timer window; /* armed from the first line on; at its end the count is said */
    unsigned said;       /* in this window */
    uint64_t left_out;   /* in this window */
    char error[160];     /* of the last that was left out */
};

/* A channel, its consumer, and the account of what came by it. A subscription has one at a time that
 * consumes; one that the broker cancelled is left behind, and goes with the last of what came by it. */
struct consumer {
    struct subscription *subscription;
    struct channel channel;
    struct settlement settlement;
    double oldest_ack_at; /* when the oldest pending ack came to be pending */
    bool cancelled;       /* by the broker */
    uint64_t users;       /* the deliveries that came by it, and the subscription until it leaves it behind */
};

/* A walk over all that is in flight, in slices: see roll_call.c. */
struct roll_call {
    struct list *at;    /* whose turn is next, in worker->in_flight; NULL: it is not under way */
    double as_of;       /* who arrived later is not called */
    struct timer timer; /* the next slice */
};

/* What consumes one queue. */
struct subscription {
    struct list link; /* in the worker's list */
    struct worker *worker;
    const struct config *source; /* a reference: `config` and the strings of deliveries are part of it */
    const struct queue_config *config; /* of `source` */
    struct processor processor;        /* loaded; set up where the executor runs it in this process */
    struct background background;      /* of the processor, where that is set up in this process */
    struct log_fields background_fields;
    const struct executor *executor;
    struct child_group *children;    /* with RUN_PROCESS; else NULL */
    struct list hungry;              /* its place among those that wait for a thread, when it does */
    struct queue_stats stats;        /* what others may see of it */
    const struct span_source *spans; /* what its spans have in common; NULL: none was needed yet */

    enum subscription_state state;
    struct whippet_failure failure; /* why it FAILED last */
    unsigned failures;              /* in a row */
    struct log_repetition refusals; /* of the broker, to let it consume */
    unsigned in_vain;               /* consumers in a row that the broker took away at once */
    whippet_task *task;             /* subscription_main; NULL when it does not run */
    struct waiter changed;          /* the task waits here for anything below to change */
    bool held;                      /* not to begin yet: the reload that made it may come to nothing */
    bool retired;                   /* by a reload: it drains, and goes */
    bool withdrawn;                 /* draining, and nothing more comes: only what has begun is left */
    char consumer_tag[128];

    struct consumer *consumer; /* the newest; never NULL */
    struct task_label label;   /* what its deliveries' labels begin with */

    unsigned running;     /* slots taken, of config->concurrency */
    bool dispatching;     /* subscription_dispatch is at it */
    double turn_at;       /* the turn of the loop that it last started something in: a moment */
    unsigned starts_left; /* in that turn, before it waits for its next */
    struct list turn;     /* in worker->awaiting_turn, while it does */
    struct log_limit log_limits[LOG_KIND_COUNT];
    struct list waiting;  /* struct delivery, oldest first */
    struct list at_work;  /* struct delivery: attempts, and failures on their way to the dead-letter queue */
    struct list retrying; /* struct delivery: between two attempts */
    struct relay *relay;  /* of the oversized message that comes in at the moment; NULL: none */
};

struct worker {
    struct loop *loop;
    const struct config *config; /* a reference */
    const char *version;
    struct connections *connections; /* owned; the next five are parts of it */
    struct connection *consume;
    struct connection *publish;
    struct relay_connection *relaying;
    struct publisher *dead_letters; /* of our own making: to the default exchange only */
    struct thread_pool *threads;    /* NULL: none was needed yet */
    struct publisher *publications; /* of processors: their mistakes close this channel, not the one above */
    struct list subscriptions;      /* struct subscription, owned; in the order of the configuration */
    uint64_t subscriptions_begun;   /* in all; for consumer tags */
    char host[64];

    struct stats stats;    /* what others may see of all this */
    struct tracer *tracer; /* borrowed; NULL: nobody traces */
    struct timer observer;
    struct list in_flight;              /* struct delivery: all of them, in the order of arrival */
    struct roll_call showing;           /* of them, for the board: */
    struct in_flight_list *to_be_shown; /* what it has so far; NULL while it is not under way */
    struct roll_call logging;           /* and for the log */

    double clock;             /* read last; never behind the loop's turn */
    uint64_t turn_deliveries; /* since the last flush */
    double last_flush;        /* a moment */
    double delivery_rate;     /* per second, smoothed */
    bool gathering;
    struct timer ack_timer; /* the end of the time that acks may be held back */
    struct list relays;     /* struct relay */
    unsigned paused_relays; /* those that want reading paused */

    struct task_quota spawned; /* what processors may spawn, in all threads together */
    struct list awaiting_turn; /* struct subscription: have used up their starts, and have more to start */
    struct posted turn_end;

    const struct config *started_with; /* a reference: what can't change without a restart is as in here */
    bool reloading;                    /* worker_reload is at it */
    whippet_task *renewal; /* waits for the end of the old connections; NULL: they are as configured */
    struct brokers
        *to_come; /* what it makes new connections to, with certificates and keys read; owned; NULL: none */
    struct waiter retirement; /* the renewal waits here for retired subscriptions to go */

    struct ledger *ledger;         /* owned */
    struct ledger_slot *loop_slot; /* in it; where the loop shows what it is at */

    bool stopping;
    bool ended;
    struct waiter progress; /* worker_stop's task waits here for deliveries and subscriptions to end */
    struct trial *trial;    /* what it is for, where it has no broker; NULL: it has one */
};

/* --- offload_watch.c ------------------------------------------------------------------------------------*/

/* Shows the ledger and the crash report what the loop's threads of whippet_offload are at. Before the first
 * task runs there. */
void worker_watch_offload(struct worker *worker, struct loop *loop);

/* --- delivery.c: from delivery to outcome ---------------------------------------------------------------*/

enum delivery_state {
    DELIVERY_WAITING,
    DELIVERY_RUNNING,
    DELIVERY_RETRYING,
    DELIVERY_HANDING_OVER /* to the dead-letter queue, or to a delay queue */
};

/* Its place in a trace, beside message.trace. */
struct delivery_trace {
    bool is_root;    /* the message brought no trace */
    bool is_begun;   /* the span of its receiving is recorded */
    bool is_waiting; /* between two attempts, since `since` */
    uint64_t parent; /* the span that the message came from; 0: none */
    uint64_t receive;
    uint64_t settle; /* 0: not begun */
    double since;    /* when the last attempt ended: a moment */
};

struct delivery {
    struct whippet_message message;
    struct delivery_trace trace;
    struct subscription *subscription;
    struct consumer *consumer; /* that it came by */
    struct list link;          /* in the subscription's list for its state */
    struct list place;         /* in the worker's list of all that is in flight */
    enum delivery_state state;
    whippet_verdict verdict;   /* of the last attempt */
    int struck;                /* TIMEOUT or CANCELLED when that ended the last attempt's awaits; else 0 */
    bool crashed;              /* the last attempt took its process down */
    double retry_after;        /* seconds that the last attempt asked to pause; 0: it did not */
    char *reason;              /* of the last failure, in words; owned, NULL: none given */
    whippet_task *task;        /* of the main loop: the attempt's or the dead letter's; NULL: none */
    void *seat;                /* where the executor runs it; NULL: nowhere, or in `task` */
    struct handover *handover; /* what hands it over to another queue; NULL: nothing does */
    struct timer retry;
    double arrived_at;
    double at_work_since; /* when it took its slot last; 0: it never did */
    double started_at;    /* the last attempt; the executor's own while that is at work */
    double duration;      /* of the last attempt, seconds */
    struct log_fields fields;
    struct task_label label; /* the ledger's, of the last attempt */
    bool is_labelled;
    bool is_suspect;             /* the ledger knows it */
    enum failure_reason failure; /* once it has failed for good */
    unsigned char lost_unbegun;  /* children that died before they had begun it, as the next */
};

void delivery_arrived(struct subscription *subscription, struct message *message);

/* Ends it with that outcome: the broker is told where it is still to be told, it is counted, and freed. */
void delivery_end(struct delivery *delivery, enum delivery_outcome outcome);

/* True while the channel that it came by is open, and its connection is not being closed: it can still be
 * settled. */
bool delivery_is_current(const struct delivery *delivery);

/* Seconds that the broker still lets it be unacknowledged: below 0 when that is over. */
double delivery_patience_left(const struct delivery *delivery);

/* An executor's word that the attempt has come to its end: verdict, struck, crashed, reason, retry_after,
 * started_at and duration are filled in. The delivery may be gone afterwards. */
void delivery_attempt_ended(struct delivery *delivery);

/* An executor's word that the attempt came to nothing through no fault of its own: it does not count, and the
 * message is the next to be run. The delivery may be gone afterwards. */
void delivery_attempt_undone(struct delivery *delivery);

/* Asks whatever is at work for it to end: an attempt, or what leads to its dead letter. */
void delivery_cancel(struct delivery *delivery);

/* Makes one without starting anything: NULL when memory is short. The message is taken over then only. */
struct delivery *delivery_create(struct subscription *subscription, struct message *message);

/* Starts what may be started; returns what must be returned. */
void subscription_dispatch(struct subscription *subscription);

/* Ends all that is not at work: waiting, and between attempts. */
void subscription_return_resting(struct subscription *subscription);

/* The channel is gone, and what came by it is in its queue again: ends what is not at work, and copies that
 * were not sent yet. */
void consumer_return_all(struct consumer *consumer);

/* What it does at the moment, for people: "sleeping", "between two attempts" … Not to be kept. */
const char *delivery_activity(const struct delivery *delivery);

/* Between two attempts without the broker's help: holds neither slot nor task. */
void delivery_retry_in_memory(struct delivery *delivery);

/* --- trace.c: spans of deliveries ------------------------------------------------------------------------*/

/* Finds or makes the trace that a new delivery belongs to. Only while somebody traces. */
void delivery_trace_begin(struct delivery *delivery);

/* The rest is for deliveries that are recorded. */
static inline bool delivery_is_traced(const struct delivery *delivery)
{
    return trace_context_is_sampled(&delivery->message.trace);
}

void delivery_trace_attempt(struct delivery *delivery); /* one is to begin */
void delivery_trace_attempted(struct delivery *delivery, enum attempt_result result);
void delivery_trace_wait(struct delivery *delivery); /* for the next */
void delivery_trace_end(struct delivery *delivery, enum delivery_outcome outcome);

/* A copy of it was published, or was not: `error`. */
void delivery_trace_copy(struct delivery *delivery, const char *queue, double begun_at, int error);

/* The same for what a processor published. */
void worker_trace_publication(struct worker *worker, const struct publishing *publishing,
                              const struct publish_span *span, double begun_at, int error);

/* --- message_copy.c: copies that the broker is to keep ---------------------------------------------------*/

/* What makes one kind of copy different from another. */
struct message_copy {
    char queue[RETRY_QUEUE_NAME_SIZE]; /* where it goes */
    const char *reason;                /* whippet-reason's value, static; NULL: none */
    const char *done;                  /* what has been done once it is there, in words: "dead-lettered to" */
    enum delivery_outcome outcome;     /* of the original then */
    enum sending sending;              /* as what it is counted */
    bool may_lose_headers;             /* rather without the original's headers than not at all */
    bool (*write_headers)(const struct delivery *delivery, const struct message_copy *copy,
                          struct buffer *entries); /* its own; false when memory is short */
    int (*ensure_queue)(whippet_task *task, struct connection *connection, const struct queue_config *config,
                        struct whippet_failure *failure); /* for when no queue took it */
    void (*report)(const struct delivery *delivery, const struct message_copy *copy); /* it is there */
    void (*give_up)(struct delivery *delivery); /* it can't be made; without may_lose_headers only */
};

/* The copy's properties: the message's own, less what must not be sent again, with where it came from at
 * first, and with the copy's own headers. 0, or MEMORY. */
int message_copy_properties(const struct delivery *delivery, const struct message_copy *copy,
                            bool with_original_headers, struct buffer *properties);
bool message_copy_add_text(struct buffer *entries, const char *name, whippet_bytes text);

/* --- handover.c: publish, confirm, ack ------------------------------------------------------------------*/

/* Carried by its task; the delivery outlives it. */
struct handover {
    struct delivery *delivery;
    struct message_copy copy;
    bool is_sent;          /* the broker has a copy that it has not answered yet, or may have it */
    struct timer slow;     /* when the log is to say that it takes long */
    struct waiter resting; /* between two tries */
};

/* Begins to publish the copy; ends the delivery once that is confirmed. The delivery holds its slot until
 * then. */
void handover_begin(struct delivery *delivery, const struct message_copy *copy);

/* Has it make its next try at once: with the worker stopping, the last. */
void handover_hurry(struct handover *handover);

/* The original is in its queue again: a copy that was not sent yet would be one too many. */
void handover_withdraw(struct handover *handover);

/* --- quarantine.c: what comes again after the worker died ------------------------------------------------*/

/* Makes the label by which the ledger knows it, for the attempt that is to begin. */
void delivery_label(struct delivery *delivery);

/* Whether it crashed the worker too often to be run once more; its reason says so then. Before each attempt;
 * it looks before the first only. */
bool delivery_is_quarantined(struct delivery *delivery);

/* It ends with that outcome: a suspect that was settled is one no more. */
void delivery_acquit(struct delivery *delivery, enum delivery_outcome outcome);

/* --- dead_letter.c: what failed for good ----------------------------------------------------------------*/

/* `reason` is whippet-reason's value, a static string. */
void dead_letter_begin(struct delivery *delivery, const char *reason);
int dead_letter_properties(const struct delivery *delivery, const char *reason, bool with_original_headers,
                           struct buffer *properties);

/* --- retry_queue.c: retries through the broker ----------------------------------------------------------*/

/* Parks it in the delay queue of the attempt that has failed. */
void retry_queue_begin(struct delivery *delivery);

/* Of a message that comes back from a delay queue of ours: takes over the count of attempts, and the exchange
 * and routing key that it had at first. */
void retry_queue_recognise(whippet_message *message);

/* --- oversized.c: messages over max_message_size --------------------------------------------------------*/

enum {
    /* Held of a body at most, before the consume connection is not read for a moment. */
    RELAY_HELD_MAX = 256 * 1024,
    /* Queued to be sent before a relay waits for the socket. */
    RELAY_BACKLOG_MAX = 1024 * 1024,
};

void oversized_begin(struct subscription *subscription, const struct oversized *oversized);
void oversized_part(struct subscription *subscription, whippet_bytes part);
void oversized_end(struct subscription *subscription, bool complete);
void relays_poke(struct worker *worker);

/* The worker stops: those that only wait, after the copy failed, wait no longer. */
void relays_hurry(struct worker *worker);

/* --- relay_connection.c: the connection that those are passed on by -------------------------------------*/

/* Opens nothing yet. The options are those of any connection but for the name; what they point to is
 * borrowed. NULL when memory is short. */
struct relay_connection *relay_connection_create(struct worker *worker,
                                                 const struct connection_options *options);
void relay_connection_destroy(struct relay_connection *relaying); /* never joined, or stopped; NULL is fine */

/* One more relay needs it: it is opened where it is not. On the loop's own stack only. */
void relay_connection_join(struct relay_connection *relaying);

/* One needs it no more. `broken_off`: it left a channel in the middle of a body, so that the connection is
 * closed as soon as the others have gone. */
void relay_connection_leave(struct relay_connection *relaying, bool broken_off);

/* NULL while it is not open; every change pokes the relays. */
struct connection *relay_connection_open(const struct relay_connection *relaying);

/* Why there is no use in waiting for it; NULL: there is. Borrowed. */
const char *relay_connection_trouble(const struct relay_connection *relaying);

/* For good: returns once it is closed, and nobody uses it. Suspends. */
void relay_connection_stop(whippet_task *task, struct relay_connection *relaying);

/* --- publication.c: what processors publish -------------------------------------------------------------*/

/* A publish_function; `owner` is the worker. From a task of any loop. */
int publish_for_processor(void *owner, whippet_task *task, const whippet_publication *publication,
                          const struct publish_span *span);

/* What is on its way to the broker, written already; counted. Suspends. */
int publication_send(struct worker *worker, whippet_task *task, const struct publishing *publishing,
                     const struct publish_span *span);

/* --- subscription.c -------------------------------------------------------------------------------------*/

/* For the queue with that index in `source`, at the end of the worker's list; its processor is still to be
 * set up. NULL when memory is short. */
struct subscription *subscription_create(struct worker *worker, const struct config *source, size_t index);

/* Takes it out of the list and tears its processor down. It must not run, and nothing be in flight. */
void subscription_destroy(struct subscription *subscription);

/* The one after `link` in the worker's list; NULL at its end. */
static inline struct subscription *subscription_after(const struct worker *worker, const struct list *link)
{
    return link->next != &worker->subscriptions ? list_entry(link->next, struct subscription, link) : NULL;
}

/* The body must not destroy any. */
#define each_subscription(each, worker)                                                                      \
    for (struct subscription *each = subscription_after(worker, &(worker)->subscriptions); (each) != NULL;   \
         (each) = subscription_after(worker, &(each)->link))

bool subscription_start(struct subscription *subscription);

/* Loads, checks and sets up its processor. False with all that is wrong in `errors`. */
bool subscription_make_processor(struct subscription *subscription, struct config_errors *errors);

/* Has it drain and go: it is destroyed by itself when the last of its deliveries has ended. */
void subscription_retire(struct subscription *subscription);

/* True when it takes no more messages and begins no more attempts. */
static inline bool subscription_is_leaving(const struct subscription *subscription)
{
    return subscription->retired || subscription->worker->stopping;
}

/* One line with its counters, which add up. */
void subscription_log_counters(const struct subscription *subscription);

/* The one way to another state: observers hear of it. */
void subscription_enter(struct subscription *subscription, enum subscription_state state);
void subscription_wake(struct subscription *subscription);

/* --- consumer.c -----------------------------------------------------------------------------------------*/

/* Nothing is opened yet. NULL when memory is short. */
struct consumer *consumer_create(struct subscription *subscription);
void consumer_hold(struct consumer *consumer);

/* The last one to let go closes its channel, where that is open, and frees it. */
void consumer_release(struct consumer *consumer);

/* Its subscription lets go of it: what came by it is still settled on its own channel. */
void consumer_leave(struct consumer *consumer);

/* Opens its channel, once. Suspends. 0, or an error as channel_open says. */
int consumer_open(whippet_task *task, struct consumer *consumer, double seconds);

/* Gives the channel up: the broker returns what came by it. */
void consumer_abandon(struct consumer *consumer);

/* The delivery tag is settled: acked, which goes out when it is due, or returned to the queue, at once. */
void consumer_ack(struct consumer *consumer, uint64_t delivery_tag);
void consumer_return(struct consumer *consumer, uint64_t delivery_tag);

/* Sends the acks that are pending. */
void consumer_flush(struct consumer *consumer);

/* Ends the connection for that reason: what the broker is never told it would hold for us for ever, and so it
 * has all of it back. */
void consumer_abort(struct consumer *consumer, const char *why);

/* --- topology.c: what must exist at the broker ----------------------------------------------------------*/

/* Looks for, or declares, the queue with its exchanges and bindings, and the dead-letter queue. Suspends. 0,
 * or an error with the failure naming the queue, the broker's words and what to do. */
int topology_ensure(whippet_task *task, struct connection *connection, const struct queue_config *config,
                    struct whippet_failure *failure);

/* The dead-letter queue alone: for when it was deleted meanwhile. */
int topology_ensure_dead_letter(whippet_task *task, struct connection *connection,
                                const struct queue_config *config, struct whippet_failure *failure);

/* The delay queues alone. They are declared, not looked for: one that is there with other arguments would
 * keep messages for ever, and is an error. */
int topology_ensure_retry_queues(whippet_task *task, struct connection *connection,
                                 const struct queue_config *config, struct whippet_failure *failure);

/* --- turns.c: no queue keeps the loop from the others
 * -----------------------------------------------------*/

void turns_init(struct worker *worker);
void turns_join(struct subscription *subscription);
void turns_leave(struct subscription *subscription);

/* One start. False: it has none left, and is dispatched anew at the end of the turn. */
bool turns_take(struct subscription *subscription);

/* --- log_limit.c ----------------------------------------------------------------------------------------*/

void log_limits_init(struct subscription *subscription);
void log_limits_end(struct subscription *subscription); /* says what was only counted so far */

/* Logs it at the kind's level: the first of a while as they are, with their cause; of the rest, how many. */
void log_limited(struct subscription *subscription, enum log_kind kind, const struct log_fields *fields,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* --- pace.c: when acks go out, and when the loop gathers ------------------------------------------------*/

void pace_init(struct worker *worker);
void pace_ack_pending(struct subscription *subscription); /* one more ack waits */
void pace_turn_ends(struct worker *worker);               /* the consume connection is about to be flushed */
void pace_flush_acks(struct worker *worker);              /* all of them, now */
void pace_end_rush(struct worker *worker);                /* nothing comes for now: no gathering */

/* --- observer.c: what others may see of it all -----------------------------------------------------------*/

void observer_connection_up(struct worker *worker, enum connection_role role,
                            const struct connection *connection);
void observer_connection_down(struct worker *worker, enum connection_role role,
                              const struct connection *connection); /* or it could not be had */
void observer_connection_blocked(struct worker *worker, enum connection_role role, bool blocked);
bool observer_look_who_blocks(void *owner, struct loop_blocked *blocked); /* for stats->look_who_blocks */

/* --- roll_call.c: all that is in flight, one after the other --------------------------------------------*/

void roll_call_init(struct worker *worker);
void roll_call_destroy(struct worker *worker);

/* A delivery is in flight from now on, or is no more. */
void roll_call_join(struct delivery *delivery);
void roll_call_leave(struct delivery *delivery);

/* Begins to make a list for the board, unless one is still being made. */
void roll_call_show(struct worker *worker);

/* --- connections.c --------------------------------------------------------------------------------------*/

/* To the brokers, as their configuration says; they borrow the worker. NULL when memory is short; the brokers
 * are taken over otherwise. */
struct connections *connections_create(struct worker *worker, struct brokers *brokers);
void connections_destroy(struct connections *connections); /* never started, or stopped; NULL is fine */

/* Makes them the worker's, in the place of whatever was. */
void connections_use(struct worker *worker, struct connections *connections);
bool connections_start(struct connections *connections); /* false when memory is short */

/* Begins to read certificates and keys anew, as brokers_refresh does. */
void connections_refresh_credentials(struct connections *connections);

/* Politely, until `until` at most (a moment). Suspends. */
void connections_stop(whippet_task *task, struct connections *connections, double until);

/* --- renewal.c: other connections for those there are ---------------------------------------------------*/

/* Once every retired subscription is gone, or shutdown_timeout is over, connections as worker->config says
 * take the place of the old ones; no subscription begins before that. False when memory is short. */
bool renewal_begin(struct worker *worker);

/* Ends it, whatever it has come to. Suspends. */
void renewal_stop(whippet_task *task, struct worker *worker);

/* --- worker.c -------------------------------------------------------------------------------------------*/

/* The time, read anew; worker->clock keeps it. */
double worker_read_clock(struct worker *worker);

/* Whether the machine has the stacks that `config` can come to need; else the errors say so. */
void worker_check_stacks(const struct worker *worker, const struct config *config,
                         struct config_errors *errors);

/* What max_tasks of the configuration, and the machine, leave for processors to spawn. */
void worker_limit_spawning(struct worker *worker);

/* Deliveries that have not ended. */
uint64_t worker_in_flight(const struct worker *worker);

/* Something ended that worker_stop may wait for. */
void worker_progressed(struct worker *worker);

/* Something changed that any of them may wait for. */
void worker_wake_subscriptions(struct worker *worker);

/* --- trial.c: attempts without a broker ------------------------------------------------------------------*/

/* A worker that is never started, and keeps no ledger. */
struct worker *worker_create_for_trial(struct loop *loop, const struct config *config, struct trial *trial,
                                       struct config_errors *errors);

/* In the place of what follows from an attempt: true when the message is to have another. */
bool trial_attempt_ended(struct trial *trial, const struct delivery *delivery);

/* In the place of publishing. */
int trial_publish(struct trial *trial, whippet_task *task, const struct publishing *publishing);

/* No attempt can run. */
void trial_fail(struct trial *trial, const struct whippet_failure *failure);

#endif
