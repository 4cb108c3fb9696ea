/* The ledger's file: how it comes to be, how it is told from anything else, and its locks. */
#include "ledger_format.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static const char MAGIC[16] = "whippet ledger\n";

enum {
    TRIES = 3, /* where another worker makes or replaces the file at the same time */
    SUSPECTS_LOCK = 0,
    REGION_LOCK = 1, /* and one more a region */
};

struct paths {
    char file[PATH_MAX];
    char draft[PATH_MAX];
    char aside[PATH_MAX];
};

int (*ledger_fault)(const char *call);

/* Whether a test wants the call to fail; errno is set then. */
static bool faulty(const char *call)
{
    int error = ledger_fault != NULL ? ledger_fault(call) : 0;
    if (error != 0)
        errno = error;
    return error != 0;
}

static bool fail(struct whippet_failure *why, const char *what, const char *path)
{
    const char *advice = errno == ENOSPC || errno == EDQUOT ? "; make room there"
                         : errno == EROFS || errno == EACCES || errno == EPERM
                             ? "; set state_dir to a folder that this user can write to"
                             : "";
    failure_set(why, WHIPPET_E_SYSTEM, "%s %s: %s%s", what, path, strerrordesc_np(errno), advice);
    return false;
}

static bool make_paths(struct paths *paths, const char *folder, struct whippet_failure *why)
{
    int length = snprintf(paths->file, sizeof paths->file, "%s/whippet-%d.ledger", folder, LEDGER_VERSION);
    if (length < 0 || length + 16 >= PATH_MAX) {
        failure_set(why, WHIPPET_E_INVALID, "the path of the folder is too long");
        return false;
    }
    memcpy(paths->draft, paths->file, sizeof paths->draft);
    strcat(paths->draft, ".XXXXXX");
    memcpy(paths->aside, paths->file, sizeof paths->aside);
    strcat(paths->aside, ".damaged");
    return true;
}

/* --- Making it ------------------------------------------------------------------------------------------*/

void ledger_header_fill(struct ledger_header *header)
{
    *header = (struct ledger_header){.version = LEDGER_VERSION,
                                     .size = sizeof(struct ledger_image),
                                     .workers = LEDGER_WORKERS,
                                     .slots = LEDGER_SLOTS,
                                     .suspects = LEDGER_SUSPECTS};
    memcpy(header->magic, MAGIC, sizeof header->magic);
    ledger_header_seal(header);
}

void ledger_header_seal(struct ledger_header *header)
{
    header->check = XXH3_64bits(header, offsetof(struct ledger_header, check));
}

/* All of its blocks are there from the start: a page that the disk has no room for would be a SIGBUS. */
static bool write_draft(int draft)
{
    struct ledger_header header;
    ledger_header_fill(&header);
    if (faulty("fallocate"))
        return false;
    int error = posix_fallocate(draft, 0, sizeof(struct ledger_image));
    if (error != 0) {
        errno = error;
        return false;
    }
    if (faulty("write"))
        return false;
    ssize_t written = pwrite(draft, &header, sizeof header, 0);
    if (written >= 0 && written < (ssize_t)sizeof header)
        errno = ENOSPC;
    return written == (ssize_t)sizeof header;
}

/* It appears under its name whole or not at all, and never in the place of another. */
static bool make_file(const struct paths *paths, struct whippet_failure *why)
{
    char draft_path[PATH_MAX];
    memcpy(draft_path, paths->draft, sizeof draft_path);
    int draft = faulty("create") ? -1 : mkostemp(draft_path, O_CLOEXEC);
    if (draft < 0)
        return fail(why, "cannot make", paths->file);
    bool made = write_draft(draft) || fail(why, "cannot write", paths->file);
    if (made)
        made = (!faulty("link") && link(draft_path, paths->file) == 0) || errno == EEXIST ||
               fail(why, "cannot make", paths->file);
    unlink(draft_path);
    close(draft);
    return made;
}

/* --- Telling it from others -----------------------------------------------------------------------------*/

