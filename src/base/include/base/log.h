/* The log: one event a line on standard error, as text for people or JSON for machines. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <whippet/log.h>
#include <whippet/types.h>

enum log_format {
    LOG_FORMAT_TEXT,
    LOG_FORMAT_JSON
};

/* What an event is about; zeroed members are left out. Everything is borrowed for the call. */
struct log_fields {
    const char *queue;
    const char *processor;
    whippet_bytes message_id;
    unsigned attempt; /* from 1 */
    double duration;  /* seconds; with has_duration */
    bool has_duration;
    const char *outcome;    /* acked, retried, dead_lettered, discarded, returned */
    const char *connection; /* consume or publish */
    const char *error;      /* the cause, in words */
};

/* Where lines go (default: descriptor 2), from which level on (default: info), and how (default: text). */
void log_configure(int descriptor, enum whippet_log_level level, enum log_format format);

bool log_enabled(enum whippet_log_level level);

/* Writes one line. `fields` may be NULL. Control characters in anything are escaped, so that a message can
 * never forge a second line. Safe to call on a task's stack: takes less than 1 KiB of it, and formats
 * elsewhere. */
void log_event(enum whippet_log_level level, const struct log_fields *fields, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_event_v(enum whippet_log_level level, const struct log_fields *fields, const char *format,
                 va_list arguments) __attribute__((format(printf, 3, 0)));

/* The same at the level error, safe in a signal's handler: takes no lock, allocates nothing, formats nothing;
 * it may stand between two lines of others, never inside one. Not for two threads at once. */
void log_event_from_signal(const struct log_fields *fields, const char *message);

/* "debug", "info", "warning" ("warn"), "error" → level; false for anything else. */
bool log_level_parse(const char *text, enum whippet_log_level *level);

#endif
