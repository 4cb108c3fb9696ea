#include "assets.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct asset *asset_find(const char *path)
{
    for (size_t i = 0; i < ASSET_COUNT; i++) {
        if (strcmp(ASSETS[i].path, path) == 0)
            return &ASSETS[i];
    }
    return NULL;
}

bool asset_is_current(const struct asset *asset, const char *if_none_match)
{
    return if_none_match != NULL &&
           (strcmp(if_none_match, "*") == 0 || strstr(if_none_match, asset->etag) != NULL);
}

/* "gzip;q=0" refuses it (RFC 9110, 12.5.3). */
static bool is_refused(const char *parameters, size_t length)
{
    const char *weight = memmem(parameters, length, "q=", 2);
    return weight != NULL && strtod(weight + 2, NULL) == 0;
}

bool asset_goes_compressed(const char *accept_encoding)
{
    static const char GZIP[] = "gzip";
    const size_t name = sizeof GZIP - 1;
    for (const char *at = accept_encoding; at != NULL && *at != '\0';) {
        at += strspn(at, ", \t");
        size_t length = strcspn(at, ",");
        bool named = length >= name && strncasecmp(at, GZIP, name) == 0 &&
                     (length == name || strchr("; \t", at[name]) != NULL);
        if (named)
            return !is_refused(at + name, length - name);
        at += length;
    }
    return false;
}
