/* whippet_exec against real commands: /bin/sh and what Debian's essential packages have. */
#include <async/loop.h>
#include <async/task.h>
#include <base/bytes.h>
#include <base/clock.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <whippet/exec.h>
#include <whippet/task.h>

/* --- Running --------------------------------------------------------------------------------------------*/

static struct loop *loop;

static void open_loop(void)
{
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

static int count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

/* Whether this process has a child left, running or dead. */
static bool has_children(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

TestSuite(exec, .init = open_loop, .fini = close_loop, .timeout = 60);

/* --- What a command gets and gives ----------------------------------------------------------------------*/

Test(exec, gives_output_and_status)
{
    struct call call = shell_call("echo out; echo err >&2; exit 7");
    run_task(call_exec, &call, INFINITY);
    cr_assert_eq(call.error, 0, "%s", whippet_error_text(call.error));
    cr_assert_eq(call.status, 7, "status %d", call.status);
    cr_assert_not(call.signalled);
    cr_assert_str_eq(call.output, "out\n");
    cr_assert_str_eq(call.error_text, "err\n");
    cr_assert_not(call.output_truncated || call.error_truncated);
    forget(&call);
}

Test(exec, says_which_signal_ended_it)
{
    struct call call = shell_call("kill -USR1 $$");
    run_task(call_exec, &call, INFINITY);
    cr_assert_eq(call.error, 0);
    cr_assert(call.signalled);
    cr_assert_eq(call.status, SIGUSR1, "signal %d", call.status);
    forget(&call);
}

Test(exec, feeds_standard_input)
{
    struct call call = shell_call("cat");
    call.command.input = bytes_of("one\0two", 7);
    run_task(call_exec, &call, INFINITY);
    cr_assert_eq(call.output_length, 7, "%zu bytes", call.output_length);
    cr_assert_eq(memcmp(call.output, "one\0two", 7), 0);
    forget(&call);
}

Test(exec, feeds_descriptor_3)
{
    struct call call = shell_call("cat <&3; echo; cat");
    call.command.input = bytes_of_text("body");
    call.command.extra_input = bytes_of_text("{}");
    run_task(call_exec, &call, INFINITY);
    cr_assert_str_eq(call.output, "{}\nbody");
    forget(&call);
}

Test(exec, leaves_descriptor_3_closed_without_extra_input)
{
    struct call call = shell_call("if { true <&3; } 2>/dev/null; then echo open; else echo closed; fi");
    run_task(call_exec, &call, INFINITY);
    cr_assert_str_eq(call.output, "closed\n");
    forget(&call);
}

Test(exec, gives_an_empty_input_where_there_is_none)
{
    struct call call = shell_call("wc -c; wc -c <&3");
    call.command.extra_input = bytes_of_text("");
    run_task(call_exec, &call, INFINITY);
    cr_assert_str_eq(call.output, "0\n0\n");
    forget(&call);
}

Test(exec, adds_to_the_environment_and_replaces_in_it)
{
    static const char *const environment[] = {"FIRST=new", "SECOND=lost", "SECOND=last", NULL};
    setenv("FIRST", "old", 1);
    setenv("FIRSTBORN", "kept", 1);
    struct call call = shell_call("env | grep -e ^FIRST -e ^SECOND | sort");
    call.command.environment = environment;
    run_task(call_exec, &call, INFINITY);
    cr_assert_str_eq(call.output, "FIRST=new\nFIRSTBORN=kept\nSECOND=last\n");
    forget(&call);
}

Test(exec, runs_in_the_directory_it_is_given)
{
    struct call call = shell_call("pwd");
    call.command.directory = "/usr";
    run_task(call_exec, &call, INFINITY);
    cr_assert_str_eq(call.output, "/usr\n");
    forget(&call);
}

Test(exec, finds_the_program_in_path)
{
    static const char *const arguments[] = {"echo", "a b", "$HOME", NULL};
    struct call call = {.command = {.arguments = arguments, .output_limit = 100}};
    run_task(call_exec, &call, INFINITY);
    cr_assert_str_eq(call.output, "a b $HOME\n");
    forget(&call);
}

Test(exec, gives_every_signal_its_default_back)
{
    sigset_t blocked;
    sigfillset(&blocked);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGTERM, SIG_IGN);
    struct call call = shell_call("sed -n 's/Sig\\(Blk\\|Ign\\)://p' /proc/self/status");
    run_task(call_exec, &call, INFINITY);
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);
    unsigned long long blocked_there, ignored_there;
    cr_assert_eq(sscanf(call.output, "%llx %llx", &blocked_there, &ignored_there), 2, "%s", call.output);
    cr_assert_eq(blocked_there, 0, "%s", call.output);
    /* Not 32 and 33, which are the C library's own. */
    cr_assert_eq(ignored_there & 0x7fffffff, 0, "%s", call.output);
    forget(&call);
}

