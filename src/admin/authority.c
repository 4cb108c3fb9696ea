#include "authority.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What an address leads to nobody can choose, unlike what a name does. */
static bool is_address(const char *name)
{
    struct in6_addr address;
    return inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1;
}

/* Without the port and the brackets. */
static bool take_name(const char *host, char *name, size_t size)
{
    bool in_brackets = *host == '[';
    host += in_brackets;
    size_t length = strcspn(host, in_brackets ? "]" : ":");
    if (length == 0 || length >= size)
        return false;
    snprintf(name, size, "%.*s", (int)length, host);
    return true;
}

bool authority_is_ours(const char *host, const char *configured)
{
    char name[256];
    if (host == NULL)
        return true;
    return take_name(host, name, sizeof name) &&
           (is_address(name) || strcasecmp(name, "localhost") == 0 || strcasecmp(name, configured) == 0);
}
