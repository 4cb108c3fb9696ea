/* How an event reads as a line. */
#ifndef BASE_LOG_LINE_H
#define BASE_LOG_LINE_H

#include <base/log.h>

enum {
    LOG_MESSAGE_LIMIT = 8192, /* bytes of the text; more is cut */
    LOG_ERROR_LIMIT = 2048,
    LOG_FIELD_LIMIT = 255, /* a short string, as AMQP has it */
    /* Room for the worst: every byte a control character, six bytes in JSON. */
    LOG_LINE_SIZE = 6 * (LOG_MESSAGE_LIMIT + LOG_ERROR_LIMIT + 5 * LOG_FIELD_LIMIT) + 1024,
};

/* Writes the line, newline included, into LOG_LINE_SIZE bytes at `line`; its length. `message` is data, not a
 * format. */
size_t log_line_format(char *line, enum log_format format, enum whippet_log_level level, double wall,
                       const struct log_fields *fields, whippet_bytes message);

#endif