Test(exec, lets_a_command_inherit_no_other_descriptor)
{
    int careless = dup(STDIN_FILENO);
    struct call call = shell_call("ls /proc/self/fd | tr '\\n' ' '");
    call.command.extra_input = bytes_of_text("x");
    run_task(call_exec, &call, INFINITY);
    close(careless);
    /* 4 is the folder that ls itself has open. */
    cr_assert_str_eq(call.output, "0 1 2 3 4 ");
    forget(&call);
}

/* The pipes then get the numbers 0 to 3 themselves. */
static int call_without_standard_descriptors(whippet_task *task, void *arg)
{
    int saved[4];
    for (int i = 0; i < 4; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
        close(i);
    }
    int result = call_exec(task, arg);
    for (int i = 0; i < 4; i++) {
        if (saved[i] >= 0 && dup2(saved[i], i) >= 0)
            close(saved[i]);
    }
    return result;
}

Test(exec, works_where_the_standard_descriptors_are_closed)
{
    int taken = open("/dev/null", O_RDONLY);
    while (taken < 3)
        taken = open("/dev/null", O_RDONLY);
    loop_destroy(loop);
    for (int i = 0; i < 10; i++)
        (void)!open("/dev/null", O_RDONLY);
    open_loop();
    struct call call = shell_call("cat; cat <&3; echo oops >&2");
    call.command.input = bytes_of_text("in ");
    call.command.extra_input = bytes_of_text("extra");
    run_task(call_without_standard_descriptors, &call, INFINITY);
    cr_assert_eq(call.error, 0, "%s", call.error_text);
    cr_assert_str_eq(call.output, "in extra");
    cr_assert_str_eq(call.error_text, "oops\n");
    forget(&call);
}

/* --- Much, and in any order -----------------------------------------------------------------------------*/

enum {
    MUCH = 5000000
};

static whippet_bytes much(void)
{
    char *memory = malloc(MUCH);
    for (size_t i = 0; i < MUCH; i++)
        memory[i] = (char)('a' + i % 25);
    return bytes_of(memory, MUCH);
}

Test(exec, moves_more_than_pipes_hold_both_ways)
{
    struct call call = shell_call("cat; cat <&3 >&2");
    call.command.input = call.command.extra_input = much();
    call.command.output_limit = call.command.error_limit = MUCH;
    run_task(call_exec, &call, INFINITY);
    cr_assert_eq(call.output_length, MUCH, "%zu bytes of output", call.output_length);
    cr_assert_eq(call.error_length, MUCH, "%zu bytes of error", call.error_length);
    cr_assert_eq(memcmp(call.output, call.command.input.data, MUCH), 0);
    cr_assert_eq(memcmp(call.error_text, call.command.input.data, MUCH), 0);
    forget(&call);
    free((void *)call.command.input.data);
}

Test(exec, lets_a_command_write_much_before_it_reads)
{
    struct call call = shell_call("head -c 20000000 /dev/zero; cat <&3 | wc -c >&2; wc -c >&2");
    call.command.input = call.command.extra_input = much();
    run_task(call_exec, &call, INFINITY);
    cr_assert_str_eq(call.error_text, "5000000\n5000000\n");
    cr_assert_eq(call.output_length, 4096);
    cr_assert(call.output_truncated);
    forget(&call);
    free((void *)call.command.input.data);
}

Test(exec, forgives_a_command_that_does_not_read)
{
    struct call call = shell_call("exec 0<&- 3<&-; echo done; exit 0");
    call.command.input = call.command.extra_input = much();
    run_task(call_exec, &call, INFINITY);
    cr_assert_eq(call.error, 0, "%s", whippet_error_text(call.error));
    cr_assert_eq(call.status, 0);
    cr_assert_str_eq(call.output, "done\n");
    forget(&call);
    free((void *)call.command.input.data);
}

Test(exec, keeps_the_beginning_of_output_and_the_end_of_error)
{
    struct call call = shell_call("seq 1 100000; seq 1 100000 >&2");
    call.command.output_limit = 6;
    call.command.error_limit = 13;
    run_task(call_exec, &call, INFINITY);
    cr_assert_str_eq(call.output, "1\n2\n3\n");
    cr_assert_str_eq(call.error_text, "99999\n100000\n");
    cr_assert(call.output_truncated && call.error_truncated);
    forget(&call);
}

Test(exec, does_not_call_what_just_fits_truncated)
{
    struct call call = shell_call("printf 12345; printf 12345 >&2");
    call.command.output_limit = call.command.error_limit = 5;
    run_task(call_exec, &call, INFINITY);
    cr_assert_str_eq(call.output, "12345");
    cr_assert_str_eq(call.error_text, "12345");
    cr_assert_not(call.output_truncated || call.error_truncated);
    forget(&call);
}

