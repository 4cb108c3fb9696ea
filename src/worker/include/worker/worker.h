/* The worker: its connections, its subscriptions, and their beginning and end. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <async/loop.h>
#include <config/config.h>
#include <stats/stats.h>
#include <trace/tracer.h>
#include <worker/ledger.h>
#include <worker/plugin.h>

struct worker;

/* Loads the processor of the queue with that index and checks its settings, without setting it up. False when
 * anything is wrong, with all of it in `errors`; otherwise both are the caller's. */
bool queue_prepare(const struct config *config, size_t index, struct plugin **plugin,
                   whippet_settings **settings, struct config_errors *errors);

/* How the queue's attempts run, for a configuration that leaves it to the processor too. Never
 * RUN_AS_WISHED. */
enum run_mode queue_run_mode(const struct queue_config *queue, const whippet_processor *descriptor);

/* Loads and sets up every queue's processor. `loop` is borrowed; of `config` it holds a reference. NULL
 * when anything is wrong, with all of it in `errors`. */
struct worker *worker_create(struct loop *loop, const struct config *config, const char *version,
                             struct config_errors *errors);
void worker_destroy(struct worker *worker); /* it must have ended, or never begun */

/* From now on the spans of its deliveries are recorded there. Borrowed. Before it starts. */
void worker_trace(struct worker *worker, struct tracer *tracer);

/* Connects and consumes; from now on loop_run turns it. False when memory is short. */
bool worker_start(struct worker *worker);

/* Goes over to another configuration, without a gap, or changes nothing at all: false, with all that is wrong
 * in `errors`. Subscriptions that are the same in both, processor and all, are not touched. Those that
 * changed drain while new ones take over; those that are no more drain and go. Where the connection changed,
 * all do, and it is made anew; else certificates and keys are read again, for connections to come. Of
 * `config` it holds a reference. The log is the caller's to configure. Not while it stops. */
bool worker_reload(struct worker *worker, const struct config *config, struct config_errors *errors);

/* Begins to stop: consumers are cancelled, what has not started is returned, what has is finished, and at
 * shutdown_timeout what is left is cancelled and returned. Then the loop is stopped. Once; again changes
 * nothing. */
void worker_stop(struct worker *worker);

/* True when worker_stop has come to its end by itself, and every delivery has. */
bool worker_has_ended(const struct worker *worker);

/* What the loops of its own threads have offloaded and nobody waits for any more, such as a lookup that
 * hangs: worker_destroy leaves it behind, and the process has to end without waiting for it. NULL is fine. */
size_t worker_offloaded(const struct worker *worker);

/* What may be seen of it from other threads, for as long as it exists. */
struct stats *worker_stats(struct worker *worker);

/* From now on the loop ticks and writes down what is in flight, twice a second: for somebody who looks at the
 * stats. False when memory is short. */
bool worker_observe(struct worker *worker);

/* Logs every message in flight: queue, processor, message id, attempt, state, age. The first lines are
 * written at once; where there are many, the rest follows while the loop turns. */
void worker_log_in_flight(struct worker *worker);

/* One line for each queue, with counters that add up; for the log at the end. */
void worker_log_summary(const struct worker *worker);

/* Its ledger, and the slot of the ledger in which the loop shows what it is at; for the crash report and the
 * watchdog. Borrowed. */
struct ledger *worker_ledger(const struct worker *worker);
struct ledger_slot *worker_loop_slot(const struct worker *worker);

#endif
