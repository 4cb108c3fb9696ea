/* A short text that one thread sets now and then and any thread reads: without a lock, so that neither ever
 * waits for the other. */
#ifndef STATS_SHARED_TEXT_H
#define STATS_SHARED_TEXT_H

#include <stdatomic.h>
#include <stdint.h>

enum {
    SHARED_TEXT_SIZE = 512 /* bytes, the NUL included: as much as a failure's text */
};

/* Zeroed: empty. */
struct shared_text {
    _Atomic unsigned sequence; /* odd while it is half written */
    _Atomic uint64_t words[SHARED_TEXT_SIZE / sizeof(uint64_t)];
};

/* What does not fit is cut. */
void shared_text_set(struct shared_text *shared, const char *text);

/* Into SHARED_TEXT_SIZE bytes. */
void shared_text_get(const struct shared_text *shared, char *text);

#endif
