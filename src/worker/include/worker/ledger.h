/* The ledger: which message was on the CPU when the worker died, and how often each suspect made it die.
 *
 * It is one small file in state_dir, mapped into memory, so that what was written is still there after
 * SIGSEGV, SIGKILL or the out-of-memory killer. Its size never changes. It holds a region for each worker
 * that uses the folder, and one list of suspects that they share:
 *
 *   - An *executor* (the loop, a thread, a child process) owns a slot of its worker's region. While it runs a
 *     message's code, the slot shows the message's label; otherwise nothing.
 *   - A worker holds a lock on its region, which the kernel drops when it dies. Whoever finds a region that
 * is in use but not locked charges what its slots show to the suspects, once, and frees it.
 *   - A suspect is forgotten when it is settled, or after a week.
 *
 * Where the file can't be used there is a ledger all the same, in plain memory: everything works as before,
 * but nothing is known after a crash. */
#ifndef WORKER_LEDGER_H
#define WORKER_LEDGER_H

#include <async/label.h>
#include <base/failure.h>
#include <config/config.h>
#include <worker/message.h>

struct ledger;
struct ledger_slot;

#define LEDGER_DEFAULT_FOLDER "/var/lib/whippet"

enum {
    LEDGER_WORKERS = 32,   /* on one folder */
    LEDGER_SLOTS = 776,    /* executors of one worker: a loop, 256 threads, and those of whippet_offload */
    LEDGER_SUSPECTS = 256, /* of all; the oldest makes room */
    LEDGER_TEXT = 40,      /* bytes kept of a queue's name and of a message's id, for people */
};

/* --- Opening --------------------------------------------------------------------------------------------*/

/* The folder where the configuration wants it; NULL when it names none and the default can't be written to.
 */
const char *ledger_folder(const struct config *config);

/* Makes or opens the ledger in `folder` (made if it is missing; NULL: none), and charges what dead workers
 * left there, with a line in the log for each. One of a folder in a process. Where that is not possible the
 * ledger is one in memory and `why` says why; why->error is 0 otherwise. NULL only when memory is short. */
struct ledger *ledger_open(const char *folder, struct whippet_failure *why);
void ledger_close(struct ledger *ledger); /* nothing of ours is left to be charged; NULL is fine */

bool ledger_is_kept(const struct ledger *ledger); /* in a file, that is */

/* What there is in `folder`, one or more lines of text for `whippet check`: changes and creates nothing. */
void ledger_describe(const char *folder, char *text, size_t size);

/* --- Executors ------------------------------------------------------------------------------------------*/

/* A slot for an executor of this worker; NULL when all are taken, which costs that executor its protection.
 * Acquire and release from any thread; mark and clear from the executor alone. A forked child goes on
 * with its parent's mapping. */
struct ledger_slot *ledger_slot_acquire(struct ledger *ledger);
void ledger_slot_release(struct ledger_slot *slot);

/* Where a scheduler shows the label of its running task. */
struct task_board *ledger_slot_board(struct ledger_slot *slot);

/* For an executor without a scheduler: the message's code is about to run here, and has returned. A few
 * nanoseconds each. NULL slots are fine. */
void ledger_slot_mark(struct ledger_slot *slot, const struct task_label *label);
void ledger_slot_clear(struct ledger_slot *slot);

/* Whose label the slot shows at the moment: the beginnings of its queue's name and of its id, NUL-terminated,
 * and the attempt. False when it shows none, or another by the time it was read. From any thread. */
bool ledger_slot_look(const struct ledger_slot *slot, char queue[LEDGER_TEXT + 1], char id[LEDGER_TEXT + 1],
                      unsigned *attempt);

/* --- Causes ---------------------------------------------------------------------------------------------*/

/* What this process is about to die of: a signal's number, in `slot`'s executor (NULL: in code of ours). What
 * other slots show is not charged then. Safe in a signal's handler. */
void ledger_note_crash(struct ledger *ledger, struct ledger_slot *slot, int signal_number);

/* Or of a stall: the executor has been blocked for so long, and the process is ended for it. From any thread.
 */
void ledger_note_stall(struct ledger *ledger, struct ledger_slot *slot, double seconds);

/* It is to end, and whoever kills it from now on has lost patience: no message is charged for that. One that
 * crashes it, or blocks the loop, still is. */
void ledger_note_end(struct ledger *ledger);

/* --- Identities -----------------------------------------------------------------------------------------*/

/* What the labels of all messages of a queue begin with. */
void ledger_label_queue(struct task_label *label, const char *name);

/* Makes the label of a message's attempt out of its queue's; `id` is what whippet_message_id says, which
 * every caller has at hand. The message is known by queue and message id; without an id by queue, routing key
 * and body. Of a large body without an id only samples are looked at, unless `thorough`: then all of it is
 * read, and the label also fits what only samples were known of. */
void ledger_label_message(struct task_label *label, const whippet_message *message, whippet_bytes id,
                          bool thorough);

/* The same message's next attempt. */
void ledger_label_attempt(struct task_label *label, unsigned attempt);

/* --- Suspects -------------------------------------------------------------------------------------------*/

struct suspicion {
    unsigned crashes;
    int signal_number;  /* of the last; 0: killed by SIGKILL or the system; -1: it blocked the loop */
    double stalled_for; /* seconds, when it did */
    double at;          /* of the last; seconds since 1970, 0: unknown */
};

enum {
    SUSPICION_TEXT = 160
};

/* "crashed the worker 3 times, the last time by SIGSEGV on 2026-…" */
void suspicion_describe(const struct suspicion *suspicion, char text[SUSPICION_TEXT]);

/* Whether the message of a label is a suspect, and then of what. Also charges what other workers of the
 * folder that died meanwhile left; so ask for redelivered messages only. */
bool ledger_find_suspect(struct ledger *ledger, const struct task_label *label, struct suspicion *suspicion);

/* It was settled, and is none any more. */
void ledger_forget(struct ledger *ledger, const struct task_label *label);

/* How many suspects there are. */
unsigned ledger_suspects(const struct ledger *ledger);

/* For tests: when set, it is asked before each system call on the ledger's file ("open", "mmap" …), and an
 * answer other than 0 is the errno that the call fails with. */
extern int (*ledger_fault)(const char *call);

#endif
