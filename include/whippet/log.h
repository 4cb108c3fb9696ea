/**
 * @file
 * Logging from a processor: the line carries the task's queue, processor, message id and attempt by itself.
 */
#ifndef WHIPPET_LOG_H
#define WHIPPET_LOG_H

#include <whippet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How much a line of the log matters; `log.level` of the configuration says from which on they are written.
 */
enum whippet_log_level {
    WHIPPET_DEBUG,   /**< for whoever looks for a mistake */
    WHIPPET_INFO,    /**< what happens */
    WHIPPET_WARNING, /**< what should not, and is dealt with */
    WHIPPET_ERROR,   /**< what somebody has to see to */
};

/** Writes one line, printf-style, without a newline at its end. `task` NULL: from setup() or teardown(). Does
 * not suspend. Control characters are escaped; text beyond 8 KiB is cut. */
WHIPPET_API void whippet_log(whippet_task *task, enum whippet_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif

#endif
