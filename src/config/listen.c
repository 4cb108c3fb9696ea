#include "listen.h"
#include <string.h>

static bool parse_port(const char *text, uint16_t *port)
{
    unsigned number = 0;
    size_t length = strlen(text);
    if (length == 0 || length > 5 || strspn(text, "0123456789") != length)
        return false;
    for (; *text != '\0'; text++)
        number = number * 10 + (unsigned)(*text - '0');
    *port = (uint16_t)number;
    return number <= UINT16_MAX;
}

/* The host in front of `colon`, its brackets taken off; an IPv6 address must have them. */
static bool take_host(const char *text, const char *colon, const char **host, size_t *length)
{
    bool in_brackets = text[0] == '[' && colon > text && colon[-1] == ']';
    *host = in_brackets ? text + 1 : text;
    *length = (size_t)(colon - text) - (in_brackets ? 2 : 0);
    return *length > 0 && (in_brackets || memchr(text, ':', (size_t)(colon - text)) == NULL) &&
           memchr(*host, '[', *length) == NULL && memchr(*host, ']', *length) == NULL;
}

int listen_parse(const char *text, struct config_arena *arena, struct listen_address *address,
                 struct whippet_failure *failure)
{
    const char *colon = strrchr(text, ':'), *host;
    size_t length;
    uint16_t port;
    if (strcmp(text, "off") == 0) {
        *address = (struct listen_address){0};
        return 0;
    }
    if (colon == NULL || !parse_port(colon + 1, &port) || !take_host(text, colon, &host, &length))
        return failure_set(failure, WHIPPET_E_INVALID,
                           "expected an address and a port such as \"127.0.0.1:9464\" or \"[::1]:9464\", or "
                           "\"off\", found \"%.80s\"",
                           text);
    char *copy = config_arena_copy(arena, host, length);
    if (copy == NULL)
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    *address = (struct listen_address){.host = copy, .port = port};
    return 0;
}
