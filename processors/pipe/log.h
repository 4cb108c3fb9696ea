/* What a child writes to standard error, line by line into the worker's log, up to so many a second. */
#ifndef PIPE_LOG_H
#define PIPE_LOG_H

#include "line_rate.h"
#include "lines.h"
#include "output_level.h"
#include <whippet/processor.h>

enum {
    CHILD_LOG_LINE = 8000, /* bytes; a longer one is cut into several */
    CHILD_LOG_KEPT = 400   /* of the last line, for the reason when the child ends */
};

struct child_log {
    struct output_level level;
    struct line_rate rate;
    unsigned number; /* the child's */
    struct lines lines;
    char last[CHILD_LOG_KEPT];
};

/* Takes the lines that have come, and at the end of the stream what is left without an end. */
void child_log_take(whippet_task *task, struct child_log *log);
void child_log_end(whippet_task *task, struct child_log *log);

/* Seconds until it should be called again, with nothing new: lines were dropped, and that is to be said. 0:
 * there is no need. */
double child_log_due(const struct child_log *log);

#endif
