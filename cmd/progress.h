/* Progress of long work: a bar on a terminal, a plain line now and then elsewhere. On standard error. */
#ifndef CMD_PROGRESS_H
#define CMD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* "published" */
    uint64_t total;
    bool terminal;
    double started;
    double shown; /* when it was shown last */
    int columns;  /* of the terminal's line that are taken */
};

void progress_begin(struct progress *progress, const char *what, uint64_t total);

/* Shows it when it is time to. */
void progress_update(struct progress *progress, uint64_t done);

/* Shows the last state, and ends the line. */
void progress_end(struct progress *progress, uint64_t done);

#endif
