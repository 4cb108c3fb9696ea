#include "postgres.h"
#include "command.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char script[] = WHIPPET_POSTGRES_SCRIPT;

/* Reads PGHOST and PGPORT from its file `environment`. */
static struct postgres describe(const char *folder)
{
    char path[POSTGRES_TEXT_SIZE + 16], line[POSTGRES_TEXT_SIZE];
    struct postgres postgres = {.lifeline = -1};
    snprintf(postgres.folder, sizeof postgres.folder, "%s", folder);
    snprintf(path, sizeof path, "%s/environment", folder);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "there is no %s", path);
    while (fgets(line, sizeof line, file) != NULL) {
        sscanf(line, "export PGHOST=%255s", postgres.socket);
        sscanf(line, "export PGPORT=%7s", postgres.port);
    }
    fclose(file);
    snprintf(postgres.url, sizeof postgres.url, "host=%s port=%s user=whippet dbname=postgres",
             postgres.socket, postgres.port);
    return postgres;
}

static void run_script(const char *command, const char *folder)
{
    const char *arguments[] = {script, command, folder, NULL};
    cr_assert_eq(command_run(arguments, NULL, 0), 0, "%s %s %s failed", script, command, folder);
}

struct postgres postgres_shared(void)
{
    const char *folder = getenv("WHIPPET_TEST_POSTGRES");
    cr_assert_not_null(folder, "run the test with: %s with …", script);
    return describe(folder);
}

/* The guard is forked off by setsid, so that no signal to the tests' process group reaches it. */
static int guard(const char *folder)
{
    const char *arguments[] = {"setsid", "--fork", script, "guard", folder, NULL};
    int lifeline[2], nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    cr_assert_eq(pipe2(lifeline, O_CLOEXEC), 0, "pipe2: %s", strerror(errno));
    pid_t child = command_start(arguments, lifeline[0], nothing, -1);
    close(lifeline[0]);
    close(nothing);
    cr_assert_eq(command_wait(child), 0, "the server's guard did not start");
    return lifeline[1];
}

struct postgres postgres_create(void)
{
    char folder[] = "/tmp/whippet-postgres.XXXXXX";
    cr_assert_not_null(mkdtemp(folder), "mkdtemp %s: %s", folder, strerror(errno));
    int lifeline = guard(folder);
    run_script("start", folder);
    struct postgres postgres = describe(folder);
    postgres.lifeline = lifeline;
    return postgres;
}

void postgres_destroy(const struct postgres *postgres)
{
    run_script("destroy", postgres->folder);
    close(postgres->lifeline);
}

void postgres_start(const struct postgres *postgres)
{
    run_script("start", postgres->folder);
}

void postgres_stop(const struct postgres *postgres)
{
    run_script("stop", postgres->folder);
}

void postgres_kill(const struct postgres *postgres)
{
    run_script("kill", postgres->folder);
}

static char statement[8192];

__attribute__((format(printf, 2, 0))) static const char *run_statement(const struct postgres *postgres,
                                                                       const char *format, va_list arguments)
{
    static char answer[4096];
    vsnprintf(statement, sizeof statement, format, arguments);
    const char *psql[] = {"psql", "-XqAt",   "-v", "ON_ERROR_STOP=1", "-d", postgres->url,
                          "-c",   statement, NULL};
    answer[0] = '\0';
    return command_run(psql, answer, sizeof answer) == 0 ? answer : NULL;
}

const char *postgres_try(const struct postgres *postgres, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const char *answer = run_statement(postgres, format, arguments);
    va_end(arguments);
    return answer;
}

const char *postgres_ask(const struct postgres *postgres, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const char *answer = run_statement(postgres, format, arguments);
    va_end(arguments);
    cr_assert_not_null(answer, "psql failed: %s", statement);
    return answer;
}
