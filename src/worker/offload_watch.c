/* What the threads of whippet_offload are at, for the ledger and the crash report: as in any other executor,
 * a crash in there is the message's. */
#include "worker_internal.h"
#include <async/task.h>
#include <base/memory.h>
#include <worker/crash.h>

/* The ledger takes back all its slots when it closes, which may be before the threads end. */
static void *enter(void *owner)
{
    struct worker *worker = owner;
    struct crash_site *site = memory_allocate_zeroed(sizeof *site);
    if (site == NULL)
        return NULL;
    site->slot = ledger_slot_acquire(worker->ledger);
    crash_enter(site);
    return site;
}

static void leave(void *seat)
{
    if (seat == NULL)
        return;
    crash_leave(seat);
    memory_free(seat);
}

static void begin(void *seat, const whippet_task *task)
{
    struct crash_site *site = seat;
    const struct task_label *label = task_label(task);
    if (site == NULL)
        return;
    site->fields = task_log_fields(task);
    if (label != NULL)
        ledger_slot_mark(site->slot, label);
}

static void end(void *seat)
{
    struct crash_site *site = seat;
    if (site == NULL)
        return;
    ledger_slot_clear(site->slot);
    site->fields = NULL;
}

static const struct offload_observer OBSERVER = {.enter = enter, .leave = leave, .begin = begin, .end = end};

void worker_watch_offload(struct worker *worker, struct loop *loop)
{
    loop_observe_offload(loop, &OBSERVER, worker);
}
