/* Starting a child process with pipes on its descriptors 0 to 3. Nothing here suspends. */
#ifndef CLIENTS_EXEC_CHILD_H
#define CLIENTS_EXEC_CHILD_H

#include <base/failure.h>
#include <sys/types.h>
#include <whippet/exec.h>

/* The descriptors that a child finds open; it inherits no others. */
enum child_descriptor {
    CHILD_INPUT,       /* 0 */
    CHILD_OUTPUT,      /* 1 */
    CHILD_ERROR,       /* 2 */
    CHILD_EXTRA_INPUT, /* 3 */
    CHILD_DESCRIPTORS,
};

/* A child that runs, or has ended and was not reaped: until then nobody else can get its number. */
struct child {
    pid_t process;               /* also the number of its process group */
    int handle;                  /* a pidfd, readable once the child has ended; owned */
    int ends[CHILD_DESCRIPTORS]; /* our ends of the pipes: blocking, closed on exec; whoever takes one puts
                                  * -1; -1: no pipe */
};

/* Starts the command in a process group of its own, with default signal dispositions and no signal blocked.
 * 0; SYSTEM with the failure saying why; MEMORY. Nothing is left open or running after a failure. */
int child_start(struct child *child, const whippet_command *command, struct whippet_failure *failure);

/* Sends SIGKILL to the child and to all of its group. Not after child_reap. */
void child_kill(const struct child *child);

/* Takes the end of a child that has ended (or is about to: this blocks until it has), and closes what is
 * still open. Returns the status as wait(2) has it. */
int child_reap(struct child *child);

#endif
