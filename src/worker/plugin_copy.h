/* Plugins are loaded from a private copy of their file, in memory. So the file may be replaced or overwritten
 * while its code runs, and the same path may be loaded again while what it held before is still at work: the
 * dynamic loader, which knows objects by name and by inode, sees two that have nothing in common. */
#ifndef WORKER_PLUGIN_COPY_H
#define WORKER_PLUGIN_COPY_H

#include <base/failure.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

/* A file as it is at a moment. Equal: nobody has touched it meanwhile. */
struct plugin_identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
    struct timespec changed;
};

struct plugin_copy {
    int descriptor; /* of the copy, kept for as long as its code may run; -1: it is loaded from the file
                       itself */
    struct plugin_identity identity;
    uint64_t
        fingerprint; /* of the contents: equal in two copies only when these are, but for a chance in 2^64 */
};

/* 0, or SYSTEM. */
int plugin_identity_read(const char *path, struct plugin_identity *identity, struct whippet_failure *failure);
bool plugin_identity_equal(const struct plugin_identity *a, const struct plugin_identity *b);

/* Reads the file at `path`, which must be a whole shared object for this machine (plugin_file.h). Without a
 * private copy, to be loaded from where it lies, where there can be none (no memfd_create, no /proc), and
 * where its run path says $ORIGIN: it has libraries beside it. 0; SYSTEM, INVALID, with the failure naming
 * the file. */
int plugin_copy_make(struct plugin_copy *copy, const char *path, struct whippet_failure *failure);
void plugin_copy_close(struct plugin_copy *copy); /* once more does no harm */

/* Has the dynamic loader load it, as another object than any before. The handle is dlclose's; NULL with
 * INVALID and the loader's reason in the failure. Debuggers and backtraces show `path` as the object's name.
 */
void *plugin_copy_load(const struct plugin_copy *copy, const char *path, struct whippet_failure *failure);

/* What tests make fail. */
struct plugin_copy_calls {
    int (*memfd_create)(const char *name, unsigned flags);
    ssize_t (*read)(int descriptor, void *data, size_t size);
    ssize_t (*write)(int descriptor, const void *data, size_t size);
    void *(*mmap)(void *address, size_t size, int protection, int flags, int descriptor, off_t offset);
};
extern struct plugin_copy_calls plugin_copy_calls;

#endif
