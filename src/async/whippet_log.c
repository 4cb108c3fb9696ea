/* The SDK's log: what base/log.h writes, with the task's fields. */
#include <async/task.h>
#include <base/log.h>
#include <whippet/log.h>

void whippet_log(whippet_task *task, enum whippet_log_level level, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    va_list arguments;
    va_start(arguments, format);
    log_event_v(level, task_log_fields(task), format, arguments);
    va_end(arguments);
}
