/* Suspects: charged with what dead workers left, looked up when they come again, forgotten when they are
 * settled. */
#include "ledger_format.h"
#include <base/clock.h>
#include <base/log.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static const double EXPIRY = 7 * 86400; /* seconds after the last crash */

void ledger_read_boot(char boot[LEDGER_BOOT_SIZE])
{
    memset(boot, 0, LEDGER_BOOT_SIZE);
    int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    ssize_t got = read(file, boot, LEDGER_BOOT_SIZE - 1);
    close(file);
    if (got < 0)
        memset(boot, 0, LEDGER_BOOT_SIZE);
}

/* --- The list -------------------------------------------------------------------------------------------*/

static uint64_t check_of(const struct ledger_suspect *suspect)
{
    const char *start = (const char *)suspect + sizeof suspect->check;
    return XXH3_64bits(start, sizeof *suspect - sizeof suspect->check) | 1;
}

/* A suspect counts from its check on: one that was being written when its writer died counts for nothing. */
static void begin_change(struct ledger_suspect *suspect)
{
    __atomic_store_n(&suspect->check, 0, __ATOMIC_RELEASE);
}

static void end_change(struct ledger_suspect *suspect)
{
    __atomic_store_n(&suspect->check, check_of(suspect), __ATOMIC_RELEASE);
}

static bool is_there(const struct ledger_suspect *suspect)
{
    return __atomic_load_n(&suspect->check, __ATOMIC_ACQUIRE) != 0;
}

static bool has_expired(const struct ledger_suspect *suspect, double now)
{
    return !(fabs(now - suspect->at) <= EXPIRY);
}

unsigned ledger_suspects(const struct ledger *ledger)
{
    return atomic_load_explicit(&ledger->image->header.suspect_count, memory_order_relaxed);
}

void ledger_sweep(struct ledger *ledger)
{
    double now = clock_wall();
    unsigned count = 0;
    for (unsigned i = 0; i < LEDGER_SUSPECTS; i++) {
        struct ledger_suspect *suspect = &ledger->image->suspects[i];
        if (is_there(suspect) && (suspect->check != check_of(suspect) || has_expired(suspect, now)))
            begin_change(suspect);
        count += is_there(suspect);
    }
    atomic_store(&ledger->image->header.suspect_count, count);
}

static struct ledger_suspect *find(const struct ledger *ledger, const uint64_t identity[2], bool exact)
{
    unsigned left = ledger_suspects(ledger);
    for (unsigned i = 0; i < LEDGER_SUSPECTS && left > 0; i++) {
        struct ledger_suspect *suspect = &ledger->image->suspects[i];
        if (!is_there(suspect))
            continue;
        if (suspect->mark.exact == exact &&
            memcmp(suspect->mark.identity, identity, sizeof suspect->mark.identity) == 0)
            return suspect;
        left--;
    }
    return NULL;
}

static struct ledger_suspect *find_free(struct ledger *ledger)
{
    struct ledger_suspect *oldest = &ledger->image->suspects[0];
    for (unsigned i = 0; i < LEDGER_SUSPECTS; i++) {
        struct ledger_suspect *suspect = &ledger->image->suspects[i];
        if (!is_there(suspect))
            return suspect;
        if (suspect->at < oldest->at)
            oldest = suspect;
    }
    log_event(
        WHIPPET_WARNING, NULL,
        "the ledger is full: of its %d suspects the oldest is forgotten, and may crash the worker again",
        LEDGER_SUSPECTS);
    return oldest;
}

/* --- Charging -------------------------------------------------------------------------------------------*/

struct suspicion ledger_suspicion_of(const struct ledger_suspect *suspect)
{
    return (struct suspicion){
        .crashes = suspect->crashes,
        .signal_number = suspect->cause,
        .stalled_for = suspect->stalled_for / 1000.0,
        .at = suspect->at,
    };
}

static void describe_cause(const struct suspicion *suspicion, char *text, size_t size)
{
    const char *name = suspicion->signal_number > 0 ? sigabbrev_np(suspicion->signal_number) : NULL;
    if (suspicion->signal_number == LEDGER_KILLED)
        snprintf(text, size, "killed (SIGKILL, or the system was out of memory)");
    else if (suspicion->signal_number == LEDGER_STALLED)
        snprintf(text, size, "blocked the loop for %.0f s", suspicion->stalled_for);
    else if (name != NULL)
        snprintf(text, size, "SIG%s", name);
    else
        snprintf(text, size, "signal %d", suspicion->signal_number);
}

void suspicion_describe(const struct suspicion *suspicion, char text[SUSPICION_TEXT])
{
    char cause[64], at[CLOCK_TEXT_SIZE];
    describe_cause(suspicion, cause, sizeof cause);
    clock_format(suspicion->at, at);
    snprintf(text, SUSPICION_TEXT, "crashed the worker %u time%s, %s: %s, found at %s", suspicion->crashes,
             suspicion->crashes == 1 ? "" : "s", suspicion->crashes == 1 ? "once" : "the last time", cause,
             at);
}

