/* A verdict and its reason in one. The reason is kept by the task, for whoever started the attempt. */
#include <async/task.h>
#include <stdarg.h>
#include <whippet/processor.h>

whippet_verdict whippet_retry_later(whippet_task *task, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    task_set_reason(task, format, arguments);
    va_end(arguments);
    return WHIPPET_RETRY;
}

whippet_verdict whippet_retry_after(whippet_task *task, double seconds, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    task_set_reason(task, format, arguments);
    va_end(arguments);
    task_set_retry_after(task, seconds);
    return WHIPPET_RETRY;
}

whippet_verdict whippet_reject(whippet_task *task, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    task_set_reason(task, format, arguments);
    va_end(arguments);
    return WHIPPET_REJECT;
}
