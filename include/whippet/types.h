/**
 * @file
 * The words every other header uses: a span of bytes, how symbols are exported, and the errors.
 */
#ifndef WHIPPET_TYPES_H
#define WHIPPET_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Marks a function that the whippet program offers to processors. */
#define WHIPPET_API __attribute__((visibility("default")))

/** A borrowed run of bytes: never NUL-terminated on purpose, valid as long as what it was taken from.
 * An absent value has data == NULL and len == 0. */
typedef struct whippet_bytes {
    const void *data; /**< NULL: absent */
    size_t len;       /**< bytes */
} whippet_bytes;

/** One attempt's lightweight thread of control. A function that takes one may suspend; one that does not,
 * never does. */
typedef struct whippet_task whippet_task;

/** One delivery, borrowed by the processor for the duration of process(). */
typedef struct whippet_message whippet_message;

/** Where setup() says what is wrong, through whippet_fail: printf-style, one line; text beyond half a KiB is
 * cut. */
typedef struct whippet_failure whippet_failure;

/** What an await or a call can fail with. Negative, and apart from -errno on purpose: errno means nothing
 * across an await. X(name, value, text). */
#define WHIPPET_ERRORS(X)                                                                                    \
    X(CANCELLED, -1001, "cancelled")                                                                         \
    X(TIMEOUT, -1002, "timed out")                                                                           \
    X(MEMORY, -1003, "out of memory")                                                                        \
    X(CLOSED, -1004, "closed")                                                                               \
    X(INVALID, -1005, "invalid argument")                                                                    \
    X(SYSTEM, -1006, "system call failed")                                                                   \
    X(PROTOCOL, -1007, "protocol violated")                                                                  \
    X(REFUSED, -1008, "refused")                                                                             \
    X(LIMIT, -1009, "limit exceeded")                                                                        \
    X(RETRY_EXHAUSTED, -1010, "retry exhausted")                                                             \
    X(UNROUTABLE, -1011, "unroutable")                                                                       \
    X(NACKED, -1012, "not confirmed by the broker")                                                          \
    X(UNAVAILABLE, -1013, "not available")

/** The errors as numbers: WHIPPET_E_CANCELLED, WHIPPET_E_TIMEOUT, … */
enum whippet_error {
/** @cond */
#define WHIPPET_ERROR_ENUM(name, value, text) WHIPPET_E_##name = (value),
    WHIPPET_ERRORS(WHIPPET_ERROR_ENUM)
#undef WHIPPET_ERROR_ENUM
    /** @endcond */
};

/** The text for an error above, e.g. "timed out"; "no error" for 0 and above; never NULL. The string is
 * static. */
WHIPPET_API const char *whippet_error_text(int error);

#ifdef __cplusplus
}
#endif

#endif
