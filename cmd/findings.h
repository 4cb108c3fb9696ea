/* What a comparison has found, each with what to do about it. */
#ifndef CMD_FINDINGS_H
#define CMD_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

enum finding_level {
    FINDING_PROBLEM,   /* something will not work as configured */
    FINDING_NOTE,      /* worth knowing; the worker copes */
    FINDING_UNCHECKED, /* could not be looked at */
};

enum {
    FINDING_TEXT_SIZE = 768
};

struct finding {
    enum finding_level level;
    const char *queue; /* borrowed; NULL: all of them */
    const char *fix;   /* borrowed: what to do about it, in words or as a command */
    char text[FINDING_TEXT_SIZE];
};

struct findings {
    struct finding *items; /* owned */
    size_t count;
    size_t problems;
    bool short_of_memory;
};

/* printf-style. */
void findings_add(struct findings *findings, enum finding_level level, const char *queue, const char *fix,
                  const char *format, ...) __attribute__((nonnull(1, 4), format(printf, 5, 6)));

/* On standard output: in words, or as a JSON object a line. */
void findings_print(const struct findings *findings, bool json);
void findings_destroy(struct findings *findings);

#endif
