/* What becomes of what a command writes: logged at a level, or dropped. */
#ifndef COMMON_OUTPUT_LEVEL_H
#define COMMON_OUTPUT_LEVEL_H

#include <stdbool.h>
#include <whippet/processor.h>

struct output_level {
    bool is_logged;
    enum whippet_log_level level; /* when it is */
};

/* Reads the STRING option of that name: the name of a level, or "discard". False with the failure filled. */
bool output_level_read(const char *option, const whippet_settings *settings, struct output_level *output,
                       whippet_failure *failure);

#endif
