/* The crash report: what is said, by a handler on a signal stack of its own, when the process is about to die
 * of SIGSEGV, SIGBUS, SIGILL, SIGFPE or SIGABRT.
 *
 * One line names the signal, the address, processor, queue, message id and attempt; then come the frames of
 * the stack, a line each. The cause is noted in the ledger. Then the signal goes on to whoever had it before
 * us: by default the kernel, so that the core dump and the exit status are what they would have been; in a
 * sanitized build the sanitizer, which adds its own report. */
#ifndef WORKER_CRASH_H
#define WORKER_CRASH_H

#include <async/scheduler.h>
#include <base/log.h>
#include <signal.h>
#include <worker/ledger.h>

/* An executor: a thread that runs processors. Owned by its thread, and there until crash_leave. */
struct crash_site {
    struct ledger_slot *slot;        /* where it shows what it is at; may be NULL */
    struct scheduler *scheduler;     /* whose running task is meant; NULL: `fields` says it */
    const struct log_fields *fields; /* of the message whose code runs; NULL while none does */

    /* crash_enter's own. */
    void *memory; /* of the signal stack */
    stack_t stack_before;
};

/* Handles those signals in the whole process, from now on; `ledger` is told of crashes in threads that never
 * entered. Once. */
void crash_install(struct ledger *ledger);

/* Gives them back to whoever had them: the ledger is about to go. */
void crash_uninstall(void);

/* This thread is the executor of that site from now on, with a stack for its signals. False when memory is
 * short: its crashes are reported all the same, but for overflows of its stack. */
bool crash_enter(struct crash_site *site);
void crash_leave(struct crash_site *site);

/* For a handler: what the thread it runs on is at work for; NULL: nothing. */
const struct log_fields *crash_here(void);

/* For a handler: logs the frames of the stack below it, a line each. */
void crash_log_stack(const struct log_fields *fields);

#endif
