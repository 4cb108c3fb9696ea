/* What lies in the ledger's file, and what its files share. Plain memory: in the byte order and the alignment
 * of the machine, since no other ever reads it. */
#ifndef WORKER_LEDGER_FORMAT_H
#define WORKER_LEDGER_FORMAT_H

#include <stdatomic.h>
#include <worker/ledger.h>

enum {
    LEDGER_VERSION = 2, /* a part of the file's name: another version has a file of its own */
    LEDGER_BOOT_SIZE = 40,
};

enum ledger_cause {
    LEDGER_KILLED =
        0, /* nobody noted anything: SIGKILL, the out-of-memory killer, a processor that ended the process */
    LEDGER_STALLED = -1,
    /* else a signal's number */
};

/* What a label says, in its bytes. */
struct ledger_mark {
    uint64_t identity[2]; /* of the message; of its samples, where it is not exact */
    uint64_t samples[2];  /* identity of the samples, of a large message that is known exactly; else 0 */
    uint32_t attempt;
    uint8_t exact;        /* 0 or 1; no bool, since in a torn file it may be anything */
    uint8_t queue_length; /* of the texts, as much as there was room for */
    uint8_t id_length;
    uint8_t unused;
    char queue[LEDGER_TEXT];
    char id[LEDGER_TEXT];
};
_Static_assert(sizeof(struct ledger_mark) == TASK_LABEL_SIZE, "a mark fills a label");

struct ledger_slot {
    struct task_board board;
    atomic_uint taken;
    atomic_int cause;        /* of the end that this executor brought about; enum ledger_cause */
    atomic_uint stalled_for; /* milliseconds, with LEDGER_STALLED */
    char unused[52];
};
_Static_assert(sizeof(struct ledger_slot) == 192, "slots share no cache line");

/* One worker's. */
struct ledger_region {
    atomic_uint in_use;
    atomic_int crashed; /* the process noted a cause: only the slots that have one are charged */
    uint32_t process;
    char boot[LEDGER_BOOT_SIZE]; /* of the machine: after a power cut nobody is charged */
    char host[64];
    char unused[140];
    struct ledger_slot slots[LEDGER_SLOTS];
};

struct ledger_suspect {
    uint64_t check; /* of all that follows; 0: no suspect here */
    struct ledger_mark mark;
    uint32_t crashes;
    int32_t cause;
    uint32_t stalled_for; /* milliseconds */
    uint32_t unused;
    double at; /* the last crash, seconds since 1970 */
};

struct ledger_header {
    char magic[16];
    uint32_t version, size, workers, slots, suspects;
    uint32_t unused;
    uint64_t check;            /* of the above */
    atomic_uint suspect_count; /* of valid ones */
};

struct ledger_image {
    union {
        struct ledger_header header;
        char page[4096];
    };
    struct ledger_region regions[LEDGER_WORKERS];
    struct ledger_suspect suspects[LEDGER_SUSPECTS];
};

struct ledger {
    struct ledger_image *image;
    int descriptor;  /* -1: in memory only */
    unsigned region; /* ours */
};

/* --- ledger_file.c --------------------------------------------------------------------------------------*/

/* Opens, and makes if need be, the file, and maps it. False with `why`. */
bool ledger_file_open(struct ledger *ledger, const char *folder, struct whippet_failure *why);
void ledger_file_close(struct ledger *ledger);

/* As this version writes it; and the check, of a header that was changed. */
void ledger_header_fill(struct ledger_header *header);
void ledger_header_seal(struct ledger_header *header);

/* Only looks: an image that can be read, to be given to ledger_file_close. */
bool ledger_file_look(struct ledger *ledger, const char *folder, struct whippet_failure *why);

/* The locks, of the process: none of them waits long, none is inherited by a child. In memory all succeed. */
bool ledger_lock_region(struct ledger *ledger, unsigned region);
void ledger_unlock_region(struct ledger *ledger, unsigned region);
bool ledger_region_is_locked(const struct ledger *ledger, unsigned region); /* by another worker */
bool ledger_lock_suspects(struct ledger *ledger);
void ledger_unlock_suspects(struct ledger *ledger);

/* --- ledger_suspects.c ----------------------------------------------------------------------------------*/

/* Drops what is torn or too old. With the suspects locked. */
void ledger_sweep(struct ledger *ledger);

/* Charges what the slots of a dead worker's region show, and frees the region. With that region locked. False
 * when the suspects can't be had at the moment. */
bool ledger_charge_region(struct ledger *ledger, unsigned region);

void ledger_read_boot(char boot[LEDGER_BOOT_SIZE]);
struct suspicion ledger_suspicion_of(const struct ledger_suspect *suspect);

#endif
