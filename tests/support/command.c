#include "command.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void redirect(int descriptor, int onto)
{
    if (descriptor >= 0 && dup2(descriptor, onto) < 0) {
        _exit(126);
    }
}

pid_t command_start(const char *const *arguments, int input, int output, int error)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    pid_t child = fork();

    cr_assert(nothing >= 0 && child >= 0, "cannot start %s: %s", arguments[0], strerror(errno));
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        redirect(input >= 0 ? input : nothing, STDIN_FILENO);
        redirect(output, STDOUT_FILENO);
        redirect(error, STDERR_FILENO);
        execvp(arguments[0], (char *const *)arguments);
        fprintf(stderr, "cannot run %s: %s\n", arguments[0], strerror(errno));
        _exit(127);
    }
    close(nothing);
    return child;
}

/* waitpid's answer as a shell has it. */
static int shell_status(int wait_status)
{
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

bool command_ended(pid_t child, int *status)
{
    int wait_status;
    pid_t ended = waitpid(child, &wait_status, WNOHANG);

    cr_assert_geq(ended, 0, "waitpid: %s", strerror(errno));
    if (ended == 0) {
        return false;
    }
    *status = shell_status(wait_status);
    return true;
}

int command_wait(pid_t child)
{
    int wait_status;

    cr_assert_eq(waitpid(child, &wait_status, 0), child, "waitpid: %s", strerror(errno));
    return shell_status(wait_status);
}

int command_run(const char *const *arguments, char *line, size_t size)
{
    char first[4096] = "", rest[512];
    int output[2];
    pid_t child;
    FILE *stream;

    cr_assert_eq(pipe2(output, O_CLOEXEC), 0, "pipe2: %s", strerror(errno));
    child = command_start(arguments, -1, output[1], -1);
    close(output[1]);
    stream = fdopen(output[0], "r");
    if (fgets(first, sizeof(first), stream)) {
        while (fgets(rest, sizeof(rest), stream)) {
        }
    }
    fclose(stream);
    if (line) {
        first[strcspn(first, "\n")] = '\0';
        snprintf(line, size, "%s", first);
    }
    return command_wait(child);
}
