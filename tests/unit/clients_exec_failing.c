/* whippet_exec where a command is cut short, or cannot be run at all. */
#include "clients_exec_testing.h"

/* --- Cut short ------------------------------------------------------------------------------------------*/

Test(exec, kills_a_command_at_the_deadline)
{
    struct call call = shell_call("sleep 1000");
    double before = clock_monotonic();
    run_task(call_exec, &call, 0.1);
    cr_assert_eq(call.error, WHIPPET_E_TIMEOUT, "%s", whippet_error_text(call.error));
    cr_assert_lt(clock_monotonic() - before, 20.0);
    cr_assert_not(has_children());
    forget(&call);
}

/* A call that is cancelled once the file has something in it. */
struct watched_call {
    struct call call;
    int file;
};

static int cancel_when_written(whippet_task *task, void *arg)
{
    struct watched_call *watched = arg;
    whippet_task *child = whippet_spawn(task, call_exec, &watched->call);
    char first;
    while (pread(watched->file, &first, 1, 0) == 0 && whippet_sleep(task, 0.01) == 0)
        continue;
    whippet_cancel(child);
    return whippet_join(task, child, NULL);
}

/* Gone, or dead and waiting for whoever adopted it. */
static bool has_died(pid_t process)
{
    char path[64], state = 'Z';
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    FILE *stat = fopen(path, "re");
    if (stat == NULL)
        return true;
    (void)!fscanf(stat, "%*d (%*[^)]) %c", &state);
    fclose(stat);
    return state == 'Z';
}

Test(exec, kills_the_whole_group)
{
    char file[] = "/tmp/whippet-exec-XXXXXX", script[200], text[32] = "";
    struct watched_call watched = {.file = mkstemp(file)};
    snprintf(script, sizeof script, "sleep 1000 & echo $! > %s; wait", file);
    watched.call = shell_call(script);
    run_task(cancel_when_written, &watched, INFINITY);
    cr_assert_eq(watched.call.error, WHIPPET_E_CANCELLED, "%s", whippet_error_text(watched.call.error));
    cr_assert_gt(pread(watched.file, text, sizeof text - 1, 0), 0);
    pid_t grandchild = (pid_t)strtol(text, NULL, 10);
    while (!has_died(grandchild))
        usleep(1000);
    close(watched.file);
    unlink(file);
    forget(&watched.call);
}

Test(exec, kills_a_command_that_ignores_signals)
{
    struct call call = shell_call("trap '' TERM INT HUP; sleep 1000; sleep 1000");
    run_task(call_exec, &call, 0.2);
    cr_assert_eq(call.error, WHIPPET_E_TIMEOUT, "%s", whippet_error_text(call.error));
    cr_assert_not(has_children());
    forget(&call);
}

Test(exec, kills_a_command_that_left_its_group)
{
    static const char *const arguments[] = {"perl", "-e", "setpgrp(0, getpgrp(getppid)); sleep 1000", NULL};
    struct call call = {.command = {.arguments = arguments, .error_limit = 1000}};
    run_task(call_exec, &call, 1);
    cr_assert_eq(call.error, WHIPPET_E_TIMEOUT, "%s", whippet_error_text(call.error));
    cr_assert_not(has_children());
    forget(&call);
}

static int cancel_after_start(whippet_task *task, void *arg)
{
    whippet_task *child = whippet_spawn(task, call_exec, arg);
    whippet_sleep(task, 0.1);
    whippet_cancel(child);
    return whippet_join(task, child, NULL);
}

Test(exec, kills_a_command_when_cancelled)
{
    struct call call = shell_call("sleep 1000");
    run_task(cancel_after_start, &call, INFINITY);
    cr_assert_eq(call.error, WHIPPET_E_CANCELLED, "%s", whippet_error_text(call.error));
    cr_assert_not(has_children());
    forget(&call);
}

static int cancel_before_start(whippet_task *task, void *arg)
{
    whippet_task *child = whippet_spawn(task, call_exec, arg);
    whippet_cancel(child);
    return whippet_join(task, child, NULL);
}