Test(exec, keeps_nothing_with_a_limit_of_nothing)
{
    struct call call = shell_call("echo x; echo y >&2");
    call.command.output_limit = call.command.error_limit = 0;
    run_task(call_exec, &call, INFINITY);
    cr_assert_eq(call.output_length, 0);
    cr_assert_eq(call.error_length, 0);
    cr_assert(call.output_truncated && call.error_truncated);
    forget(&call);
}

Test(exec, awaits_a_command_that_closed_its_output)
{
    struct call call = shell_call("exec >&- 2>&-; sleep 0.2; exit 9");
    run_task(call_exec, &call, INFINITY);
    cr_assert_eq(call.status, 9, "status %d", call.status);
    forget(&call);
}

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

Test(exec, reads_what_a_grandchild_writes_soon_after)
{
    struct call call = shell_call("(sleep 0.05; echo late) & exit 0");
    run_task(call_exec, &call, INFINITY);
    cr_assert_str_eq(call.output, "late\n");
    forget(&call);
}

/* --- What cannot be run ---------------------------------------------------------------------------------*/

static void assert_cannot_start(struct call *call, const char *expected)
{
    int before = count_descriptors();
    run_task(call_exec, call, INFINITY);
    cr_assert_eq(call->error, WHIPPET_E_SYSTEM, "%s", whippet_error_text(call->error));
    cr_assert_str_eq(call->error_text, expected);
    cr_assert_eq(count_descriptors(), before);
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
    int before = count_descriptors();
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
        cr_assert_eq(count_descriptors(), before, "with %d descriptors left", (int)left);
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

/* --- Memory ---------------------------------------------------------------------------------------------*/

static size_t allowed;

static bool permit_some(size_t size)
{
    (void)size;
    if (allowed == 0)
        return false;
    allowed--;
    return true;
}

static int call_with_little_memory(whippet_task *task, void *arg)
{
    memory_permit = permit_some;
    int result = call_exec(task, arg);
    memory_permit = NULL;
    return result;
}

Test(exec, survives_any_allocation_that_fails)
{
    int before = count_descriptors();
    bool worked = false;
    for (size_t count = 0; count < 60 && !worked; count++) {
        struct call call = shell_call("cat; cat <&3; echo error >&2");
        call.command.input = call.command.extra_input = much();
        call.command.output_limit = MUCH;
        allowed = count;
        run_task(call_with_little_memory, &call, INFINITY);
        worked = call.error == 0;
        cr_assert(worked || call.error == WHIPPET_E_MEMORY, "%zu allocations: %s", count,
                  whippet_error_text(call.error));
        cr_assert_eq(count_descriptors(), before, "with %zu allocations", count);
        cr_assert_not(has_children());
        forget(&call);
        free((void *)call.command.input.data);
    }
    cr_assert(worked);
}

/* --- Many -----------------------------------------------------------------------------------------------*/

enum {
    MANY = 200
};

static int call_many(whippet_task *task, void *arg)
{
    struct call *calls = arg;
    for (int i = 0; i < MANY; i++)
        whippet_spawn(task, call_exec, &calls[i]);
    return whippet_join_all(task);
}

Test(exec, runs_many_at_once_and_loses_no_descriptor)
{
    static struct call calls[MANY];
    int before = count_descriptors();
    for (int i = 0; i < MANY; i++) {
        calls[i] = shell_call("cat; cat <&3");
        calls[i].command.input = bytes_of_text("a");
        calls[i].command.extra_input = bytes_of_text("b");
    }
    run_task(call_many, calls, INFINITY);
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(calls[i].error, 0, "call %d: %s %s", i, whippet_error_text(calls[i].error),
                     calls[i].error_text);
        cr_assert_str_eq(calls[i].output, "ab");
        forget(&calls[i]);
    }
    cr_assert_eq(count_descriptors(), before);
    cr_assert_not(has_children());
}

static int count_ticks(whippet_task *task, void *arg)
{
    int *ticks = arg;
    while (whippet_sleep(task, 0.01) == 0)
        (*ticks)++;
    return 0;
}

static int call_beside_ticks(whippet_task *task, void *arg)
{
    int ticks = 0;
    whippet_task *ticker = whippet_spawn(task, count_ticks, &ticks);
    call_exec(task, arg);
    whippet_cancel(ticker);
    whippet_join(task, ticker, NULL);
    cr_assert_gt(ticks, 5, "%d ticks", ticks);
    return 0;
}

Test(exec, leaves_the_loop_to_others)
{
    struct call call = shell_call("sleep 0.3");
    run_task(call_beside_ticks, &call, INFINITY);
    cr_assert_eq(call.error, 0);
    forget(&call);
}
