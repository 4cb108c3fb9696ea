#include <management/client.h>
#include <stdio.h>
#include <string.h>

void management_describe(const char *url, char where[MANAGEMENT_WHERE_SIZE])
{
    const char *scheme = strstr(url, "://");
    const char *host = scheme != NULL ? scheme + 3 : url;
    const char *at = memrchr(host, '@', strcspn(host, "/?#"));
    snprintf(where, MANAGEMENT_WHERE_SIZE, "%.*s%.*s", (int)(host - url), url,
             (int)strcspn(at != NULL ? at + 1 : host, "/?#"), at != NULL ? at + 1 : host);
}
