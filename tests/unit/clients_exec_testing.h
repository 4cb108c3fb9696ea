/* Commands run by a task, and what they leave behind. Included by one test file each. */
#ifndef TESTS_CLIENTS_EXEC_TESTING_H
#define TESTS_CLIENTS_EXEC_TESTING_H

#include <async/loop.h>
#include <async/task.h>
#include <base/bytes.h>
#include <base/clock.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <open_descriptors.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <under_valgrind.h>
#include <unistd.h>
#include <whippet/exec.h>
#include <whippet/task.h>

/* --- Running --------------------------------------------------------------------------------------------*/

static struct loop *loop;

static void open_loop(void)
{
    skip_under_valgrind("Valgrind 3.19 has no pidfd_open, by which a command's end is seen");
    struct whippet_failure failure;
    signal(SIGPIPE, SIG_IGN);
    loop = loop_create(64 * 1024, &failure);
    cr_assert_not_null(loop, "%s", failure.text);
}

static void close_loop(void)
{
    loop_destroy(loop);
}

static void stop_loop(void *arg, int result)
{
    (void)arg, (void)result;
    loop_stop(loop);
}

/* Runs a root task to its end. */
static void run_task(whippet_task_function *function, void *arg, double seconds)
{
    bool started;
    double now = loop_refresh_now(loop);
    task_start(loop_scheduler(loop), function, arg, now + seconds, NULL, stop_loop, &started);
    cr_assert(started, "no memory for a task");
    while (loop_scheduler(loop)->tasks > 0)
        loop_run(loop);
}

/* One call of whippet_exec, and what it came to; the texts are copies. */
struct call {
    whippet_command command;
    int error;
    bool signalled;
    int status;
    char *output;
    size_t output_length;
    char *error_text;
    size_t error_length;
    bool output_truncated;
    bool error_truncated;
};

static char *copy_of(whippet_bytes bytes)
{
    char *copy = malloc(bytes.len + 1);
    if (bytes.len > 0)
        memcpy(copy, bytes.data, bytes.len);
    copy[bytes.len] = '\0';
    return copy;
}

static int call_exec(whippet_task *task, void *arg)
{
    struct call *call = arg;
    whippet_command_result result;
    call->error = whippet_exec(task, &call->command, &result);
    call->signalled = result.signalled;
    call->status = result.status;
    call->output = copy_of(result.output);
    call->output_length = result.output.len;
    call->error_text = copy_of(result.error);
    call->error_length = result.error.len;
    call->output_truncated = result.output_truncated;
    call->error_truncated = result.error_truncated;
    return 0;
}

static void forget(struct call *call)
{
    free(call->output);
    free(call->error_text);
    call->output = call->error_text = NULL;
}

/* The arguments of a shell that runs `script`; valid until the next call. */
static const char *const *shell(const char *script)
{
    static const char *arguments[] = {"/bin/sh", "-c", NULL, NULL};
    arguments[2] = script;
    return arguments;
}

static struct call shell_call(const char *script)
{
    return (struct call){.command = {.arguments = shell(script), .output_limit = 4096, .error_limit = 4096}};
}

/* --- Looking at the process itself ----------------------------------------------------------------------*/

/* Whether this process has a child left, running or dead. */
static bool has_children(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

TestSuite(exec, .init = open_loop, .fini = close_loop, .timeout = 180);

#endif
