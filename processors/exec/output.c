#include "output.h"
#include <string.h>

static void say_dropped(whippet_task *task, const struct output *output, size_t dropped)
{
    if (dropped > 0)
        whippet_log(task, WHIPPET_WARNING, "%zu more line%s of output %s left out (log_rate %u)", dropped,
                    dropped == 1 ? "" : "s", dropped == 1 ? "was" : "were", output->rate.most);
}

/* How many lines are to be told of now: once a second. */
static size_t take_dropped(struct output *output)
{
    size_t dropped = output->is_told ? 0 : output->rate.dropped;
    if (dropped > 0)
        output->is_told = true;
    output->rate.dropped -= dropped;
    return dropped;
}

static bool take_line(struct output *output, size_t *dropped)
{
    pthread_mutex_lock(&output->lock);
    *dropped = 0;
    if (line_rate_begins(&output->rate)) {
        output->is_told = false;
        *dropped = take_dropped(output);
    }
    bool may = line_rate_take(&output->rate);
    pthread_mutex_unlock(&output->lock);
    return may;
}

static void log_line(whippet_task *task, struct output *output, enum whippet_log_level level,
                     const char *line, int length)
{
    size_t dropped;
    bool may = take_line(output, &dropped);
    say_dropped(task, output, dropped);
    if (may)
        whippet_log(task, level, "%.*s", length, line);
}

static void log_lines(whippet_task *task, struct output *output, enum whippet_log_level level,
                      whippet_bytes text)
{
    const char *at = text.data;
    const char *end = at + text.len;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline != NULL ? newline : end;
        if (line_end > at)
            log_line(task, output, level, at, (int)(line_end - at));
        at = newline != NULL ? newline + 1 : end;
    }
}

void output_log(whippet_task *task, struct output *output, const whippet_command_result *result, bool failed)
{
    if (!output->level.is_logged)
        return;
    log_lines(task, output, output->level.level, result->output);
    if (result->output_truncated)
        whippet_log(task, WHIPPET_WARNING, "the command wrote more than %zu bytes, the rest was dropped",
                    output->limit);
    if (!failed)
        log_lines(task, output, WHIPPET_WARNING, result->error);
    pthread_mutex_lock(&output->lock);
    size_t dropped = take_dropped(output);
    pthread_mutex_unlock(&output->lock);
    say_dropped(task, output, dropped);
}
