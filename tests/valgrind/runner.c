/* Runs Criterion's tests under Valgrind in a tenth of the time.
 *
 * Criterion starts the whole program anew for each test, and that alone takes Valgrind a second or two. This
 * stands in for its main(), and for what its assertions call: one program, which forks for each test. Linked
 * in where the build is for Valgrind; its last line is Criterion's. */
#include <criterion/criterion.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    EXIT_FAILED = 1,
    EXIT_SKIPPED = 77,
    TIMEOUT_SECONDS = 600, /* of a test that hangs: generous, as this is slow */
};

/* Criterion's macros put pointers to all tests and suites of a program there. */
extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];
__attribute__((weak)) extern struct criterion_suite *__start_cr_sts[];
__attribute__((weak)) extern struct criterion_suite *__stop_cr_sts[];

/* criterion_current_test and its like are the library's to set, so the runner has its own. */
static const struct criterion_test *current;
static const struct criterion_suite *current_suite;
static jmp_buf after_test;
static bool has_failed;
static bool is_skipped;
static bool is_set_up;

/* --- What tests call ------------------------------------------------------------------------------------*/

void criterion_send_assert(struct criterion_assert_stats *stats)
{
    if (stats->passed)
        return;
    printf("[----] %s:%u: Assertion Failed\n[----]   %s\n", stats->file, stats->line, stats->message);
    has_failed = true;
}

void cri_asserts_passed_incr(void)
{
}

void criterion_continue_test(void)
{
}

void criterion_abort_test(void)
{
    longjmp(after_test, 1);
}

void criterion_skip_test(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("[SKIP] %s::%s: ", current->category, current->name);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    is_skipped = true;
    longjmp(after_test, 1);
}

/* --- In the process of one test -------------------------------------------------------------------------*/

static const struct criterion_test_extra_data *suite_data(void)
{
    static const struct criterion_test_extra_data NONE;
    return current_suite != NULL ? current_suite->data : &NONE;
}

static void call(void (*function)(void))
{
    if (function != NULL)
        function();
}

void criterion_internal_test_setup(void)
{
    if (setjmp(after_test) != 0)
        return;
    call(suite_data()->init);
    call(current->data->init);
    is_set_up = true;
}

void criterion_internal_test_main(void (*function)(void))
{
    if (is_set_up && setjmp(after_test) == 0)
        function();
}

void criterion_internal_test_teardown(void)
{
    if (!is_set_up || setjmp(after_test) != 0)
        return;
    call(current->data->fini);
    call(suite_data()->fini);
}

/* --- All of them ----------------------------------------------------------------------------------------*/

static const struct criterion_suite *find_suite(const char *name)
{
    for (struct criterion_suite **suite = __start_cr_sts; suite < __stop_cr_sts; suite++)
        if (*suite != NULL && strcmp((*suite)->name, name) == 0)
            return *suite;
    return NULL;
}

static pid_t child;

static void on_alarm(int number)
{
    (void)number;
    kill(child, SIGKILL);
}

/* The status that waitpid tells. */
static int run(const struct criterion_test *test)
{
    int status;
    current = test;
    current_suite = find_suite(test->category);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        test->test();
        fflush(NULL);
        _exit(has_failed ? EXIT_FAILED : is_skipped ? EXIT_SKIPPED : 0);
    }
    signal(SIGALRM, on_alarm);
    alarm(TIMEOUT_SECONDS);
    while (waitpid(child, &status, 0) < 0)
        continue;
    alarm(0);
    return status;
}

/* Valgrind ends a process in which it found an error with a status of its own. */
static bool is_as_expected(const struct criterion_test *test, int status)
{
    if (test->data->signal != 0)
        return WIFSIGNALED(status) && WTERMSIG(status) == test->data->signal;
    return WIFEXITED(status) && WEXITSTATUS(status) == test->data->exit_code;
}

int main(void)
{
    unsigned passed = 0, failed = 0;
    for (struct criterion_test **each = __start_cr_tst; each < __stop_cr_tst; each++) {
        const struct criterion_test *test = *each;
        if (test == NULL || test->data->disabled)
            continue;
        int status = run(test);
        if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED)
            continue;
        bool good = is_as_expected(test, status);
        passed += good;
        failed += !good;
        if (!good)
            printf("[FAIL] %s::%s: %s %d\n", test->category, test->name,
                   WIFSIGNALED(status) ? "signal" : "exit status",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    printf("[====] Synthesis: Tested: %u | Passing: %u | Failing: %u | Crashing: 0\n", passed + failed,
           passed, failed);
    return failed == 0 ? 0 : EXIT_FAILED;
}
