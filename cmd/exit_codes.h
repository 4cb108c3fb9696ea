/* How the program ends: a promise to scripts and to container engines. The numbers are those of sysexits.h
 * where it has one. */
#ifndef CMD_EXIT_CODES_H
#define CMD_EXIT_CODES_H

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,         /* a message was not acknowledged, a publication not confirmed */
    EXIT_USAGE = 64,         /* the command line is wrong */
    EXIT_BROKER = 69,        /* the broker cannot be reached, where waiting was not wanted */
    EXIT_INTERNAL = 70,      /* what should never happen, or memory is short */
    EXIT_CONFIGURATION = 78, /* the configuration, a processor or its settings are wrong */
};

#endif
