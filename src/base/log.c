#include "log_line.h"
#include "log_sink.h"
#include <base/bytes.h>
#include <base/clock.h>
#include <base/log.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>

static atomic_int lowest_level = WHIPPET_INFO;

/* Guards all below. Held for one line at most, and never across a suspension. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum log_format current_format = LOG_FORMAT_TEXT;
static unsigned long lost_lines;
/* Static, to leave the stacks of tasks alone; of these pages only what a line touches is ever resident. */
static char message_text[LOG_MESSAGE_LIMIT + 8];
static char line_text[LOG_LINE_SIZE];

void log_configure(int descriptor, enum whippet_log_level level, enum log_format format)
{
    pthread_mutex_lock(&lock);
    log_sink_open(descriptor);
    current_format = format;
    lost_lines = 0;
    pthread_mutex_unlock(&lock);
    atomic_store_explicit(&lowest_level, (int)level, memory_order_relaxed);
}

bool log_enabled(enum whippet_log_level level)
{
    return (int)level >= atomic_load_explicit(&lowest_level, memory_order_relaxed);
}

/* A processor may pass any number. */
static enum whippet_log_level known_level(enum whippet_log_level level)
{
    return (unsigned)level <= WHIPPET_ERROR ? level : WHIPPET_ERROR;
}

static bool write_message(enum whippet_log_level level, const struct log_fields *fields,
                          whippet_bytes message)
{
    size_t length = log_line_format(line_text, current_format, level, clock_wall(), fields, message);
    return log_sink_write(line_text, length);
}

/* Says that lines are missing, in front of the first that gets through again. */
static bool report_lost_lines(void)
{
    char text[100];
    if (lost_lines == 0)
        return true;
    snprintf(text, sizeof text,
             "%lu log line%s lost here: the log's reader did not keep up, or its disk was full", lost_lines,
             lost_lines == 1 ? "" : "s");
    if (!write_message(WHIPPET_WARNING, NULL, bytes_of_text(text)))
        return false;
    lost_lines = 0;
    return true;
}

void log_event_v(enum whippet_log_level level, const struct log_fields *fields, const char *format,
                 va_list arguments)
{
    if (!log_enabled(level))
        return;
    pthread_mutex_lock(&lock);
    bool delivered = report_lost_lines();
    if (delivered) {
        int length = vsnprintf(message_text, sizeof message_text, format, arguments);
        whippet_bytes message = length >= 0 ? bytes_of_text(message_text) : bytes_of_text(format);
        delivered = write_message(known_level(level), fields, message);
    }
    if (!delivered)
        lost_lines++;
    pthread_mutex_unlock(&lock);
}

void log_event(enum whippet_log_level level, const struct log_fields *fields, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_event_v(level, fields, format, arguments);
    va_end(arguments);
}

void log_event_from_signal(const struct log_fields *fields, const char *message)
{
    /* The lock and its line may be in use by whatever the signal interrupted. */
    static char line[LOG_LINE_SIZE];
    size_t length =
        log_line_format(line, current_format, WHIPPET_ERROR, clock_wall(), fields, bytes_of_text(message));
    log_sink_write_from_signal(line, length);
}

bool log_level_parse(const char *text, enum whippet_log_level *level)
{
    static const struct {
        const char *name;
        enum whippet_log_level level;
    } names[] = {
        {"debug", WHIPPET_DEBUG},  {"info", WHIPPET_INFO},   {"warning", WHIPPET_WARNING},
        {"warn", WHIPPET_WARNING}, {"error", WHIPPET_ERROR},
    };
    for (size_t i = 0; text != NULL && i < sizeof names / sizeof names[0]; i++) {
        if (strcasecmp(text, names[i].name) == 0) {
            *level = names[i].level;
            return true;
        }
    }
    return false;
}
