/* whippet_exec against real commands: /bin/sh and what Debian's essential packages have. */
#include "clients_exec_testing.h"

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
    unsigned before = open_descriptors();
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
        cr_assert_eq(open_descriptors(), before, "with %zu allocations", count);
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
    unsigned before = open_descriptors();
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
    cr_assert_eq(open_descriptors(), before);
    cr_assert_not(has_children());
}

/* A command that goes on for as long as the file is there, or some ten seconds. */
struct held_call {
    struct call call;
    char file[32];
};

static int let_go_after_some_ticks(whippet_task *task, void *arg)
{
    for (int ticks = 0; ticks < 5; ticks++)
        whippet_sleep(task, 0.01);
    return unlink(arg);
}

static int call_beside_ticks(whippet_task *task, void *arg)
{
    struct held_call *held = arg;
    whippet_spawn(task, let_go_after_some_ticks, held->file);
    call_exec(task, &held->call);
    return whippet_join_all(task);
}

Test(exec, leaves_the_loop_to_others)
{
    struct held_call held = {.file = "/tmp/whippet-exec-XXXXXX"};
    char script[200];
    close(mkstemp(held.file));
    snprintf(script, sizeof script, "for i in $(seq 1000); do [ -e %s ] || exit 0; sleep 0.01; done; exit 1",
             held.file);
    held.call = shell_call(script);
    run_task(call_beside_ticks, &held, INFINITY);
    cr_assert_eq(held.call.error, 0, "%s", held.call.error_text);
    cr_assert_eq(held.call.status, 0, "nobody else's turn came before the command ended");
    forget(&held.call);
}
