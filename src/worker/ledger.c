/* The ledger's own life, and its slots. */
#include "ledger_format.h"
#include <base/clock.h>
#include <base/log.h>
#include <base/memory.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- Opening --------------------------------------------------------------------------------------------*/

const char *ledger_folder(const struct config *config)
{
    if (config->state_dir != NULL)
        return config->state_dir;
    return access(LEDGER_DEFAULT_FOLDER, W_OK | X_OK) == 0 ? LEDGER_DEFAULT_FOLDER : NULL;
}

static void take_region(struct ledger *ledger, unsigned number)
{
    struct ledger_region *region = &ledger->image->regions[number];
    ledger->region = number;
    memset(region->host, 0, sizeof region->host);
    gethostname(region->host, sizeof region->host - 1);
    ledger_read_boot(region->boot);
    region->process = (uint32_t)getpid();
    atomic_store(&region->crashed, 0);
    atomic_store(&region->in_use, 1);
}

/* Goes through all regions: frees those of the dead, and keeps the first free one. */
static bool find_region(struct ledger *ledger, struct whippet_failure *why)
{
    bool found = false;
    unsigned ours = 0;
    for (unsigned i = 0; i < LEDGER_WORKERS; i++) {
        if (!ledger_lock_region(ledger, i))
            continue;
        bool is_free = atomic_load(&ledger->image->regions[i].in_use) == 0 || ledger_charge_region(ledger, i);
        if (is_free && !found) {
            found = true;
            ours = i;
        } else {
            ledger_unlock_region(ledger, i);
        }
    }
    if (found)
        take_region(ledger, ours);
    else
        failure_set(why, WHIPPET_E_LIMIT,
                    "its %d places for workers are taken, or this file system has no locks; give this worker "
                    "a state_dir of its own",
                    LEDGER_WORKERS);
    return found;
}

static bool open_kept(struct ledger *ledger, const char *folder, struct whippet_failure *why)
{
    if (!ledger_file_open(ledger, folder, why))
        return false;
    if (ledger_lock_suspects(ledger)) {
        ledger_sweep(ledger);
        ledger_unlock_suspects(ledger);
    }
    if (find_region(ledger, why)) {
        /* Looking for it has mapped pages around each region that none of ours will touch. */
        madvise(ledger->image, sizeof *ledger->image, MADV_DONTNEED);
        return true;
    }
    ledger_file_close(ledger);
    return false;
}

static bool open_in_memory(struct ledger *ledger)
{
    ledger->descriptor = -1;
    ledger->image = memory_allocate_zeroed(sizeof *ledger->image);
    if (ledger->image == NULL)
        return false;
    take_region(ledger, 0);
    return true;
}

struct ledger *ledger_open(const char *folder, struct whippet_failure *why)
{
    struct ledger *ledger = memory_allocate_zeroed(sizeof *ledger);
    *why = (struct whippet_failure){0};
    if (ledger == NULL)
        return NULL;
    if (folder == NULL)
        failure_set(why, WHIPPET_E_UNAVAILABLE,
                    "state_dir is not set, and " LEDGER_DEFAULT_FOLDER " can't be written to");
    if ((folder != NULL && open_kept(ledger, folder, why)) || open_in_memory(ledger))
        return ledger;
    memory_free(ledger);
    return NULL;
}

void ledger_close(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    struct ledger_region *region = &ledger->image->regions[ledger->region];
    for (unsigned i = 0; i < LEDGER_SLOTS; i++)
        if (atomic_load(&region->slots[i].taken) != 0)
            ledger_slot_release(&region->slots[i]);
    atomic_store(&region->in_use, 0);
    if (ledger_is_kept(ledger))
        ledger_file_close(ledger);
    else
        memory_free(ledger->image);
    memory_free(ledger);
}

bool ledger_is_kept(const struct ledger *ledger)
{
    return ledger->descriptor >= 0;
}

/* --- For people -----------------------------------------------------------------------------------------*/

static size_t describe_suspect(const struct ledger_suspect *suspect, char *text, size_t size)
{
    struct suspicion suspicion = ledger_suspicion_of(suspect);
    char words[SUSPICION_TEXT];
    suspicion_describe(&suspicion, words);
    int length =
        snprintf(text, size, "\n    %.*s, message %.*s: %s", suspect->mark.queue_length, suspect->mark.queue,
                 suspect->mark.id_length > 0 ? suspect->mark.id_length : INT_MAX,
                 suspect->mark.id_length > 0 ? suspect->mark.id : "without an id", words);
    return length > 0 && (size_t)length < size ? (size_t)length : 0;
}

