/* whippet child: what the worker starts for `"run": "process"`. Not for people, so no help names it. */
#include "commands.h"
#include "exit_codes.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <worker/child.h>

int command_child(int argc, char **argv)
{
    long parent = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    if (parent <= 0) {
        fprintf(
            stderr,
            "whippet child is started by the worker, for \"run\": \"process\"; see \"whippet help run\"\n");
        return EXIT_USAGE;
    }
    switch (child_serve((pid_t)parent)) {
    case CHILD_DONE: return EXIT_DONE;
    case CHILD_NOT_SET_UP: return EXIT_CONFIGURATION;
    case CHILD_ABANDONED: break;
    }
    _exit(EXIT_FAILED); /* attempts may still hang on to everything */
}
