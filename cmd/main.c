/* The program's beginning and end; what it does is in a file per command. */
#include "commands.h"
#include "exit_codes.h"
#include "help.h"
#include "init.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A descriptor 0, 1 or 2 that is closed would be taken by the first socket, and be written to by the first
 * message. */
static void open_standard_descriptors(void)
{
    int descriptor;
    do
        descriptor = open("/dev/null", O_RDWR);
    while (descriptor >= 0 && descriptor <= STDERR_FILENO);
    if (descriptor > STDERR_FILENO)
        close(descriptor);
}

static void prepare_signals(void)
{
    /* A peer that went away is an error of the write, not the end of the program. */
    signal(SIGPIPE, SIG_IGN);
    /* Ignored, it would have the system throw the exit statuses of our children away. */
    signal(SIGCHLD, SIG_DFL);
}

/* What is still in stdio's buffer may not fit the disk, or its reader may be gone. */
static int finish(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (errno != EPIPE)
        fprintf(stderr, "whippet: cannot write to standard output: %s\n", strerror(errno));
    return code == EXIT_DONE ? EXIT_FAILED : code;
}

static int dispatch(int argc, char **argv)
{
    static char run[] = "run"; /* the word that may be left out */
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return command_help(1, argv + 1);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        return command_version(1, argv + 1);
    if (word[0] == '\0' || word[0] == '-') {
        argv[0] = run;
        return command_run(argc, argv);
    }
    if (strcmp(word, "child") == 0)
        return command_child(argc - 1, argv + 1);
    const struct command *command = command_find(word);
    if (command == NULL)
        return command_unknown(word);
    return command->function(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    init_when_first();
    open_standard_descriptors();
    prepare_signals();
    return finish(dispatch(argc, argv));
}
