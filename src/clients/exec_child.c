#include "exec_child.h"
#include "exec_environment.h"
#include <base/memory.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child's own ends of the pipes; -1: no pipe. All of them above the numbers they are to be moved to, so
 * that moving one never overwrites another. */
struct pipes {
    int ours[CHILD_DESCRIPTORS];
    int theirs[CHILD_DESCRIPTORS];
};

static void close_all(int descriptors[CHILD_DESCRIPTORS])
{
    for (int i = 0; i < CHILD_DESCRIPTORS; i++) {
        if (descriptors[i] >= 0)
            close(descriptors[i]);
        descriptors[i] = -1;
    }
}

static bool child_reads(enum child_descriptor which)
{
    return which == CHILD_INPUT || which == CHILD_EXTRA_INPUT;
}

static bool move_above_standard(int *descriptor)
{
    if (*descriptor >= CHILD_DESCRIPTORS)
        return true;
    int moved = fcntl(*descriptor, F_DUPFD_CLOEXEC, CHILD_DESCRIPTORS);
    if (moved < 0)
        return false;
    close(*descriptor);
    *descriptor = moved;
    return true;
}

static bool open_pipe(struct pipes *pipes, enum child_descriptor which)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    pipes->theirs[which] = ends[child_reads(which) ? 0 : 1];
    pipes->ours[which] = ends[child_reads(which) ? 1 : 0];
    return move_above_standard(&pipes->theirs[which]);
}

static bool open_pipes(struct pipes *pipes, bool extra_input)
{
    for (int i = 0; i < CHILD_DESCRIPTORS; i++)
        pipes->ours[i] = pipes->theirs[i] = -1;
    return open_pipe(pipes, CHILD_INPUT) && open_pipe(pipes, CHILD_OUTPUT) && open_pipe(pipes, CHILD_ERROR) &&
           (!extra_input || open_pipe(pipes, CHILD_EXTRA_INPUT));
}

/* 0 or an errno. */
static int prepare_actions(posix_spawn_file_actions_t *actions, const struct pipes *pipes,
                           const char *directory)
{
    int error = 0;
    for (int i = 0; error == 0 && i < CHILD_DESCRIPTORS; i++) {
        if (pipes->theirs[i] >= 0)
            error = posix_spawn_file_actions_adddup2(actions, pipes->theirs[i], i);
    }
    int first_unused = pipes->theirs[CHILD_EXTRA_INPUT] >= 0 ? CHILD_DESCRIPTORS : CHILD_EXTRA_INPUT;
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(actions, first_unused);
    if (error == 0 && directory != NULL)
        error = posix_spawn_file_actions_addchdir_np(actions, directory);
    return error;
}

/* A process group of its own, and every signal as a program expects to find it, SIGPIPE above all. */
static void prepare_attributes(posix_spawnattr_t *attributes)
{
    sigset_t every, none;
    sigfillset(&every);
    sigemptyset(&none);
    posix_spawnattr_setflags(attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(attributes, 0);
    posix_spawnattr_setsigdefault(attributes, &every);
    posix_spawnattr_setsigmask(attributes, &none);
}

/* 0 with `*process` set, or an errno. */
static int spawn(pid_t *process, const whippet_command *command, const struct pipes *pipes,
                 char **environment)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        prepare_attributes(&attributes);
        error = prepare_actions(&actions, pipes, command->directory);
        if (error == 0)
            error = posix_spawnp(process, command->arguments[0], &actions, &attributes,
                                 (char *const *)command->arguments, environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Why it cannot be entered, as an errno; 0 when it can, and for NULL. */
static int directory_error(const char *path)
{
    struct stat status;
    if (path == NULL)
        return 0;
    if (stat(path, &status) < 0)
        return errno;
    if (!S_ISDIR(status.st_mode))
        return ENOTDIR;
    return access(path, X_OK) < 0 ? errno : 0;
}

/* What a person can do about it; "" where the error says it all. */
static const char *advice(int error)
{
    switch (error) {
    case EMFILE: return ": raise the limit of open files (ulimit -n), or lower the concurrency";
    case ENFILE: return ": this machine has no file handles left (fs.file-max)";
    case EAGAIN:
        return ": raise the limit of processes (ulimit -u, or the container's), or lower the concurrency";
    case E2BIG: return ": its arguments and environment are larger than the system takes";
    case EACCES: return ": it, or a folder on its way, is not executable for this user";
    case ENOEXEC: return ": a script needs a first line such as #!/bin/sh";
    default: return "";
    }
}

static int fail(struct whippet_failure *failure, const whippet_command *command, int error)
{
    const char *program = command->arguments[0];
    const char *directory = command->directory;
    int no_directory = directory_error(directory);
    if (error == ENOMEM)
        return failure_set(failure, WHIPPET_E_MEMORY, "cannot start %s: out of memory", program);
    if (no_directory != 0)
        return failure_set(failure, WHIPPET_E_SYSTEM, "cannot start %s: cannot enter its directory %s: %s",
                           program, directory, strerrordesc_np(no_directory));
    return failure_set(failure, WHIPPET_E_SYSTEM, "cannot start %s%s%s: %s%s", program,
                       directory != NULL ? " in " : "", directory != NULL ? directory : "",
                       strerrordesc_np(error), advice(error));
}

/* 0 with the process and its handle set, or an errno. */
static int spawn_with_handle(struct child *child, const whippet_command *command, const struct pipes *pipes,
                             char **environment)
{
    int error = spawn(&child->process, command, pipes, environment);
    if (error != 0)
        return error;
    child->handle = pidfd_open(child->process, 0);
    if (child->handle >= 0)
        return 0;
    error = errno;
    child_kill(child);
    waitpid(child->process, NULL, 0);
    return error;
}

int child_start(struct child *child, const whippet_command *command, struct whippet_failure *failure)
{
    struct pipes pipes;
    int error = 0;
    char **environment = environment_merge(command->environment);
    if (environment == NULL)
        return fail(failure, command, ENOMEM);
    if (!open_pipes(&pipes, command->extra_input.data != NULL))
        error = errno;
    else
        error = spawn_with_handle(child, command, &pipes, environment);
    memory_free(environment);
    close_all(pipes.theirs);
    if (error != 0) {
        close_all(pipes.ours);
        return fail(failure, command, error);
    }
    memcpy(child->ends, pipes.ours, sizeof child->ends);
    return 0;
}

void child_kill(const struct child *child)
{
    kill(-child->process, SIGKILL);
    /* It may have left the group. */
    kill(child->process, SIGKILL);
}

int child_reap(struct child *child)
{
    int status = 0;
    while (waitpid(child->process, &status, 0) < 0 && errno == EINTR)
        continue;
    close(child->handle);
    child->handle = -1;
    close_all(child->ends);
    return status;
}
