/* The commands of the program. */
#ifndef CMD_COMMANDS_H
#define CMD_COMMANDS_H

#include <stdbool.h>

#include <stddef.h>

struct command {
    const char *name;
    const char *summary;                    /* a few words for the list of all commands */
    const char *usage;                      /* the whole text of `whippet help NAME` */
    int (*function)(int argc, char **argv); /* argv[0] is the command's own name; returns an exit code */
};

/* Every command, in the order in which they are listed. */
extern const struct command commands[];
extern const size_t command_count;

/* NULL when there is none of that name. */
const struct command *command_find(const char *name);

/* One to a file. */
int command_run(int argc, char **argv);
int command_check(int argc, char **argv);
int command_try(int argc, char **argv);
int command_publish(int argc, char **argv);
int command_dead(int argc, char **argv);
int command_top(int argc, char **argv);
int command_processors(int argc, char **argv);
int command_new(int argc, char **argv);
int command_healthcheck(int argc, char **argv);
int command_version(int argc, char **argv);
int command_help(int argc, char **argv);
int command_child(int argc, char **argv); /* in no list */

#endif
