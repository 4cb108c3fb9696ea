/* The dashboard's files, which the build embeds in the program (cmake/Assets.cmake). */
#ifndef ADMIN_ASSETS_H
#define ADMIN_ASSETS_H

#include <stdbool.h>
#include <stddef.h>

struct asset_bytes {
    const unsigned char *data;
    size_t size;
};

struct asset {
    const char *path;
    const char *content_type;
    const char *etag; /* weak: the same for both forms */
    struct asset_bytes plain;
    struct asset_bytes gzip;
};

extern const struct asset ASSETS[];
extern const size_t ASSET_COUNT;

/* NULL when there is none at that path. */
const struct asset *asset_find(const char *path);

/* Whether the client's copy is this one, by its If-None-Match header; NULL: it has none. */
bool asset_is_current(const struct asset *asset, const char *if_none_match);

/* The smaller form, where the client's Accept-Encoding header takes it; NULL: it has none. */
bool asset_goes_compressed(const char *accept_encoding);

#endif
