/* pipe where something fails that it calls: memory, descriptors, processes, and the SDK itself. Each call of
 * each kind fails once, in a new life of the processor; messages are tried again, as the worker does.
 * Whatever fails, either it does not start and says why, or all messages are done; nothing leaks, and nobody
 * is left behind.
 *
 * The processor is compiled into this test, and the linker leads its calls through here
 * (tests/CMakeLists.txt). */
#include "../support/under_valgrind.h"
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <whippet/testing.h>

static void begin_here(void)
{
    skip_under_valgrind("Valgrind 3.19 has no pidfd_open, by which the end of a child is seen");
}

TestSuite(pipe_faults, .init = begin_here, .timeout = 240);

static const char *failing; /* the call; NULL: none */
static long fails_at;       /* which one, from 1 */
static long calls;

static bool strikes(const char *call)
{
    return failing != NULL && strcmp(call, failing) == 0 && ++calls == fails_at;
}

/* --- What it calls --------------------------------------------------------------------------------------*/

/* Visible, since GNU's linker takes the libraries' references for ones to these, too. */
#define WRAP(type, name, parameters, arguments, failed)                                                      \
    type __real_##name parameters;                                                                           \
    __attribute__((visibility("default"))) type __wrap_##name parameters;                                    \
    type __wrap_##name parameters                                                                            \
    {                                                                                                        \
        return strikes(#name) ? failed : __real_##name arguments;                                            \
    }

static int fail_with(int error)
{
    errno = error;
    return -1;
}

WRAP(void *, malloc, (size_t size), (size), NULL)
WRAP(void *, calloc, (size_t count, size_t size), (count, size), NULL)
WRAP(char *, strdup, (const char *text), (text), NULL)
WRAP(char *, strndup, (const char *text, size_t size), (text, size), NULL)
WRAP(int, pipe2, (int ends[2], int flags), (ends, flags), fail_with(EMFILE))
WRAP(int, pidfd_open, (pid_t process, unsigned flags), (process, flags), fail_with(EMFILE))
WRAP(pid_t, waitpid, (pid_t process, int *status, int options), (process, status, options), fail_with(EINTR))
WRAP(ssize_t, read, (int descriptor, void *data, size_t size), (descriptor, data, size), fail_with(EIO))
WRAP(ssize_t, write, (int descriptor, const void *data, size_t size), (descriptor, data, size),
     fail_with(EINTR))
WRAP(int, posix_spawnp,
     (pid_t * process, const char *file, const posix_spawn_file_actions_t *actions,
      const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[]),
     (process, file, actions, attributes, arguments, environment), EAGAIN)
WRAP(whippet_event *, whippet_event_create, (void), (), NULL)
WRAP(whippet_task *, whippet_spawn, (whippet_task * task, whippet_task_function *function, void *arg),
     (task, function, arg), NULL)
WRAP(int, whippet_wait_fd, (whippet_task * task, int descriptor, int events), (task, descriptor, events),
     WHIPPET_E_MEMORY)
WRAP(void *, whippet_alloc, (whippet_task * task, size_t size), (task, size), NULL)

static const char *const CALLS[] = {
    "malloc",
    "calloc",
    "strdup",
    "strndup",
    "pipe2",
    "pidfd_open",
    "waitpid",
    "read",
    "write",
    "posix_spawnp",
    "whippet_event_create",
    "whippet_spawn",
    "whippet_wait_fd",
    "whippet_alloc",
};

/* --- One life
 * ---------------------------------------------------------------------------------------------*/

static const char SETTINGS[] = "{\"command\": [\"" PIPE_CHILD "\"], \"children\": 2, \"in_flight\": 2, "
                               "\"environment\": {\"WORD\": \"yes\"}, \"grace\": \"1s\"}";

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void expect(whippet_test *test, const char *body, whippet_verdict verdict)
{
    static const whippet_retry_policy policy = {.attempts = 6, .delay = 0.01};
    whippet_test_result result =
        whippet_test_run_attempts(test, &(whippet_test_message){.text = body}, &policy);
    cr_assert_eq(result.verdict, verdict, "%s %ld: \"%s\" came to verdict %d: %s", failing, fails_at, body,
                 (int)result.verdict, result.reason);
}

static jmp_buf refused;

static void refuse(const char *text)
{
    cr_assert_gt(strlen(text), strlen("whippet_test_start: "), "%s %ld: it does not say why", failing,
                 fails_at);
    longjmp(refused, 1);
}

static void live(void)
{
    if (setjmp(refused) != 0)
        return;
    whippet_test *test = whippet_test_start_with(&whippet_processor_descriptor, SETTINGS, refuse);
    whippet_test_set_timeout(test, 20);
    expect(test, "ack", WHIPPET_ACK);
    expect(test, "reject no such customer", WHIPPET_REJECT);
    expect(test, "say 3", WHIPPET_ACK);
    whippet_test_run(test, &(whippet_test_message){.text = "die 9"});
    expect(test, "ack", WHIPPET_ACK);
    whippet_test_end(test);
}

static void expect_nothing_left(size_t descriptors)
{
    siginfo_t info;
    cr_assert_eq(open_descriptors(), descriptors, "%s %ld: a descriptor is left open", failing, fails_at);
    cr_assert(waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0 && errno == ECHILD, "%s %ld: a child is left",
              failing, fails_at);
}

/* Every call of that name, until a life makes no more of them than that. */
static void let_each_fail(const char *call)
{
    size_t descriptors = open_descriptors();
    failing = call;
    fails_at = 0;
    do {
        fails_at++;
        calls = 0;
        live();
        expect_nothing_left(descriptors);
    } while (calls >= fails_at);
    failing = NULL;
    cr_assert_gt(fails_at, 1, "%s was never called", call);
}

static void let_some_fail(size_t share)
{
    live(); /* what stays open after the first life stays open for good */
    for (size_t i = share; i < sizeof CALLS / sizeof CALLS[0]; i += 2)
        let_each_fail(CALLS[i]);
}

Test(pipe_faults, every_call_of_half_of_them_may_fail)
{
    let_some_fail(0);
}

Test(pipe_faults, every_call_of_the_other_half_may_fail)
{
    let_some_fail(1);
}
