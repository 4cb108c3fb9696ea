#include <base/failure.h>
#include <base/utf8.h>
#include <stdio.h>
#include <string.h>

static const char ellipsis[] = "…";

int failure_set_v(struct whippet_failure *failure, int error, const char *format, va_list arguments)
{
    if (failure == NULL)
        return error;
    /* Apart from failure->text, since that may be among the arguments: "cannot open x: <what it said
     * before>". */
    char text[FAILURE_TEXT_SIZE] = "";
    int length = vsnprintf(text, sizeof text, format, arguments);
    if (length < 0)
        snprintf(text, sizeof text, "(a text that cannot be formatted)");
    if (length >= (int)sizeof text) {
        size_t kept = utf8_cut(text, sizeof text - 1, sizeof text - sizeof ellipsis);
        memcpy(text + kept, ellipsis, sizeof ellipsis);
    }
    failure->error = error;
    memcpy(failure->text, text, sizeof text);
    return error;
}

int failure_set(struct whippet_failure *failure, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    failure_set_v(failure, error, format, arguments);
    va_end(arguments);
    return error;
}
