#include <whippet/types.h>

const char *whippet_error_text(int error)
{
    if (error >= 0)
        return "no error";
    switch (error) {
#define ERROR_CASE(name, value, text)                                                                        \
    case value: return text;
        WHIPPET_ERRORS(ERROR_CASE)
#undef ERROR_CASE
    default: return "unknown error";
    }
}
