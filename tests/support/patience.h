/* Waiting in tests: for a condition with a deadline, never for a time. */
#ifndef TESTS_SUPPORT_PATIENCE_H
#define TESTS_SUPPORT_PATIENCE_H

#include <criterion/criterion.h>

/* Seconds on the monotonic clock, which every process of this machine shares. */
double patience_now(void);

/* What `seconds` of a quick machine are here: times $WHIPPET_TEST_PATIENCE, a factor that scripts/test sets
 * for busy machines and slow tools. */
double patience_stretched(double seconds);

/* A deadline so many stretched seconds away. */
double patience_deadline(double seconds);

/* Gives way for a few milliseconds. */
void patience_pause(void);

/* Comes back once `condition` holds; fails the test with the message when that takes longer than `seconds`.
 */
#define await(seconds, condition, ...)                                                                       \
    do {                                                                                                     \
        double await_deadline = patience_deadline(seconds);                                                  \
        while (!(condition)) {                                                                               \
            cr_assert(patience_now() < await_deadline, "waited in vain: " __VA_ARGS__);                      \
            patience_pause();                                                                                \
        }                                                                                                    \
    } while (0)

#endif
