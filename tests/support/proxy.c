#include "proxy.h"

#include "command.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_SIZE = 160
};

struct proxy {
    pid_t pid;
    FILE *commands, *answers;
    char port[16];
};

static void read_answer(struct proxy *proxy, char *line)
{
    cr_assert_not_null(fgets(line, LINE_SIZE, proxy->answers), "the proxy has ended");
    line[strcspn(line, "\n")] = '\0';
}

struct proxy *proxy_start(const char *port)
{
    const char *program = getenv("WHIPPET_CHAOS_PROXY");
    const char *arguments[] = {program, "127.0.0.1", port, NULL};
    struct proxy *proxy = calloc(1, sizeof(*proxy));
    char line[LINE_SIZE];
    int commands[2], answers[2];

    cr_assert_not_null(program, "WHIPPET_CHAOS_PROXY is not set; ctest and tests/chaos/run set it");
    cr_assert(pipe2(commands, O_CLOEXEC) == 0 && pipe2(answers, O_CLOEXEC) == 0, "pipe2: %s",
              strerror(errno));
    proxy->pid = command_start(arguments, commands[0], answers[1], -1);
    close(commands[0]);
    close(answers[1]);
    proxy->commands = fdopen(commands[1], "w");
    proxy->answers = fdopen(answers[0], "r");
    read_answer(proxy, line);
    snprintf(proxy->port, sizeof(proxy->port), "%.15s", line);
    return proxy;
}

void proxy_end(struct proxy *proxy)
{
    fclose(proxy->commands);
    cr_assert_eq(command_wait(proxy->pid), 0, "the proxy failed");
    fclose(proxy->answers);
    free(proxy);
}

const char *proxy_port(const struct proxy *proxy)
{
    return proxy->port;
}

static void ask(struct proxy *proxy, const char *command, char *line)
{
    fprintf(proxy->commands, "%s\n", command);
    fflush(proxy->commands);
    read_answer(proxy, line);
}

void proxy_say(struct proxy *proxy, const char *command, ...)
{
    char text[LINE_SIZE], line[LINE_SIZE];
    va_list list;

    va_start(list, command);
    vsnprintf(text, sizeof(text), command, list);
    va_end(list);
    ask(proxy, text, line);
    cr_assert_str_eq(line, "ok", "the proxy answers \"%s\" to \"%s\"", line, text);
}

struct proxy_status proxy_status(struct proxy *proxy)
{
    struct proxy_status status;
    char line[LINE_SIZE];

    ask(proxy, "status", line);
    cr_assert_eq(sscanf(line, "open %lu accepted %lu up %lu down %lu swallowed %lu corrupted %lu",
                        &status.open, &status.accepted, &status.up, &status.down, &status.swallowed,
                        &status.corrupted),
                 6, "the proxy's status reads \"%s\"", line);
    return status;
}
