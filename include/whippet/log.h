/* Logging from a processor: the line carries the task's queue, processor, message id and attempt by itself.
 */
#ifndef WHIPPET_LOG_H
#define WHIPPET_LOG_H

#include <whippet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum whippet_log_level {
    WHIPPET_DEBUG,
    WHIPPET_INFO,
    WHIPPET_WARNING,
    WHIPPET_ERROR,
};

/* Writes one line, printf-style, without a newline at its end. `task` NULL: from setup() or teardown(). Does
 * not suspend. Control characters are escaped; text beyond 8 KiB is cut. */
WHIPPET_API void whippet_log(whippet_task *task, enum whippet_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif

#endif