struct cancelled_call {
    struct call call;
    double seconds;
};

static int cancel_later(whippet_task *task, void *arg)
{
    struct cancelled_call *cancelled = arg;
    whippet_task *child = whippet_spawn(task, call_exec, &cancelled->call);
    whippet_sleep(task, cancelled->seconds);
    whippet_cancel(child);
    return whippet_join(task, child, NULL);
}

/* Also while it decides to watch the output. */
Test(exec, is_cancelled_at_any_moment)
{
    for (int i = 0; i < 20; i++) {
        struct cancelled_call cancelled = {.call = shell_call("sleep 1000"), .seconds = 0.019 + 1e-4 * i};
        run_task(cancel_later, &cancelled, INFINITY);
        cr_assert_eq(cancelled.call.error, WHIPPET_E_CANCELLED, "%s",
                     whippet_error_text(cancelled.call.error));
        cr_assert_not(has_children());
        forget(&cancelled.call);
    }
}

Test(exec, starts_nothing_when_cancelled_before)
{
    char file[] = "/tmp/whippet-exec-XXXXXX";
    close(mkstemp(file));
    char script[100];
    snprintf(script, sizeof script, "rm %s", file);
    struct call call = shell_call(script);
    run_task(cancel_before_start, &call, INFINITY);
    cr_assert_eq(call.error, WHIPPET_E_CANCELLED);
    cr_assert_eq(unlink(file), 0, "the command has run");
    forget(&call);
}

static int call_with_timeout(whippet_task *task, void *arg)
{
    whippet_with_timeout(task, 0.1, call_exec, arg);
    return whippet_sleep(task, 0);
}

Test(exec, obeys_a_narrower_deadline)
{
    struct call call = shell_call("sleep 1000");
    run_task(call_with_timeout, &call, INFINITY);
    cr_assert_eq(call.error, WHIPPET_E_TIMEOUT);
    forget(&call);
}

Test(exec, bounds_output_without_end)
{
    struct call call = shell_call("yes; echo never");
    call.command.output_limit = 10;
    run_task(call_exec, &call, 0.3);
    cr_assert_eq(call.error, WHIPPET_E_TIMEOUT);
    cr_assert_not(has_children());
    forget(&call);
}

Test(exec, does_not_wait_for_a_grandchild_that_keeps_the_output)
{
    struct call call = shell_call("echo before; sleep 1000 & exit 4");
    double before = clock_monotonic();
    run_task(call_exec, &call, INFINITY);
    double taken = clock_monotonic() - before;
    cr_assert_eq(call.error, 0, "%s", whippet_error_text(call.error));
    cr_assert_eq(call.status, 4);
    cr_assert_str_eq(call.output, "before\n");
    cr_assert_lt(taken, 20.0, "it took %f s", taken);
    forget(&call);
}

/* Once the command is dead, that is, which is not reaped before its output has ended. */
Test(exec, reads_what_a_grandchild_writes_soon_after)
{
    struct call call =
        shell_call("while read -r stat < /proc/$$/stat && [ \"${stat#*) Z}\" = \"$stat\" ]; do :; "
                   "done && echo late & exit 0");
    run_task(call_exec, &call, INFINITY);
    cr_assert_str_eq(call.output, "late\n");
    forget(&call);
}

/* --- What cannot be run ---------------------------------------------------------------------------------*/

static void assert_cannot_start(struct call *call, const char *expected)
{
    unsigned before = open_descriptors();
    run_task(call_exec, call, INFINITY);
    cr_assert_eq(call->error, WHIPPET_E_SYSTEM, "%s", whippet_error_text(call->error));
    cr_assert_str_eq(call->error_text, expected);
    cr_assert_eq(open_descriptors(), before);
    cr_assert_not(has_children());
    forget(call);
}

Test(exec, explains_a_program_that_is_missing)
{
    static const char *const arguments[] = {"./no-such-program", NULL};
    struct call call = {.command = {.arguments = arguments, .directory = "/usr"}};
    assert_cannot_start(&call, "cannot start ./no-such-program in /usr: No such file or directory");
}

