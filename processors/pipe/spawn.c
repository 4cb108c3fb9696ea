#include "spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STANDARD = 3 /* descriptors: input, output, error */
};

/* --- The environment ------------------------------------------------------------------------------------*/

static size_t count_of(char *const *entries)
{
    size_t count = 0;
    while (entries != NULL && entries[count] != NULL)
        count++;
    return count;
}

static bool is_among(const char *entry, char *const *entries)
{
    size_t length = strcspn(entry, "=");
    for (; *entries != NULL; entries++) {
        if (strncmp(entry, *entries, length) == 0 && (*entries)[length] == '=')
            return true;
    }
    return false;
}

char **spawn_environment(char *const *additions)
{
    size_t count = 0;
    char **merged = malloc((count_of(environ) + count_of(additions) + 1) * sizeof *merged);
    if (merged == NULL)
        return NULL;
    for (char *const *own = environ; own != NULL && *own != NULL; own++) {
        if (!is_among(*own, additions))
            merged[count++] = *own;
    }
    for (; *additions != NULL; additions++)
        merged[count++] = *additions;
    merged[count] = NULL;
    return merged;
}

/* --- Pipes ----------------------------------------------------------------------------------------------*/

void spawn_close(int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
    *descriptor = -1;
}

/* The child's ends lie above the numbers they are moved to, so that moving one never overwrites another. */
static int move_above_standard(int *descriptor)
{
    if (*descriptor >= STANDARD)
        return 0;
    int moved = fcntl(*descriptor, F_DUPFD_CLOEXEC, STANDARD);
    if (moved < 0)
        return errno;
    close(*descriptor);
    *descriptor = moved;
    return 0;
}

/* 0 or an errno. */
static int open_pipe(int *ours, int *theirs, bool is_input)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return errno;
    *theirs = ends[is_input ? 0 : 1];
    *ours = ends[is_input ? 1 : 0];
    /* Only our end: the child expects reads and writes that wait. */
    return fcntl(*ours, F_SETFL, O_NONBLOCK) < 0 ? errno : move_above_standard(theirs);
}

static int open_pipes(struct spawned *spawned, int theirs[STANDARD])
{
    int *const ours[STANDARD] = {&spawned->input, &spawned->output, &spawned->error};
    int error = 0;
    for (int i = 0; i < STANDARD; i++)
        *ours[i] = theirs[i] = -1;
    for (int i = 0; error == 0 && i < STANDARD; i++)
        error = open_pipe(ours[i], &theirs[i], i == STDIN_FILENO);
    return error;
}

static void close_pipes(struct spawned *spawned)
{
    spawn_close(&spawned->input);
    spawn_close(&spawned->output);
    spawn_close(&spawned->error);
}

/* --- The process ----------------------------------------------------------------------------------------*/

static int prepare_actions(posix_spawn_file_actions_t *actions, const int theirs[STANDARD],
                           const char *directory)
{
    int error = 0;
    for (int i = 0; error == 0 && i < STANDARD; i++)
        error = posix_spawn_file_actions_adddup2(actions, theirs[i], i);
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(actions, STANDARD);
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

static int start(pid_t *process, const char *const *command, char *const *environment, const char *directory,
                 const int theirs[STANDARD])
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        prepare_attributes(&attributes);
        error = prepare_actions(&actions, theirs, directory);
        if (error == 0)
            error =
                posix_spawnp(process, command[0], &actions, &attributes, (char *const *)command, environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static int open_handle(struct spawned *spawned)
{
    spawned->handle = pidfd_open(spawned->process, 0);
    if (spawned->handle >= 0)
        return 0;
    int error = errno;
    spawn_kill(spawned);
    waitpid(spawned->process, NULL, 0);
    return error;
}

int spawn(struct spawned *spawned, const char *const *command, char *const *environment,
          const char *directory)
{
    int theirs[STANDARD];
    *spawned = (struct spawned){.handle = -1};
    int error = open_pipes(spawned, theirs);
    if (error == 0)
        error = start(&spawned->process, command, environment, directory, theirs);
    for (int i = 0; i < STANDARD; i++)
        spawn_close(&theirs[i]);
    if (error == 0)
        error = open_handle(spawned);
    if (error != 0) {
        spawned->process = 0;
        close_pipes(spawned);
    }
    return error;
}

void spawn_kill(const struct spawned *spawned)
{
    kill(-spawned->process, SIGKILL);
    /* It may have left the group. */
    kill(spawned->process, SIGKILL);
}

int spawn_reap(struct spawned *spawned)
{
    int status = 0;
    while (waitpid(spawned->process, &status, 0) < 0 && errno == EINTR)
        continue;
    spawned->process = 0;
    spawn_close(&spawned->handle);
    close_pipes(spawned);
    return status;
}

void spawn_describe(int status, char *text, size_t size)
{
    if (!WIFSIGNALED(status)) {
        snprintf(text, size, "ended with exit status %d", WEXITSTATUS(status));
        return;
    }
    const char *name = sigabbrev_np(WTERMSIG(status));
    snprintf(text, size, "was ended by signal %d (SIG%s)", WTERMSIG(status), name != NULL ? name : "?");
}
