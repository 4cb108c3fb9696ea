/* The `whippet` program under test, run as a user runs it. */
#ifndef TESTS_SUPPORT_WORKER_H
#define TESTS_SUPPORT_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct worker;

/* Writes a configuration and starts `whippet run` on it. Both texts are JSON with ' in place of ".
 * `options` are further top-level members ("'shutdown_timeout': '2s'"; "" for none); without 'amqp' among
 * them the worker goes to the stage's broker. `queues` is the list of queues, printf-style. */
struct worker *worker_start(const char *options, const char *queues, ...)
    __attribute__((format(printf, 2, 3)));

/* Has those that start from now on run by `prefix` (NULL-terminated; "nsenter …"); NULL: by nothing.
 * Borrowed. */
void worker_run_by(const char *const *prefix);

/* Writes another configuration, as worker_start does, sends SIGHUP and awaits the log's word that it is in
 * effect. */
void worker_reload(struct worker *worker, const char *options, const char *queues, ...)
    __attribute__((format(printf, 3, 4)));

/* The same without the signal, for tests that send it by themselves. */
void worker_configure(struct worker *worker, const char *options, const char *queues, ...)
    __attribute__((format(printf, 3, 4)));

/* Starts one that has ended anew, on the same configuration and log, as a supervisor would. */
void worker_start_again(struct worker *worker);

/* The configuration that was written for it. */
const char *worker_configuration(const struct worker *worker);

/* Awaits a consumer on the queue. */
void worker_await_consuming(struct worker *worker, const char *queue);

enum {
    WORKER_ANY_STATUS = -1
};

/* Awaits its end within `seconds`; its exit status (or 128 and the signal's number) must be `expected`. */
void worker_await_end(struct worker *worker, double seconds, int expected);

/* Sends SIGTERM and awaits the end, with status 0. */
void worker_stop(struct worker *worker, double seconds);

/* Awaits a line on standard error that holds `text`. */
void worker_await_saying(struct worker *worker, double seconds, const char *text);

void worker_signal(struct worker *worker, int signal_number);
bool worker_runs(struct worker *worker);
pid_t worker_pid(const struct worker *worker);

/* How many lines it wrote to standard error that hold `text`. */
unsigned worker_said(const struct worker *worker, const char *text);

/* Whether the first line with `text` stands before the first with `other`; fails the test when either is
 * missing.
 */
bool worker_said_before(const struct worker *worker, const char *text, const char *other);

/* The number behind `text` in the last line that it wrote with it; fails the test when there is none. */
unsigned worker_number_behind(const struct worker *worker, const char *text);

/* What became of a queue's messages. */
struct worker_counts {
    unsigned long consumed;
    unsigned long acked;
    unsigned long retried;
    unsigned long dead_lettered;
    unsigned long discarded;
    unsigned long returned;
    unsigned long in_flight;
};

/* What it printed of a queue when it ended, of a subscription that a reload replaced too; fails the test when
 * there is no such line. */
struct worker_counts worker_counts(const struct worker *worker, const char *queue);

/* The sum over all queues and over all workers that have ended by themselves. */
struct worker_counts workers_counts(void);

/* How often its threads gave up the CPU by themselves so far: wake-ups. */
uint64_t worker_switches(const struct worker *worker);

/* How many messages it has in flight; asks with SIGUSR1. */
unsigned long worker_in_flight(struct worker *worker);

/* What it holds of the system: descriptors, threads, mappings. */
struct worker_holdings {
    unsigned descriptors;
    unsigned threads;
    unsigned mappings;
};

struct worker_holdings worker_holdings(const struct worker *worker);

/* It was built with ThreadSanitizer, which makes it ten times slower, and several times larger. */
bool worker_is_traced(void);

/* Resident memory, and the most there ever was, in bytes. */
uint64_t worker_memory(const struct worker *worker);
uint64_t worker_memory_peak(const struct worker *worker);

/* Kills those that still run, and prints the end of what those wrote that did not end as expected; for
 * stage_close. */
void workers_end(void);

#endif