enum judgement {
    SOUND,
    DAMAGED, /* ours, or nothing at all */
    FOREIGN,
    UNREADABLE,
};

static bool is_all_zero(const void *data, size_t size)
{
    const char *bytes = data;
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static enum judgement judge(int descriptor, const char *path, struct whippet_failure *why)
{
    struct ledger_header header = {0}, expected;
    struct stat status;
    if (faulty("fstat") || fstat(descriptor, &status) != 0) {
        fail(why, "cannot look at", path);
        return UNREADABLE;
    }
    ssize_t got = S_ISREG(status.st_mode) && !faulty("read") ? pread(descriptor, &header, sizeof header, 0)
                                                             : (S_ISREG(status.st_mode) ? -1 : 0);
    if (got < 0) {
        fail(why, "cannot read", path);
        return UNREADABLE;
    }
    ledger_header_fill(&expected);
    bool is_ours = memcmp(header.magic, MAGIC, sizeof MAGIC) == 0;
    if (is_ours && header.version != LEDGER_VERSION &&
        header.check == XXH3_64bits(&header, offsetof(struct ledger_header, check))) {
        failure_set(why, WHIPPET_E_INVALID, "%s is of another version (%u); move it away", path,
                    header.version);
        return FOREIGN;
    }
    if (!S_ISREG(status.st_mode) || (!is_ours && !is_all_zero(&header, (size_t)got))) {
        failure_set(why, WHIPPET_E_INVALID, "%s is no ledger of Whippet's, and left as it is; move it away",
                    path);
        return FOREIGN;
    }
    bool is_sound = memcmp(&header, &expected, offsetof(struct ledger_header, suspect_count)) == 0 &&
                    status.st_size == (off_t)sizeof(struct ledger_image);
    if (!is_sound)
        failure_set(why, WHIPPET_E_INVALID, "%s is damaged", path);
    return is_sound ? SOUND : DAMAGED;
}

/* --- Locks ----------------------------------------------------------------------------------------------*/

/* Of the process (fcntl's classic ones): no child inherits them, and they go before the connections do when
 * the process dies, so that whoever is given its messages finds them gone. But closing any descriptor of the
 * file would drop them: no other part of the process may open it. */
static bool lock_bytes(int descriptor, int command, short type, off_t start, off_t length)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    if (faulty("lock"))
        return false;
    int result = fcntl(descriptor, command, &lock);
    return result == 0 && (command != F_GETLK || lock.l_type != F_UNLCK);
}

bool ledger_lock_region(struct ledger *ledger, unsigned region)
{
    return ledger->descriptor < 0 ||
           lock_bytes(ledger->descriptor, F_SETLK, F_WRLCK, REGION_LOCK + (off_t)region, 1);
}

void ledger_unlock_region(struct ledger *ledger, unsigned region)
{
    if (ledger->descriptor >= 0)
        lock_bytes(ledger->descriptor, F_SETLK, F_UNLCK, REGION_LOCK + (off_t)region, 1);
}

bool ledger_region_is_locked(const struct ledger *ledger, unsigned region)
{
    return ledger->descriptor >= 0 &&
           lock_bytes(ledger->descriptor, F_GETLK, F_WRLCK, REGION_LOCK + (off_t)region, 1);
}

/* It is held for microseconds, except by a process that was stopped meanwhile: not to be waited for. */
bool ledger_lock_suspects(struct ledger *ledger)
{
    enum {
        YIELDS = 10,
        NAPS = 10
    };
    const struct timespec nap = {.tv_nsec = 50000};
    if (ledger->descriptor < 0)
        return true;
    for (int i = 0; i < YIELDS + NAPS; i++) {
        if (lock_bytes(ledger->descriptor, F_SETLK, F_WRLCK, SUSPECTS_LOCK, 1))
            return true;
        if (errno != EAGAIN && errno != EACCES)
            return false;
        if (i < YIELDS)
            sched_yield();
        else
            nanosleep(&nap, NULL);
    }
    return false;
}

