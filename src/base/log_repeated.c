#include <base/log_repeated.h>
#include <stdio.h>
#include <string.h>

static const double SAY_AGAIN_SECONDS = 60;

/* As far as is kept of it. */
static bool is_same(const struct log_repetition *repetition, const char *error)
{
    return repetition->error[0] != '\0' &&
           strncmp(repetition->error, error, sizeof repetition->error - 1) == 0;
}

void log_repeated(struct log_repetition *repetition, double now, enum whippet_log_level level,
                  const struct log_fields *fields, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    bool same = is_same(repetition, fields->error);
    if (same && now - repetition->said_at < SAY_AGAIN_SECONDS) {
        repetition->unsaid++;
        log_event(WHIPPET_DEBUG, fields, "%s", text);
        return;
    }
    if (same && repetition->unsaid > 0)
        log_event(level, fields, "%s (and %u times more in the last %.0f s)", text, repetition->unsaid,
                  now - repetition->said_at);
    else
        log_event(level, fields, "%s", text);
    snprintf(repetition->error, sizeof repetition->error, "%s", fields->error);
    repetition->said_at = now;
    repetition->unsaid = 0;
}

void log_repetition_over(struct log_repetition *repetition)
{
    *repetition = (struct log_repetition){0};
}
