/* Lets every call of a kind fail, one after the other, each in a new life of a worker:
 *
 *   faults LIFE CALL [SHARE SHARES]   each of the kind, in each way in which it can fail; or one share of
 * them faults LIFE CALL ERROR N [COUNT]  the N-th (and COUNT of them), with all that the worker says faults
 * --list                     what there is
 *
 * Ends with status 1 when a promise was broken, and shows by what. */
#include "calls.h"
#include "scenario.h"
#include <base/log.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <worker/child.h>

/* Only where there is a LeakSanitizer. */
__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);

enum {
    STRETCH = 5, /* calls that fail in a row, where more than one does; their pauses make half a minute */
    STRETCH_STEP = 10
};

static char folder[] = "/tmp/whippet-faults-XXXXXX";
static char log_path[64], calls_path[64], token_path[64];
static const struct life *life;
static atomic_long *calls; /* that the last life made; in memory shared with it */

struct tally {
    unsigned long lives, done, refused, gave_up, wrong;
};

/* --- One life -------------------------------------------------------------------------------------------*/

/* The first child that finds the token is the one that is struck. */
static void leave_to_child(const struct fault *fault, long from, long count)
{
    char text[160];
    snprintf(text, sizeof text, "%s,%s,%ld,%ld", fault->call, fault->name, from, count);
    setenv("FAULTS_CHILD", text, 1);
    setenv("FAULTS_CALLS", calls_path, 1);
    setenv("FAULTS_TOKEN", token_path, 1);
    atomic_store(calls, 0);
    close(open(token_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static void live(const struct fault *fault, long from, long count)
{
    signal(SIGPIPE, SIG_IGN);
    alarm(300);
    log_configure(STDERR_FILENO, WHIPPET_DEBUG, LOG_FORMAT_TEXT);
    if (life->in_child)
        leave_to_child(fault, from, count);
    else
        calls_arm(fault, from, count);
    enum scenario_end end = scenario_run(life, folder);
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

/* A child that crashes or leaks is replaced, and the life goes on. */
static bool log_tells_of_children(void)
{
    static const char *const WORDS[] = {"Sanitizer", "runtime error:", "ended by SIGSEGV",
                                        "ended by SIGABRT"};
    char line[1024];
    bool told = false;
    FILE *log = fopen(log_path, "r");
    while (log != NULL && fgets(line, sizeof line, log) != NULL)
        for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
            told |= strstr(line, WORDS[i]) != NULL;
    if (log != NULL)
        fclose(log);
    return told;
}

/* True when that many calls were made that the fault could strike. */
static bool try(const struct fault *fault, long from, long count, struct tally *tally)
{
    int status = run(fault, from, count, true);
    bool ended = WIFEXITED(status) && WEXITSTATUS(status) < SCENARIO_WRONG && !log_tells_of_children();
    tally->lives++;
    tally->done += ended && WEXITSTATUS(status) == SCENARIO_DONE;
    tally->refused += ended && WEXITSTATUS(status) == SCENARIO_REFUSED;
    tally->gave_up += ended && WEXITSTATUS(status) == SCENARIO_GAVE_UP;
    if (ended)
        return WEXITSTATUS(status) == SCENARIO_GAVE_UP || atomic_load(calls) >= from;
    tally->wrong++;
    printf("FAILED (%s %d): faults %s %s '%s' %ld %ld\n", WIFSIGNALED(status) ? "signal" : "status",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), life->name, fault->call, fault->name,
           from, count);
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
    printf("%s %s: of %lu lives %lu went on, %lu were refused with an error, %lu ended at once, %lu were "
           "wrong\n",
           life->name, call, tally.lives, tally.done, tally.refused, tally.gave_up, tally.wrong);
    return tally.lives == 0 || tally.wrong > 0;
}

static int show_one(const char *call, const char *name, long from, long count)
{
    const struct fault *fault = fault_find(call, name);
    if (fault == NULL)
        return 64;
    int status = run(fault, from, count, false);
    printf("status %#x, %ld calls\n", (unsigned)status, atomic_load(calls));
    return status != 0;
}

static int list(void)
{
    for (const struct life *kind = LIVES; kind->name != NULL; kind++)
        printf("%s\n", kind->name);
    for (const struct fault *fault = FAULTS; fault->call != NULL; fault++)
        printf("    %s '%s'\n", fault->call, fault->name);
    return 0;
}

/* --- The program ----------------------------------------------------------------------------------------*/

static atomic_long *map_calls(const char *path, int flags)
{
    int file = open(path, flags | O_RDWR | O_CLOEXEC, 0600);
    void *page = MAP_FAILED;
    if (file >= 0 && ((flags & O_CREAT) == 0 || ftruncate(file, sizeof *calls) == 0))
        page = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file >= 0)
        close(file);
    return page != MAP_FAILED ? page : NULL;
}

/* What a life's worker starts for `"run": "process"`: this program as `whippet child PARENT NAME`. */
static int serve_as_child(const char *parent)
{
    char text[160] = "", *rest = text;
    const char *token = getenv("FAULTS_TOKEN"), *given = getenv("FAULTS_CHILD");
    if (given != NULL && token != NULL && unlink(token) == 0) {
        atomic_long *made = map_calls(getenv("FAULTS_CALLS"), 0);
        snprintf(text, sizeof text, "%s", given);
        const char *call = strsep(&rest, ","), *name = strsep(&rest, ",");
        const char *from = strsep(&rest, ","), *count = strsep(&rest, ",");
        if (made == NULL || count == NULL)
            return 64;
        calls_count_in(made);
        calls_arm(fault_find(call, name), strtol(from, NULL, 10), strtol(count, NULL, 10));
    }
    switch (child_serve((pid_t)strtol(parent, NULL, 10))) {
    case CHILD_DONE: return 0;
    case CHILD_NOT_SET_UP: return 78;
    case CHILD_ABANDONED: break;
    }
    _exit(1);
}

static const struct life *find_life(const char *name)
{
    const struct life *kind = LIVES;
    while (kind->name != NULL && strcmp(kind->name, name) != 0)
        kind++;
    return kind->name != NULL ? kind : NULL;
}

static int do_as_told(int argc, char **argv)
{
    bool is_number = argc >= 4 && strspn(argv[3], "0123456789") == strlen(argv[3]);
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list();
    life = argc > 2 ? find_life(argv[1]) : NULL;
    if (life == NULL)
        return 64;
    if (argc == 3)
        return sweep_all(argv[2], 0, 1);
    if (argc == 5 && is_number)
        return sweep_all(argv[2], strtol(argv[3], NULL, 10), strtol(argv[4], NULL, 10));
    if (argc >= 5 && !is_number)
        return show_one(argv[2], argv[3], strtol(argv[4], NULL, 10),
                        argc > 5 ? strtol(argv[5], NULL, 10) : 1);
    return 64;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "child") == 0)
        return serve_as_child(argv[2]);
    if (mkdtemp(folder) == NULL)
        return 64;
    snprintf(log_path, sizeof log_path, "%s/log", folder);
    snprintf(calls_path, sizeof calls_path, "%s/calls", folder);
    snprintf(token_path, sizeof token_path, "%s/token", folder);
    calls = map_calls(calls_path, O_CREAT);
    if (calls == NULL)
        return 64;
    calls_count_in(calls);
    int result = do_as_told(argc, argv);
    static const char *const files[] = {"log", "calls", "token", "password", "ca.pem", "whippet.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[96];
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
    return result;
}
