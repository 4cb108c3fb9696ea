/* The inside of a child process that runs attempts for a worker (`run: process`). */
#ifndef WORKER_CHILD_H
#define WORKER_CHILD_H

#include <sys/types.h>

enum child_end {
    CHILD_DONE,       /* its parent had no more for it, and teardown() has run */
    CHILD_NOT_SET_UP, /* the parent was told why */
    CHILD_ABANDONED, /* the parent is gone, or makes no sense: whatever still runs is not worth waiting for */
};

/* Serves the parent, process number `parent`, over the descriptors that it left open (child_protocol.h). */
enum child_end child_serve(pid_t parent);

#endif
