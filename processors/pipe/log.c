#include "log.h"
#include <string.h>

static void say_dropped(whippet_task *task, struct child_log *log)
{
    if (log->rate.dropped > 0)
        whippet_log(task, WHIPPET_WARNING,
                    "child %u wrote %zu more line%s to its standard error, which were left out (log_rate %u)",
                    log->number, log->rate.dropped, log->rate.dropped == 1 ? "" : "s", log->rate.most);
    log->rate.dropped = 0;
}

static void begin_second(whippet_task *task, struct child_log *log)
{
    if (line_rate_begins(&log->rate))
        say_dropped(task, log);
}

/* Without what would only be blank at its end; a NUL would end it too early. */
static whippet_bytes clean(whippet_bytes line)
{
    char *data = (char *)(size_t)line.data;
    while (line.len > 0 && strchr(" \t\r", data[line.len - 1]) != NULL)
        line.len--;
    for (size_t i = 0; i < line.len; i++)
        data[i] = data[i] != '\0' ? data[i] : ' ';
    return line;
}

static void keep(struct child_log *log, whippet_bytes line)
{
    size_t length = line.len < sizeof log->last ? line.len : sizeof log->last - 1;
    memcpy(log->last, line.data, length);
    log->last[length] = '\0';
}

static void take_line(whippet_task *task, struct child_log *log, whippet_bytes line)
{
    line = clean(line);
    if (line.len == 0)
        return;
    keep(log, line);
    if (!log->level.is_logged)
        return;
    begin_second(task, log);
    if (line_rate_take(&log->rate))
        whippet_log(task, log->level.level, "child %u: %.*s", log->number, (int)line.len,
                    (const char *)line.data);
}

void child_log_take(whippet_task *task, struct child_log *log)
{
    whippet_bytes line;
    size_t room;
    while (lines_next(&log->lines, &line))
        take_line(task, log, line);
    lines_room(&log->lines, &room);
    if (room == 0 && lines_rest(&log->lines, &line))
        take_line(task, log, line);
    if (log->rate.dropped > 0)
        begin_second(task, log);
}

void child_log_end(whippet_task *task, struct child_log *log)
{
    whippet_bytes line;
    if (lines_rest(&log->lines, &line))
        take_line(task, log, line);
    say_dropped(task, log);
}

double child_log_due(const struct child_log *log)
{
    double left = line_rate_left(&log->rate);
    return log->rate.dropped == 0 ? 0 : left > 0.01 ? left : 0.01;
}