static void describe_image(const struct ledger *ledger, const char *folder, char *text, size_t size)
{
    unsigned workers = 0, suspects = ledger_suspects(ledger);
    for (unsigned i = 0; i < LEDGER_WORKERS; i++)
        workers += ledger_region_is_locked(ledger, i);
    int length = snprintf(text, size, "%s/whippet-%d.ledger; workers %u, suspects %u", folder, LEDGER_VERSION,
                          workers, suspects);
    size_t used = length > 0 && (size_t)length < size ? (size_t)length : size - 1;
    for (unsigned i = 0; i < LEDGER_SUSPECTS; i++)
        if (ledger->image->suspects[i].check != 0 &&
            ledger->image->suspects[i].mark.queue_length <= LEDGER_TEXT &&
            ledger->image->suspects[i].mark.id_length <= LEDGER_TEXT)
            used += describe_suspect(&ledger->image->suspects[i], text + used, size - used);
    text[used] = '\0';
}

void ledger_describe(const char *folder, char *text, size_t size)
{
    struct ledger ledger;
    struct whippet_failure why;
    if (folder == NULL) {
        snprintf(text, size, "none: state_dir is not set, and " LEDGER_DEFAULT_FOLDER " can't be written to");
    } else if (ledger_file_look(&ledger, folder, &why)) {
        describe_image(&ledger, folder, text, size);
        ledger_file_close(&ledger);
    } else {
        snprintf(text, size, "%s", why.text);
    }
}

/* --- Slots ----------------------------------------------------------------------------------------------*/

struct ledger_slot *ledger_slot_acquire(struct ledger *ledger)
{
    struct ledger_region *region = &ledger->image->regions[ledger->region];
    for (unsigned i = 0; i < LEDGER_SLOTS; i++) {
        struct ledger_slot *slot = &region->slots[i];
        if (atomic_exchange(&slot->taken, 1) != 0)
            continue;
        board_clear(&slot->board);
        atomic_store(&slot->cause, LEDGER_KILLED);
        return slot;
    }
    return NULL;
}

void ledger_slot_release(struct ledger_slot *slot)
{
    if (slot == NULL)
        return;
    board_clear(&slot->board);
    atomic_store(&slot->taken, 0);
}

struct task_board *ledger_slot_board(struct ledger_slot *slot)
{
    return slot != NULL ? &slot->board : NULL;
}

void ledger_slot_mark(struct ledger_slot *slot, const struct task_label *label)
{
    if (slot != NULL)
        board_show(&slot->board, label);
}

void ledger_slot_clear(struct ledger_slot *slot)
{
    if (slot != NULL)
        board_clear(&slot->board);
}

/* The executor may write meanwhile: then what was read is not used. ThreadSanitizer can't know that. */
__attribute__((no_sanitize("thread"))) static bool read_label(const struct task_board *board,
                                                              struct task_label *label)
{
    uint64_t turns = board_turns(board);
    const volatile char *bytes = board->label.bytes;
    for (size_t i = 0; i < sizeof label->bytes; i++)
        label->bytes[i] = bytes[i];
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return turns % 2 == 1 && __atomic_load_n(&board->turns, __ATOMIC_RELAXED) == turns;
}

bool ledger_slot_look(const struct ledger_slot *slot, char queue[LEDGER_TEXT + 1], char id[LEDGER_TEXT + 1],
                      unsigned *attempt)
{
    struct task_label label;
    if (slot == NULL || !read_label(&slot->board, &label))
        return false;
    const struct ledger_mark *mark = (const void *)label.bytes;
    snprintf(queue, LEDGER_TEXT + 1, "%.*s", mark->queue_length, mark->queue);
    snprintf(id, LEDGER_TEXT + 1, "%.*s", mark->id_length, mark->id);
    *attempt = mark->attempt;
    return true;
}

/* --- Causes ---------------------------------------------------------------------------------------------*/

static void note(struct ledger *ledger, struct ledger_slot *slot, int cause)
{
    if (slot != NULL)
        atomic_store(&slot->cause, cause);
    atomic_store(&ledger->image->regions[ledger->region].crashed, 1);
}

void ledger_note_crash(struct ledger *ledger, struct ledger_slot *slot, int signal_number)
{
    note(ledger, slot, signal_number);
}

void ledger_note_stall(struct ledger *ledger, struct ledger_slot *slot, double seconds)
{
    if (slot != NULL)
        atomic_store(&slot->stalled_for, (unsigned)(seconds * 1000));
    note(ledger, slot, LEDGER_STALLED);
}

void ledger_note_end(struct ledger *ledger)
{
    note(ledger, NULL, LEDGER_KILLED);
}
