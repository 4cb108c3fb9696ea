#include "expand.h"
#include <base/memory.h>
#include <base/utf8.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    LONGEST_NAME = 255
};

/* It goes over the text twice, first to see how long it gets: what grows leaves copies behind, and there may
 * be passwords in it. */
struct expander {
    char *output; /* NULL: only its length is wanted */
    size_t length;
    bool is_expanded;
    struct whippet_failure *failure;
};

static void append(struct expander *expander, const char *text, size_t length)
{
    if (expander->output != NULL)
        memcpy(expander->output + expander->length, text, length);
    expander->length += length;
}

static size_t name_length(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    return *text >= '0' && *text <= '9' ? 0 : strspn(text, letters);
}

static int append_variable(struct expander *expander, const char *name, const char *fallback,
                           size_t fallback_length)
{
    const char *value = getenv(name);
    if (value == NULL && fallback == NULL)
        return failure_set(expander->failure, WHIPPET_E_INVALID,
                           "the environment variable %s is not set; set it, or write ${%s:-default}", name,
                           name);
    /* As in a shell, :- stands in for an empty variable too: docker-compose passes unset ones on as empty. */
    if (fallback != NULL && (value == NULL || *value == '\0')) {
        append(expander, fallback, fallback_length);
        return 0;
    }
    size_t length = strlen(value);
    for (size_t at = 0, sequence; at < length; at += sequence) {
        sequence = utf8_sequence(value + at, length - at);
        if (sequence == 0)
            return failure_set(expander->failure, WHIPPET_E_INVALID,
                               "the environment variable %s holds bytes that are not UTF-8", name);
    }
    append(expander, value, length);
    return 0;
}

/* `*at` is behind "${", and then behind the "}". */
static int expand_variable(struct expander *expander, const char **at)
{
    char name[LONGEST_NAME + 1];
    const char *begin = *at;
    size_t length = name_length(begin);
    const char *close = strchr(begin, '}');
    if (close == NULL)
        return failure_set(
            expander->failure, WHIPPET_E_INVALID,
            "a ${ without its }; write ${NAME} or ${NAME:-default}, and $$ for the character $");
    const char *nested = strstr(begin, "${");
    if (nested != NULL && nested < close)
        return failure_set(expander->failure, WHIPPET_E_INVALID,
                           "a ${…} within another, which is not supported; use one variable");
    bool has_fallback = strncmp(begin + length, ":-", 2) == 0;
    if (length == 0 || length > LONGEST_NAME || (!has_fallback && begin + length != close))
        return failure_set(
            expander->failure, WHIPPET_E_INVALID,
            "a ${…} that is not of the form ${NAME} or ${NAME:-default}; a $ itself is written $$");
    memcpy(name, begin, length);
    name[length] = '\0';
    const char *fallback = has_fallback ? begin + length + 2 : NULL;
    expander->is_expanded = true;
    *at = close + 1;
    return append_variable(expander, name, fallback, has_fallback ? (size_t)(close - fallback) : 0);
}

static int expand_all(struct expander *expander, const char *at)
{
    int result = 0;
    while (result == 0 && *at != '\0') {
        size_t plain = strcspn(at, "$");
        append(expander, at, plain);
        at += plain;
        if (*at == '\0')
            break;
        if (at[1] == '{') {
            at += 2;
            result = expand_variable(expander, &at);
        } else {
            append(expander, "$", 1);
            at += at[1] == '$' ? 2 : 1;
        }
    }
    return result;
}

int expand(const char *text, struct expansion *expansion, struct whippet_failure *failure)
{
    struct expander expander = {.failure = failure};
    int result = expand_all(&expander, text);
    if (result != 0)
        return result;
    expander.output = memory_allocate(expander.length + 1);
    if (expander.output == NULL)
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    expander.length = 0;
    expand_all(&expander, text);
    expander.output[expander.length] = '\0';
    *expansion = (struct expansion){.text = expander.output, .is_expanded = expander.is_expanded};
    return 0;
}