Test(exec, explains_a_directory_that_is_missing)
{
    struct call call = shell_call("true");
    call.command.directory = "/no/such/folder";
    assert_cannot_start(&call,
                        "cannot start /bin/sh: cannot enter its directory /no/such/folder: No such file or "
                        "directory");
}

Test(exec, explains_a_directory_that_is_a_file)
{
    struct call call = shell_call("true");
    call.command.directory = "/etc/passwd";
    assert_cannot_start(&call,
                        "cannot start /bin/sh: cannot enter its directory /etc/passwd: Not a directory");
}

Test(exec, explains_a_file_that_is_not_executable)
{
    static const char *const arguments[] = {"/etc/passwd", NULL};
    struct call call = {.command = {.arguments = arguments}};
    assert_cannot_start(&call,
                        "cannot start /etc/passwd: Permission denied: it, or a folder on its way, is not "
                        "executable for this user");
}

Test(exec, explains_a_script_without_an_interpreter)
{
    char file[] = "/tmp/whippet-exec-XXXXXX", expected[200];
    int descriptor = mkstemp(file);
    cr_assert_eq(write(descriptor, "echo hello\n", 11), 11);
    fchmod(descriptor, 0700);
    close(descriptor);
    const char *const arguments[] = {file, NULL};
    struct call call = {.command = {.arguments = arguments}};
    snprintf(expected, sizeof expected,
             "cannot start %s: Exec format error: a script needs a first line such as #!/bin/sh", file);
    assert_cannot_start(&call, expected);
    unlink(file);
}

Test(exec, explains_arguments_that_are_too_long)
{
    char *argument = malloc(200001);
    memset(argument, 'x', 200000);
    argument[200000] = '\0';
    const char *const arguments[] = {"echo", argument, NULL};
    struct call call = {.command = {.arguments = arguments}};
    assert_cannot_start(&call,
                        "cannot start echo: Argument list too long: its arguments and environment are larger "
                        "than the system takes");
    free(argument);
}

/* With any number of descriptors left it works, or says that there are too few; and none is lost. */
Test(exec, explains_when_descriptors_run_out)
{
    struct rlimit limit, original;
    unsigned before = open_descriptors();
    bool refused = false, worked = false;
    getrlimit(RLIMIT_NOFILE, &original);
    for (rlim_t left = 0; left < 12; left++) {
        struct call call = shell_call("echo");
        call.command.extra_input = bytes_of_text("{}");
        limit = original;
        limit.rlim_cur = (rlim_t)before + left;
        setrlimit(RLIMIT_NOFILE, &limit);
        run_task(call_exec, &call, INFINITY);
        setrlimit(RLIMIT_NOFILE, &original);
        if (call.error == 0) {
            worked = true;
        } else {
            refused = true;
            cr_assert_eq(call.error, WHIPPET_E_SYSTEM, "%s", whippet_error_text(call.error));
            cr_assert_str_eq(call.error_text,
                             "cannot start /bin/sh: Too many open files: raise the limit of open "
                             "files (ulimit -n), or lower the concurrency");
        }
        forget(&call);
        cr_assert_eq(open_descriptors(), before, "with %d descriptors left", (int)left);
        cr_assert_not(has_children());
    }
    cr_assert(refused && worked);
}

Test(exec, refuses_a_command_without_a_program)
{
    static const char *const none[] = {NULL};
    static const char *const empty[] = {"", NULL};
    struct call calls[3] = {{.command = {.arguments = NULL}},
                            {.command = {.arguments = none}},
                            {.command = {.arguments = empty}}};
    for (size_t i = 0; i < 3; i++) {
        run_task(call_exec, &calls[i], INFINITY);
        cr_assert_eq(calls[i].error, WHIPPET_E_INVALID, "%s", whippet_error_text(calls[i].error));
        forget(&calls[i]);
    }
}
