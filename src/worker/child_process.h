/* A child process as its parent sees it: started, told to end, taken in. Nothing here suspends. */
#ifndef WORKER_CHILD_PROCESS_H
#define WORKER_CHILD_PROCESS_H

#include "child_protocol.h"
#include <base/failure.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child_process {
    pid_t process;           /* 0: there is none */
    int handle;              /* a pidfd: readable once it has ended; owned */
    int socket;              /* whoever takes it puts -1; owned */
    struct child_page *page; /* owned; stays when the process has ended, until the next is started */
    size_t page_size;
};

/* Starts this very program as `whippet child`, with the page's room for `slots` attempts, and with the
 * plugin's descriptor unless that is -1. `name` is what process lists show. 0; SYSTEM or MEMORY with the
 * failure filled, and nothing left behind. */
int child_process_start(struct child_process *child, const char *name, uint32_t slots, int plugin_descriptor,
                        struct whippet_failure *failure);

/* Takes the end of one that has ended (or is about to: this blocks until it has), and closes what is still
 * open of it. Returns the status as wait(2) has it. */
int child_process_reap(struct child_process *child);

/* Gives the page back. Not while the process runs. */
void child_process_forget(struct child_process *child);

/* "ended by SIGSEGV (Segmentation fault)", and what there is to be said besides. */
void child_process_describe(int status, char *text, size_t size);

/* The program to start instead of the one that runs, for tests; NULL: this one. */
extern const char *child_process_program;

#endif
