#ifndef CMD_HELP_H
#define CMD_HELP_H

/* The list of all commands, to standard output. */
void help_print(void);

/* Explains that there is no such command. Returns EXIT_USAGE. */
int command_unknown(const char *name);

#endif
