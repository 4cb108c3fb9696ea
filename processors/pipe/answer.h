/* A line that a child wrote: {"id": 17, "verdict": "reject", "reason": "no such customer"} */
#ifndef PIPE_ANSWER_H
#define PIPE_ANSWER_H

#include <stdbool.h>
#include <stdint.h>
#include <whippet/processor.h>

struct answer {
    int64_t id;
    whippet_verdict verdict;   /* RETRY also where `problem` says that there is none */
    whippet_json_value reason; /* as it is written, borrowed from the line; ABSENT: none was given */
    const char *problem;       /* static: what is wrong with the verdict; NULL: nothing */
};

enum {
    ANSWER_PROBLEM_SIZE = 320
};

/* False when it is no answer to anything, and its writer can't be understood: `problem` takes why and what it
 * was, in ANSWER_PROBLEM_SIZE bytes. Takes no memory, and no more stack for deep nesting. */
bool answer_read(whippet_bytes line, struct answer *answer, char *problem);

#endif