void ledger_unlock_suspects(struct ledger *ledger)
{
    if (ledger->descriptor >= 0)
        lock_bytes(ledger->descriptor, F_SETLK, F_UNLCK, SUSPECTS_LOCK, 1);
}

/* --- Opening --------------------------------------------------------------------------------------------*/

/* Renames what is damaged, unless a worker has it open still, or it is not the one at the path any more. */
static bool set_aside(int descriptor, const struct paths *paths)
{
    struct stat open_one, named_one;
    return lock_bytes(descriptor, F_SETLK, F_WRLCK, 0, 0) && fstat(descriptor, &open_one) == 0 &&
           stat(paths->file, &named_one) == 0 && open_one.st_ino == named_one.st_ino && !faulty("rename") &&
           rename(paths->file, paths->aside) == 0;
}

/* One try: the descriptor of a sound ledger; -1 with the failure, or without any for another try. */
static int try_open(const struct paths *paths, struct whippet_failure *why)
{
    int descriptor = faulty("open") ? -1 : open(paths->file, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    why->error = 0;
    if (descriptor < 0) {
        if (errno == ENOENT)
            make_file(paths, why);
        else
            fail(why, "cannot open", paths->file);
        return -1;
    }
    enum judgement judgement = judge(descriptor, paths->file, why);
    if (judgement == SOUND)
        return descriptor;
    if (judgement == DAMAGED && set_aside(descriptor, paths))
        why->error = 0;
    close(descriptor);
    return -1;
}

static bool map(struct ledger *ledger, int protection)
{
    void *memory = faulty("mmap")
                       ? MAP_FAILED
                       : mmap(NULL, sizeof *ledger->image, protection, MAP_SHARED, ledger->descriptor, 0);
    ledger->image = memory != MAP_FAILED ? memory : NULL;
    return ledger->image != NULL;
}

bool ledger_file_open(struct ledger *ledger, const char *folder, struct whippet_failure *why)
{
    struct paths paths;
    if (!make_paths(&paths, folder, why))
        return false;
    if ((faulty("mkdir") || mkdir(folder, 0755) != 0) && errno != EEXIST)
        return fail(why, "cannot make the folder", folder);
    why->error = 0;
    ledger->descriptor = -1;
    for (int i = 0; i < TRIES && ledger->descriptor < 0 && why->error == 0; i++)
        ledger->descriptor = try_open(&paths, why);
    if (ledger->descriptor < 0) {
        if (why->error == 0)
            failure_set(why, WHIPPET_E_SYSTEM, "%s comes and goes", paths.file);
        return false;
    }
    if (map(ledger, PROT_READ | PROT_WRITE))
        return true;
    fail(why, "cannot map", paths.file);
    ledger_file_close(ledger);
    return false;
}

bool ledger_file_look(struct ledger *ledger, const char *folder, struct whippet_failure *why)
{
    struct paths paths;
    *ledger = (struct ledger){.descriptor = -1, .region = LEDGER_WORKERS};
    if (!make_paths(&paths, folder, why))
        return false;
    ledger->descriptor = faulty("open") ? -1 : open(paths.file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (ledger->descriptor < 0 && errno == ENOENT) {
        failure_set(why, WHIPPET_E_UNAVAILABLE, "%s, which is not there yet", paths.file);
        return false;
    }
    if (ledger->descriptor < 0)
        return fail(why, "cannot open", paths.file);
    if (judge(ledger->descriptor, paths.file, why) == SOUND) {
        if (map(ledger, PROT_READ))
            return true;
        fail(why, "cannot map", paths.file);
    }
    ledger_file_close(ledger);
    return false;
}

void ledger_file_close(struct ledger *ledger)
{
    if (ledger->image != NULL)
        munmap(ledger->image, sizeof *ledger->image);
    if (ledger->descriptor >= 0)
        close(ledger->descriptor);
    ledger->image = NULL;
    ledger->descriptor = -1;
}
