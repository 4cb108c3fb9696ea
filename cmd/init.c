/* In a container the program is process 1: the kernel gives it no default actions for signals, and whatever
 * its children leave behind. A process of its own takes both roles, so that the worker need know of neither.
 */
#include "init.h"
#include "exit_codes.h"
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Signals that say something about process 1 itself, or that the kernel raised at its fault: never passed on.
 */
static bool is_own(int number)
{
    switch (number) {
    case SIGCHLD:
    case SIGTTIN:
    case SIGTTOU:
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGABRT: return true;
    default: return false;
    }
}

/* Reaps all that has ended. True when `child` was among it, with its wait status. */
static bool reap(pid_t child, int *status)
{
    bool ended = false;
    for (;;) {
        int one;
        pid_t process = waitpid(-1, &one, WNOHANG);
        if (process <= 0 && !(process < 0 && errno == EINTR))
            return ended;
        if (process == child) {
            *status = one;
            ended = true;
        }
    }
}

/* Until the child has ended; returns what a shell would call its exit status. The kernel ends with process 1
 * all that is left of the container. */
static int serve(pid_t child, const sigset_t *signals)
{
    int status = 0;
    while (!reap(child, &status)) {
        int number = sigwaitinfo(signals, NULL);
        if (number > 0 && !is_own(number))
            kill(child, number);
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* A group of its own, in front of the terminal: Ctrl-C then reaches it once, not a second time through
 * process 1. */
static void begin_child(const sigset_t *mask)
{
    setpgid(0, 0);
    if (isatty(STDIN_FILENO))
        tcsetpgrp(STDIN_FILENO, getpgrp());
    sigprocmask(SIG_SETMASK, mask, NULL);
}

void init_when_first(void)
{
    if (getpid() != 1)
        return;
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t child = fork();
    if (child == 0) {
        begin_child(&before);
        return;
    }
    if (child < 0) {
        fprintf(stderr, "whippet: cannot start as process 1 of a container: fork: %s\n", strerror(errno));
        _exit(EXIT_INTERNAL);
    }
    _exit(serve(child, &all));
}
