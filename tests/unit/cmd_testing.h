/* Running the program itself, as its users do. Included by one test file each. */
#ifndef TESTS_CMD_TESTING_H
#define TESTS_CMD_TESTING_H

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MOST_TEXT = 32768,
    MOST_ARGUMENTS = 30
};

/* What a run left behind. */
static struct {
    int code; /* its exit status; 128 and the signal's number when one ended it */
    char output[MOST_TEXT];
    char error[MOST_TEXT];
} result;

/* An unnamed file with this in it, at its beginning. */
static int file_with(const char *text)
{
    char name[] = "/tmp/whippet-cmd-XXXXXX";
    int descriptor = mkstemp(name);
    unlink(name);
    cr_assert_eq(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
    lseek(descriptor, 0, SEEK_SET);
    return descriptor;
}

static void read_back(int descriptor, char *text)
{
    ssize_t length = pread(descriptor, text, MOST_TEXT - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    close(descriptor);
}

static const char *program(void)
{
    const char *path = getenv("WHIPPET_PROGRAM");
    cr_assert_not_null(path, "WHIPPET_PROGRAM is not set: run the tests with ctest");
    return path;
}

/* Starts it with these words, the last of which is NULL. */
static pid_t start(int input, int output, int error, const char *const *words)
{
    pid_t child = fork();
    if (child == 0) {
        dup2(input, STDIN_FILENO);
        dup2(output, STDOUT_FILENO);
        dup2(error, STDERR_FILENO);
        execv(program(), (char *const *)words);
        _exit(127);
    }
    return child;
}

static int wait_for(pid_t child)
{
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Runs `whippet` with these words, the last of which is NULL, and `input` on its standard input. */
__attribute__((sentinel)) static void whippet(const char *input, ...)
{
    const char *words[MOST_ARGUMENTS] = {"whippet"};
    va_list arguments;
    va_start(arguments, input);
    for (int i = 1; (words[i] = va_arg(arguments, const char *)) != NULL; i++)
        cr_assert_lt(i, MOST_ARGUMENTS - 1);
    va_end(arguments);
    int in = file_with(input), out = file_with(""), error = file_with("");
    result.code = wait_for(start(in, out, error, words));
    close(in);
    read_back(out, result.output);
    read_back(error, result.error);
}

static void assert_code(int expected)
{
    cr_assert_eq(result.code, expected, "it ended with %d, not %d; output: %s; error: %s", result.code,
                 expected, result.output, result.error);
}

static void assert_contains(const char *text, const char *part)
{
    cr_assert_not_null(strstr(text, part), "\"%s\" is not in \"%s\"", part, text);
}

#endif
