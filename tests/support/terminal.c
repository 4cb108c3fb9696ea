#include "terminal.h"

#include "command.h"
#include "patience.h"
#include "stage.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SOCKET_SIZE = 108, /* sun_path's */
    ARGUMENTS = 16
};

struct terminal {
    pid_t server;
    char socket[SOCKET_SIZE];
};

static struct terminal terminal;

/* What tmux prints when it is told so, which the caller frees; its exit status into `status`. */
static char *tell(const char *const *words, int *status)
{
    const char *arguments[ARGUMENTS] = {"tmux", "-S", terminal.socket};
    int output[2], nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    size_t size = 0, count = 3;
    char *text = NULL;

    while (*words) {
        cr_assert_lt(count, ARGUMENTS - 1, "too many words");
        arguments[count++] = *words++;
    }
    cr_assert_eq(pipe2(output, O_CLOEXEC), 0, "pipe2: %s", strerror(errno));
    pid_t child = command_start(arguments, -1, output[1], nothing);
    close(output[1]);
    close(nothing);
    FILE *stream = fdopen(output[0], "r");
    if (getdelim(&text, &size, '\0', stream) < 0) {
        free(text);
        text = strdup("");
    }
    fclose(stream);
    *status = command_wait(child);
    return text;
}

#define TELL(...) tell_to((const char *const[]){__VA_ARGS__, NULL})

static void tell_to(const char *const *words)
{
    int status;
    free(tell(words, &status));
    cr_assert_eq(status, 0, "tmux %s ended with %d", words[0], status);
}

static bool is_there(void)
{
    int status;
    free(tell((const char *const[]){"show-options", "-g", NULL}, &status));
    return status == 0;
}

struct terminal *terminal_open(unsigned columns, unsigned rows, const char *command)
{
    char width[16], height[16];
    const char *server[] = {"tmux", "-D", "-u", "-S", terminal.socket, "-f", "/dev/null", NULL};

    cr_assert_eq(terminal.server, 0, "there is a terminal already");
    snprintf(terminal.socket, sizeof(terminal.socket), "%s", stage_path("terminal"));
    snprintf(width, sizeof(width), "%u", columns);
    snprintf(height, sizeof(height), "%u", rows);
    terminal.server = command_start(server, -1, -1, -1);
    await(20, is_there(), "tmux");
    TELL("-u", "new-session", "-d", "-x", width, "-y", height, "sh");
    TELL("set-option", "-g", "status", "off");
    TELL("set-option", "-g", "remain-on-exit", "on");
    TELL("set-option", "-g", "window-size", "manual");
    /* LeakSanitizer does not come to its end in a process whose terminal has gone. */
    TELL("respawn-pane", "-k", "-e", "ASAN_OPTIONS=detect_leaks=0", command);
    return &terminal;
}

void terminal_close(struct terminal *closed)
{
    kill(closed->server, SIGTERM);
    command_wait(closed->server);
    closed->server = 0;
}

void terminal_press(struct terminal *pressed, const char *key)
{
    (void)pressed;
    TELL("send-keys", key);
}

void terminal_resize(struct terminal *resized, unsigned columns, unsigned rows)
{
    char width[16], height[16];

    (void)resized;
    snprintf(width, sizeof(width), "%u", columns);
    snprintf(height, sizeof(height), "%u", rows);
    TELL("resize-window", "-x", width, "-y", height);
}

char *terminal_look(struct terminal *seen, bool styles)
{
    int status;

    (void)seen;
    return tell((const char *const[]){"capture-pane", "-p", styles ? "-e" : NULL, NULL}, &status);
}

bool terminal_shows(struct terminal *seen, const char *text)
{
    char *screen = terminal_look(seen, false);
    bool found = strstr(screen, text) != NULL;

    free(screen);
    return found;
}

void terminal_await(struct terminal *seen, double seconds, const char *text)
{
    double deadline = patience_deadline(seconds);

    while (!terminal_shows(seen, text)) {
        if (patience_now() > deadline) {
            char *screen = terminal_look(seen, false);
            cr_assert_fail("waited in vain for \"%s\" on the terminal:\n%s", text, screen);
        }
        patience_pause();
    }
}
