/* Lets every call of a kind fail, one after the other, each in a new life of a worker:
 *
 *   faults CALL [SHARE SHARES]   each of the kind, in each way in which it can fail; or one share of them
 *   faults CALL ERROR N [COUNT]  the N-th (and COUNT of them), with all that the worker says
 *   faults --list                what there is
 *
 * Ends with status 1 when a promise was broken, and shows by what. */
#include "calls.h"
#include "scenario.h"
#include <base/log.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Only where there is a LeakSanitizer. */
__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);

enum {
    STRETCH = 12, /* calls that fail in a row, where more than one does; three queues try four times each */
    STRETCH_STEP = 10
};

static char folder[] = "/tmp/whippet-faults-XXXXXX";
static char log_path[64];
static long *calls; /* that the last life made; in memory shared with it */

struct tally {
    unsigned long lives, done, refused, gave_up, wrong;
};

/* --- One life -------------------------------------------------------------------------------------------*/

static void live(const struct fault *fault, long from, long count)
{
    signal(SIGPIPE, SIG_IGN);
    alarm(300);
    log_configure(STDERR_FILENO, WHIPPET_DEBUG, LOG_FORMAT_TEXT);
    calls_arm(fault, from, count);
    enum scenario_end end = scenario_run(folder);
    *calls = calls_made();
    if (end <= SCENARIO_REFUSED && __lsan_do_recoverable_leak_check != NULL &&
        __lsan_do_recoverable_leak_check() != 0)
        end = SCENARIO_WRONG;
    _exit(end);
}

/* Its status, as wait(2) has it. */
static int run(const struct fault *fault, long from, long count, bool quiet)
{
    int status = 0;
    fflush(NULL);
    pid_t process = fork();
    if (process == 0) {
        int log = quiet ? open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600) : -1;
        if (log >= 0)
            dup2(log, STDERR_FILENO);
        live(fault, from, count);
    }
    while (process > 0 && waitpid(process, &status, 0) < 0)
        continue;
    return status;
}

static void show_log(void)
{
    char line[1024];
    FILE *log = fopen(log_path, "r");
    while (log != NULL && fgets(line, sizeof line, log) != NULL)
        printf("    %s", line);
    if (log != NULL)
        fclose(log);
}

/* True when that many calls were made that the fault could strike. */
static bool try(const struct fault *fault, long from, long count, struct tally *tally)
{
    int status = run(fault, from, count, true);
    bool ended = WIFEXITED(status) && WEXITSTATUS(status) < SCENARIO_WRONG;
    tally->lives++;
    tally->done += ended && WEXITSTATUS(status) == SCENARIO_DONE;
    tally->refused += ended && WEXITSTATUS(status) == SCENARIO_REFUSED;
    tally->gave_up += ended && WEXITSTATUS(status) == SCENARIO_GAVE_UP;
    if (ended)
        return WEXITSTATUS(status) == SCENARIO_GAVE_UP || *calls >= from;
    tally->wrong++;
    printf("FAILED (%s %d): faults %s '%s' %ld %ld\n", WIFSIGNALED(status) ? "signal" : "status",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), fault->call, fault->name, from,
           count);
    show_log();
    return true;
}

/* --- All of them ----------------------------------------------------------------------------------------*/

static void sweep(const struct fault *fault, long share, long shares, struct tally *tally)
{
    for (long from = 1 + share; try(fault, from, 1, tally) && tally->wrong < 5; from += shares)
        continue;
    for (long from = 1 + share * STRETCH_STEP; try(fault, from, STRETCH, tally) && tally->wrong < 5;
         from += shares * STRETCH_STEP)
        continue;
}

static int sweep_all(const char *call, long share, long shares)
{
    struct tally tally = {0};
    for (const struct fault *fault = FAULTS; fault->call != NULL; fault++)
        if (strcmp(fault->call, call) == 0)
            sweep(fault, share, shares, &tally);
    printf(
        "%s: of %lu lives %lu went on, %lu were refused with an error, %lu ended at once, %lu were wrong\n",
        call, tally.lives, tally.done, tally.refused, tally.gave_up, tally.wrong);
    return tally.lives == 0 || tally.wrong > 0;
}

static int show_one(const char *call, const char *name, long from, long count)
{
    for (const struct fault *fault = FAULTS; fault->call != NULL; fault++)
        if (strcmp(fault->call, call) == 0 && strcmp(fault->name, name) == 0) {
            int status = run(fault, from, count, false);
            printf("status %#x, %ld calls\n", (unsigned)status, *calls);
            return status != 0;
        }
    return 64;
}

static int list(void)
{
    for (const struct fault *fault = FAULTS; fault->call != NULL; fault++)
        printf("%s '%s'\n", fault->call, fault->name);
    return 0;
}

int main(int argc, char **argv)
{
    calls = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (argc < 2 || calls == MAP_FAILED || mkdtemp(folder) == NULL)
        return 64;
    snprintf(log_path, sizeof log_path, "%s/log", folder);
    int result = 64;
    if (strcmp(argv[1], "--list") == 0)
        result = list();
    else if (argc == 2)
        result = sweep_all(argv[1], 0, 1);
    else if (argc >= 4 && strspn(argv[2], "0123456789") == strlen(argv[2]))
        result = sweep_all(argv[1], strtol(argv[2], NULL, 10), strtol(argv[3], NULL, 10));
    else if (argc >= 4)
        result =
            show_one(argv[1], argv[2], strtol(argv[3], NULL, 10), argc > 4 ? strtol(argv[4], NULL, 10) : 1);
    static const char *const files[] = {"log", "password", "whippet.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[96];
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
    return result;
}
