#include "plugin_copy.h"
#include "plugin_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* since Linux 6.3 */
#endif

enum {
    CHUNK = 65536,
    MEMFD_NAME_MAX = 249 /* memfd_create(2) */
};

struct plugin_copy_calls plugin_copy_calls = {memfd_create, read, write, mmap};

/* --- Identity -------------------------------------------------------------------------------------------*/

static struct plugin_identity identity_of(const struct stat *status)
{
    return (struct plugin_identity){.device = status->st_dev,
                                    .inode = status->st_ino,
                                    .size = status->st_size,
                                    .modified = status->st_mtim,
                                    .changed = status->st_ctim};
}

int plugin_identity_read(const char *path, struct plugin_identity *identity, struct whippet_failure *failure)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return failure_set(failure, WHIPPET_E_SYSTEM, "cannot open %s: %s", path, strerrordesc_np(errno));
    *identity = identity_of(&status);
    return 0;
}

static bool time_equal(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool plugin_identity_equal(const struct plugin_identity *a, const struct plugin_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           time_equal(a->modified, b->modified) && time_equal(a->changed, b->changed);
}

/* --- Copying --------------------------------------------------------------------------------------------*/

/* Its name is what /proc/…/maps shows. Kernels before 6.3 do not know MFD_EXEC; later ones may ask for it. */
static int create_memory_file(const char *path)
{
    char name[MEMFD_NAME_MAX + 1];
    snprintf(name, sizeof name, "%s", path);
    int descriptor = plugin_copy_calls.memfd_create(name, MFD_CLOEXEC | MFD_EXEC);
    return descriptor >= 0 || errno != EINVAL ? descriptor
                                              : plugin_copy_calls.memfd_create(name, MFD_CLOEXEC);
}

static bool write_all(int descriptor, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t count = plugin_copy_calls.write(descriptor, data, size);
        if (count < 0 && errno != EINTR)
            return false;
        if (count > 0) {
            data += count;
            size -= (size_t)count;
        }
    }
    return true;
}

/* Copies all of `from` to `to`, unless that is -1, and counts it into the fingerprint (FNV-1a). */
static int copy_contents(const char *path, int from, int to, struct plugin_copy *copy,
                         struct whippet_failure *failure)
{
    char chunk[CHUNK];
    off_t size = 0;
    copy->fingerprint = 14695981039346656037U;
    for (;;) {
        ssize_t count = plugin_copy_calls.read(from, chunk, sizeof chunk);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return failure_set(failure, WHIPPET_E_SYSTEM, "cannot read %s: %s", path, strerrordesc_np(errno));
        if (count == 0)
            break;
        if (to >= 0 && !write_all(to, chunk, (size_t)count))
            return failure_set(failure, WHIPPET_E_SYSTEM, "cannot copy %s to memory: %s", path,
                               strerrordesc_np(errno));
        for (ssize_t i = 0; i < count; i++)
            copy->fingerprint = (copy->fingerprint ^ (unsigned char)chunk[i]) * 1099511628211U;
        size += count;
    }
    struct stat status;
    if (fstat(from, &status) != 0 || size != copy->identity.size || size != status.st_size ||
        !time_equal(status.st_mtim, copy->identity.modified))
        return failure_set(failure, WHIPPET_E_INVALID,
                           "%s was written to while it was read: put it there under another name, and then "
                           "rename it (as install and mv do)",
                           path);
    return 0;
}

/* Whether the object looks for libraries relative to its own place, which a copy does not have. Wherever the
 * word stands, and where that can't be told: such a file loses no more than the private copy. */
static bool mentions_origin(int descriptor, size_t size)
{
    void *data = plugin_copy_calls.mmap(NULL, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data == MAP_FAILED)
        return true;
    bool found = memmem(data, size, "$ORIGIN", 7) != NULL || memmem(data, size, "${ORIGIN}", 9) != NULL;
    munmap(data, size);
    return found;
}

static int copy_file(struct plugin_copy *copy, const char *path, int file, struct whippet_failure *failure)
{
    struct stat status;
    int error = plugin_file_check(path, file, failure);
    if (error != 0)
        return error;
    if (fstat(file, &status) != 0)
        return failure_set(failure, WHIPPET_E_SYSTEM, "cannot read %s: %s", path, strerrordesc_np(errno));
    copy->identity = identity_of(&status);
    copy->descriptor = create_memory_file(path);
    error = copy_contents(path, file, copy->descriptor, copy, failure);
    if (error != 0 ||
        (copy->descriptor >= 0 && mentions_origin(copy->descriptor, (size_t)copy->identity.size)))
        plugin_copy_close(copy);
    return error;
}

int plugin_copy_make(struct plugin_copy *copy, const char *path, struct whippet_failure *failure)
{
    *copy = (struct plugin_copy){.descriptor = -1};
    /* Non-blocking, or a FIFO of that name would hold us up. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return failure_set(failure, WHIPPET_E_SYSTEM, "cannot open %s: %s", path, strerrordesc_np(errno));
    int error = copy_file(copy, path, file, failure);
    close(file);
    return error;
}

void plugin_copy_close(struct plugin_copy *copy)
{
    if (copy->descriptor >= 0)
        close(copy->descriptor);
    copy->descriptor = -1;
}
