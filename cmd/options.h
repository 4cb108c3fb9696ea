/* A command's options, read with getopt_long, so that every command takes and refuses them in the same way.
 */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include <getopt.h>

/* What options_next returns besides the options' own values. */
enum {
    OPTIONS_END = -1,   /* no more: the operands are argv[optind] and on */
    OPTIONS_HELP = -2,  /* help was asked for, and printed: end with EXIT_DONE */
    OPTIONS_WRONG = -3, /* a mistake, which was explained on standard error: end with EXIT_USAGE */
};

struct options {
    const char *command;               /* whose options they are */
    const char *short_options;         /* as getopt takes them, without -h */
    const struct option *long_options; /* as getopt_long takes them, without --help; at most OPTIONS_MOST */
};

enum {
    OPTIONS_MOST = 30
};

/* The value of the next option, its argument in optarg. */
int options_next(const struct options *options, int argc, char **argv);

/* For a command without options of its own: OPTIONS_END with the operands in argv[optind] and on, or else the
 * exit code to end with. */
int options_none(const char *command, int argc, char **argv);

/* Explains a mistake in the command line, printf-style, and where to read more. Returns EXIT_USAGE. */
int usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same where an operand was given to a command that takes options alone. `option` is what it may be the
 * value of; NULL: of none. */
int usage_error_operand(const char *command, const char *operand, const char *option);

#endif