static void report_charge(const struct ledger_suspect *suspect, const struct ledger_region *region)
{
    struct suspicion suspicion = ledger_suspicion_of(suspect);
    char cause[64], queue[LEDGER_TEXT + 1];
    snprintf(queue, sizeof queue, "%.*s", suspect->mark.queue_length, suspect->mark.queue);
    struct log_fields fields = {
        .queue = queue,
        .attempt = suspect->mark.attempt,
        .message_id = {suspect->mark.id_length > 0 ? suspect->mark.id : NULL, suspect->mark.id_length},
    };
    describe_cause(&suspicion, cause, sizeof cause);
    log_event(WHIPPET_WARNING, &fields,
              "a worker (process %u on %.63s) died while this message was at work: %s; its crash number %u",
              region->process, region->host, cause, suspicion.crashes);
}

/* With the suspects locked. */
static void charge(struct ledger *ledger, const struct ledger_slot *slot, const struct ledger_region *region)
{
    const struct ledger_mark *mark = (const void *)slot->board.label.bytes;
    struct ledger_suspect *suspect = find(ledger, mark->identity, mark->exact);
    bool known = suspect != NULL;
    if (!known)
        suspect = find_free(ledger);
    unsigned crashes = known ? suspect->crashes : 0;
    bool is_new = !is_there(suspect);
    begin_change(suspect);
    *suspect = (struct ledger_suspect){
        .mark = *mark,
        .crashes = crashes + 1,
        .cause = atomic_load(&slot->cause),
        .stalled_for = atomic_load(&slot->stalled_for),
        .at = clock_wall(),
    };
    end_change(suspect);
    if (is_new)
        atomic_fetch_add(&ledger->image->header.suspect_count, 1);
    report_charge(suspect, region);
}

/* Where the process noted what it died of, only those who brought it about are guilty. */
static bool is_guilty(const struct ledger_region *region, const struct ledger_slot *slot)
{
    bool noted = atomic_load(&region->crashed) != 0;
    return board_is_taken(&slot->board) && (!noted || atomic_load(&slot->cause) != LEDGER_KILLED);
}

static bool is_sound(const struct ledger_slot *slot)
{
    const struct ledger_mark *mark = (const void *)slot->board.label.bytes;
    return mark->exact <= 1 && mark->queue_length <= LEDGER_TEXT && mark->id_length <= LEDGER_TEXT;
}

bool ledger_charge_region(struct ledger *ledger, unsigned number)
{
    struct ledger_region *region = &ledger->image->regions[number];
    char boot[LEDGER_BOOT_SIZE];
    if (!ledger_lock_suspects(ledger))
        return false;
    ledger_read_boot(boot);
    bool same_boot = memcmp(boot, region->boot, sizeof boot) == 0;
    for (unsigned i = 0; i < LEDGER_SLOTS; i++) {
        struct ledger_slot *slot = &region->slots[i];
        if (same_boot && is_guilty(region, slot) && is_sound(slot))
            charge(ledger, slot, region);
        board_clear(&slot->board);
        atomic_store(&slot->cause, LEDGER_KILLED);
        atomic_store(&slot->taken, 0);
    }
    atomic_store(&region->crashed, 0);
    atomic_store(&region->in_use, 0);
    ledger_unlock_suspects(ledger);
    return true;
}

/* Where another worker of the folder died, and its message came to us before it is back. */
static void charge_dead_workers(struct ledger *ledger)
{
    for (unsigned i = 0; i < LEDGER_WORKERS; i++) {
        if (i == ledger->region ||
            atomic_load_explicit(&ledger->image->regions[i].in_use, memory_order_relaxed) == 0)
            continue;
        if (!ledger_lock_region(ledger, i))
            continue;
        if (atomic_load(&ledger->image->regions[i].in_use) != 0)
            ledger_charge_region(ledger, i);
        ledger_unlock_region(ledger, i);
    }
}

/* --- Asking and forgetting ------------------------------------------------------------------------------*/

/* Only samples were known when it crashed; from now on it is this very message, and not the next that looks
 * like it. */
static struct ledger_suspect *find_by_samples(struct ledger *ledger, const struct ledger_mark *mark)
{
    struct ledger_suspect *suspect = find(ledger, mark->samples, false);
    if (suspect == NULL || !ledger_lock_suspects(ledger))
        return NULL;
    begin_change(suspect);
    memcpy(suspect->mark.identity, mark->identity, sizeof mark->identity);
    suspect->mark.exact = true;
    end_change(suspect);
    ledger_unlock_suspects(ledger);
    return suspect;
}

bool ledger_find_suspect(struct ledger *ledger, const struct task_label *label, struct suspicion *suspicion)
{
    const struct ledger_mark *mark = (const void *)label->bytes;
    charge_dead_workers(ledger);
    struct ledger_suspect *suspect = find(ledger, mark->identity, mark->exact);
    if (suspect == NULL && (mark->samples[0] | mark->samples[1]) != 0)
        suspect = find_by_samples(ledger, mark);
    if (suspect == NULL || has_expired(suspect, clock_wall()))
        return false;
    *suspicion = ledger_suspicion_of(suspect);
    return true;
}

void ledger_forget(struct ledger *ledger, const struct task_label *label)
{
    const struct ledger_mark *mark = (const void *)label->bytes;
    if (!ledger_lock_suspects(ledger))
        return;
    struct ledger_suspect *suspect = find(ledger, mark->identity, mark->exact);
    if (suspect != NULL) {
        begin_change(suspect);
        atomic_fetch_sub(&ledger->image->header.suspect_count, 1);
    }
    ledger_unlock_suspects(ledger);
}
