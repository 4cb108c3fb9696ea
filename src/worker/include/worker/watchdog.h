/* The watchdog: a thread that notices when the loop does not turn.
 *
 * A processor that computes, or calls something that waits, holds up every other message, and the heartbeats.
 * The watchdog names it within two seconds, with the frames of the loop's stack, again at growing intervals,
 * and once more when the loop goes on. Past `limit` it gives up: the ledger is told, and then whoever started
 * it, to end the process.
 *
 * While the loop is idle the watchdog sleeps. It watches itself too: where it was woken late, the process was
 * stopped, debugged, or the machine asleep, and that time counts as nobody's stall.
 *
 * Whether the loop turns, for health checks and for systemd's watchdog: loop_busy_for of <async/loop.h>. */
#ifndef WORKER_WATCHDOG_H
#define WORKER_WATCHDOG_H

#include <async/loop.h>
#include <worker/ledger.h>

struct watchdog;

struct watchdog_options {
    double limit;             /* seconds; INFINITY: none */
    struct ledger *ledger;    /* is told of a stall past the limit */
    struct ledger_slot *slot; /* the loop's; may be NULL */

    /* Called in the watchdog's thread past the limit; if it returns, the watchdog goes on. */
    void (*gave_up)(void *owner);
    void *owner;
};

/* Watches the loop that the calling thread is going to run: after crash_enter, before loop_run. Takes SIGURG,
 * by which it asks the thread where it is (its default is to be ignored, so that nobody else minds; a system
 * call that waits in a blocked loop may return early with EINTR). NULL with the failure when there are no
 * descriptors, threads or memory for it. */
struct watchdog *watchdog_start(struct loop *loop, const struct watchdog_options *options,
                                struct whippet_failure *failure);
void watchdog_stop(struct watchdog *watchdog); /* NULL is fine */

#endif
