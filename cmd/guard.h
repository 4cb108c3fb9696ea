/* What stands by while the worker runs: the crash report and the watchdog. */
#ifndef CMD_GUARD_H
#define CMD_GUARD_H

#include <worker/crash.h>
#include <worker/watchdog.h>
#include <worker/worker.h>

struct guard {
    struct crash_site site;
    struct watchdog *watchdog; /* NULL: there is none */
};

/* In the thread that is going to run the loop. What can't be had is warned of, and gone without. */
void guard_begin(struct guard *guard, struct loop *loop, const struct worker *worker, double stall_limit);
void guard_end(struct guard *guard);

#endif
