/* A process with pipes on its standard input, output and error. Nothing here suspends. */
#ifndef PIPE_SPAWN_H
#define PIPE_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Our ends of the pipes are non-blocking; all descriptors are owned, and -1 when they are closed. */
struct spawned {
    pid_t process; /* also the number of its process group; 0: there is none */
    int handle;    /* a pidfd: readable once the process has ended */
    int input;     /* to be written */
    int output;    /* to be read */
    int error;     /* to be read */
};

/* This program's own environment with `additions` (NAME=VALUE, NULL-terminated) in the place of entries of
 * the same name. The array is to be freed; the strings are borrowed. NULL when memory is short. */
char **spawn_environment(char *const *additions);

/* Starts the command, looked for in PATH, in a process group of its own, with every signal at its default, in
 * `directory` (NULL: the worker's own). 0, or an errno: nothing is left open or running then. */
int spawn(struct spawned *spawned, const char *const *command, char *const *environment,
          const char *directory);

void spawn_close(int *descriptor);

/* Sends SIGKILL to the process and all of its group. Not after spawn_reap. */
void spawn_kill(const struct spawned *spawned);

/* Takes the end of a process that has ended, and closes what is open. Returns its status as wait(2) has it.
 */
int spawn_reap(struct spawned *spawned);

/* "ended with exit status 1", "was ended by signal 9 (SIGKILL)". */
void spawn_describe(int status, char *text, size_t size);

#endif
