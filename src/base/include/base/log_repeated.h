/* A failure that comes again and again, as each try of something that is down: said when it is new, then
 * counted, and said again once a minute with its count. */
#ifndef BASE_LOG_REPEATED_H
#define BASE_LOG_REPEATED_H

#include <base/failure.h>
#include <base/log.h>

/* Zeroed: nothing was said yet. */
struct log_repetition {
    char error[FAILURE_TEXT_SIZE]; /* the cause that was said last */
    double said_at;
    unsigned unsaid; /* times since then */
};

/* Writes the line when its cause (`fields->error`) is another than the last, or when that was said a minute
 * ago, then with how often it came meanwhile. The others are lines of the level debug. `now` in seconds, from
 * any moment on. */
void log_repeated(struct log_repetition *repetition, double now, enum whippet_log_level level,
                  const struct log_fields *fields, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* What was down works again: the next failure is news, whatever its cause. */
void log_repetition_over(struct log_repetition *repetition);

#endif
