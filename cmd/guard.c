#include "guard.h"
#include "exit_codes.h"
#include <base/log.h>
#include <unistd.h>

static void on_stall(void *owner)
{
    (void)owner;
    _exit(EXIT_INTERNAL);
}

void guard_begin(struct guard *guard, struct loop *loop, const struct worker *worker, double stall_limit)
{
    struct whippet_failure failure;
    struct watchdog_options options = {.limit = stall_limit,
                                       .ledger = worker_ledger(worker),
                                       .slot = worker_loop_slot(worker),
                                       .gave_up = on_stall};
    *guard = (struct guard){.site = {.slot = worker_loop_slot(worker), .scheduler = loop_scheduler(loop)}};
    crash_install(worker_ledger(worker));
    if (!crash_enter(&guard->site))
        log_event(WHIPPET_WARNING, NULL,
                  "no memory for a signal stack: an overflow of a task's stack will not be reported");
    guard->watchdog = watchdog_start(loop, &options, &failure);
    if (guard->watchdog == NULL)
        log_event(WHIPPET_WARNING, NULL, "%s: a processor that blocks the loop will not be named, nor ended",
                  failure.text);
}

void guard_end(struct guard *guard)
{
    watchdog_stop(guard->watchdog);
    crash_leave(&guard->site);
    crash_uninstall();
}
