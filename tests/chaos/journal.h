/* Reads what the `journal` processor (tests/plugins/journal.c) wrote. */
#ifndef TESTS_CHAOS_JOURNAL_H
#define TESTS_CHAOS_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

/* How often each message came to each end. Grows with `limit`. */
struct journal {
    const char *path;
    long offset; /* read so far */
    unsigned limit;
    uint32_t *processed; /* by number, below limit */
    uint32_t *rejected;
    uint64_t processed_lines, rejected_lines, damaged_lines;
    unsigned handled; /* different messages with any verdict */
};

/* Has room for the numbers below `limit`. */
void journal_expect(struct journal *journal, unsigned limit);

/* Takes in what was written since the last time. A line with a number that was never published fails the
 * test. */
void journal_read(struct journal *journal);
void journal_destroy(struct journal *journal);

#endif
