/* An error as a value with text: what failed, where, and why, in words for a person. */
#ifndef BASE_FAILURE_H
#define BASE_FAILURE_H

#include <stdarg.h>
#include <whippet/types.h>

enum {
    FAILURE_TEXT_SIZE = 512
};

/* Also what a processor's setup() fills through whippet_fail. */
struct whippet_failure {
    int error;                    /* a WHIPPET_E_…; 0: nothing failed */
    char text[FAILURE_TEXT_SIZE]; /* NUL-terminated; cut with "…" where it does not fit */
};

/* Fills it in; returns `error`, so that a caller can return in one line. `failure` NULL: only returns. */
int failure_set(struct whippet_failure *failure, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int failure_set_v(struct whippet_failure *failure, int error, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

#endif
