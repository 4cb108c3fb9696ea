/* The least that a command for each message costs: posix_spawn and wait, COUNT times, one after the other.
 *
 *   spawn COUNT PROGRAM [ARGUMENT…]   prints what it and its children took, as a line of JSON */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

int main(int argc, char **argv)
{
    long count = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
    double before = now();
    for (long i = 0; i < count; i++) {
        pid_t child;
        int status;
        if (posix_spawnp(&child, argv[2], NULL, NULL, argv + 2, environ) != 0 ||
            waitpid(child, &status, 0) != child || status != 0) {
            fprintf(stderr, "spawn: %s did not run\n", argv[2]);
            return 1;
        }
    }
    printf("{\"seconds\": %.6f, \"cpu\": %.6f}\n", now() - before,
           seconds_of(RUSAGE_SELF) + seconds_of(RUSAGE_CHILDREN));
    return 0;
}
