/* What a command for each message costs at least: posix_spawn and wait, COUNT times, one after the other.
 *
 *   spawn COUNT bare PROGRAM [ARGUMENT…]      nothing else: the command has our own descriptors
 *   spawn COUNT captured PROGRAM [ARGUMENT…]  it gets a body of 100 bytes on its standard input, and what it
 *                                             writes to standard output and error is read until their ends
 *
 * Prints what it and its children took, as a line of JSON. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    BODY_SIZE = 100,
    STANDARD = 3,
};

static double seconds_of(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static bool ended_well(pid_t child)
{
    int status;
    return waitpid(child, &status, 0) == child && status == 0;
}

static bool run_bare(char **command)
{
    pid_t child;
    return posix_spawnp(&child, command[0], NULL, NULL, command, environ) == 0 && ended_well(child);
}

static void read_to_the_end(int output, int error)
{
    struct pollfd ends[] = {{.fd = output, .events = POLLIN}, {.fd = error, .events = POLLIN}};
    static char room[65536];
    while ((ends[0].fd >= 0 || ends[1].fd >= 0) && poll(ends, 2, -1) > 0) {
        for (int i = 0; i < 2; i++) {
            if (ends[i].revents == 0 || read(ends[i].fd, room, sizeof room) > 0)
                continue;
            close(ends[i].fd);
            ends[i].fd = -1;
        }
    }
}

static bool run_captured(char **command)
{
    static const char body[BODY_SIZE];
    int ours[STANDARD], theirs[STANDARD];
    posix_spawn_file_actions_t actions;
    pid_t child;
    posix_spawn_file_actions_init(&actions);
    for (int i = 0; i < STANDARD; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
            return false;
        theirs[i] = ends[i == STDIN_FILENO ? 0 : 1];
        ours[i] = ends[i == STDIN_FILENO ? 1 : 0];
        posix_spawn_file_actions_adddup2(&actions, theirs[i], i);
    }
    bool started = posix_spawnp(&child, command[0], &actions, NULL, command, environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    for (int i = 0; i < STANDARD; i++)
        close(theirs[i]);
    /* A pipe takes it whole; who does not read it is no error. */
    ssize_t ignored = write(ours[STDIN_FILENO], body, sizeof body);
    (void)ignored;
    close(ours[STDIN_FILENO]);
    read_to_the_end(ours[STDOUT_FILENO], ours[STDERR_FILENO]);
    return started && ended_well(child);
}

int main(int argc, char **argv)
{
    bool (*run)(char **command) = argc > 2 && strcmp(argv[2], "captured") == 0 ? run_captured : run_bare;
    if (argc < 4) {
        fprintf(stderr, "usage: spawn COUNT bare|captured PROGRAM [ARGUMENT...]\n");
        return 1;
    }
    long count = strtol(argv[1], NULL, 10);
    double before = now();
    signal(SIGPIPE, SIG_IGN);
    for (long i = 0; i < count; i++) {
        if (!run(argv + 3)) {
            fprintf(stderr, "spawn: %s did not run\n", argv[3]);
            return 1;
        }
    }
    printf("{\"seconds\": %.6f, \"cpu\": %.6f}\n", now() - before,
           seconds_of(RUSAGE_SELF) + seconds_of(RUSAGE_CHILDREN));
    return 0;
}
