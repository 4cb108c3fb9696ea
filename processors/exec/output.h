/* What commands write, line by line into the worker's log, up to so many a second. */
#ifndef EXEC_OUTPUT_H
#define EXEC_OUTPUT_H

#include "line_rate.h"
#include "output_level.h"
#include <pthread.h>
#include <whippet/processor.h>

/* Of one queue; under `run: thread` its messages share it. */
struct output {
    struct output_level level;
    size_t limit; /* bytes of one message */
    pthread_mutex_t lock;
    struct line_rate rate; /* guarded by the lock */
    bool is_told;          /* that lines were left out, in this second; likewise */
};

/* Logs what a command wrote, its standard error only where `failed` is false: else that is in the reason. */
void output_log(whippet_task *task, struct output *output, const whippet_command_result *result, bool failed);

#endif
