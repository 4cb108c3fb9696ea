#include "http_lookups.h"
#include <string.h>

/* "https://user@host:8443" */
static whippet_bytes place_of(const struct http_transfer *transfer)
{
    const char *url = transfer->request->url;
    const char *host = strstr(url, "://");
    host = host != NULL ? host + strlen("://") : url;
    return (whippet_bytes){.data = url, .len = (size_t)(host - url) + strcspn(host, "/?#")};
}

bool http_same_place(const struct http_transfer *a, const struct http_transfer *b)
{
    whippet_bytes one = place_of(a), other = place_of(b);
    return one.len == other.len && memcmp(one.data, other.data, one.len) == 0;
}

void http_lookups_init(struct http_lookups *lookups)
{
    list_init(&lookups->asking);
}

bool http_lookups_is_asked(const struct http_lookups *lookups, const struct http_transfer *transfer)
{
    list_each (link, &lookups->asking) {
        const struct http_transfer *other = list_entry(link, struct http_transfer, lookup);
        if (other != transfer && http_same_place(other, transfer))
            return true;
    }
    return false;
}

void http_lookups_begin(struct http_lookups *lookups, struct http_transfer *transfer)
{
    list_remove(&transfer->lookup);
    list_append(&lookups->asking, &transfer->lookup);
}

bool http_lookups_end(struct http_transfer *transfer)
{
    bool asked = !list_empty(&transfer->lookup);
    list_remove(&transfer->lookup);
    return asked;
}
