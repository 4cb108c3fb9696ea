/* Several URLs in one text: a cluster's nodes, from one environment variable. */
#include "url.h"
#include <stdbool.h>
#include <string.h>
#include <strings.h>

static bool begins_url(const char *text)
{
    return strncasecmp(text, "amqp://", 7) == 0 || strncasecmp(text, "amqps://", 8) == 0;
}

/* The comma behind which another URL begins, or nothing does; NULL: there is none. */
static const char *find_separator(const char *text)
{
    for (const char *comma = text; (comma = strchr(comma, ',')) != NULL; comma++) {
        const char *next = comma + 1 + strspn(comma + 1, " ");
        if (begins_url(next) || *next == '\0')
            return comma;
    }
    return NULL;
}

size_t urls_count(const char *text)
{
    size_t count = 1;
    while ((text = find_separator(text)) != NULL) {
        text++;
        count++;
    }
    return count;
}

/* `number` from 1; 0: the text is one URL. */
static int parse_one(const char *text, size_t length, size_t number, struct config_arena *arena,
                     struct broker_address *address, struct whippet_failure *failure)
{
    char *url = config_arena_copy(arena, text, length);
    if (url == NULL)
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    int error = url_parse(url, arena, address, failure);
    if (error != 0 && error != WHIPPET_E_MEMORY && number > 0)
        failure_set(failure, error, "URL %zu of the list: %s", number, failure->text);
    return error;
}

int urls_parse(const char *text, struct config_arena *arena, struct broker_address *addresses,
               struct whippet_failure *failure)
{
    size_t count = urls_count(text);
    for (size_t i = 0; i < count; i++) {
        const char *separator = find_separator(text);
        size_t length = separator != NULL ? (size_t)(separator - text) : strlen(text);
        int error = parse_one(text, length, count > 1 ? i + 1 : 0, arena, &addresses[i], failure);
        if (error != 0)
            return error;
        if (separator != NULL)
            text = separator + 1 + strspn(separator + 1, " ");
    }
    return 0;
}
