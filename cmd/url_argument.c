#include "url_argument.h"
#include <base/secret.h>
#include <string.h>

/* From the first colon behind the scheme to the last @, or to the end: whatever is wrong with the URL, the
 * password is in there. */
static void mask_password(char *url)
{
    char *scheme = strstr(url, "://");
    char *colon = strchr(scheme != NULL ? scheme + 3 : url, ':');
    if (colon == NULL)
        return;
    const char *at = strrchr(colon, '@');
    size_t length = at != NULL ? (size_t)(at - colon) : strlen(colon);
    memset(colon + 1, '*', length - 1);
}

bool url_argument_take(char **url, char *argument)
{
    secret_destroy(*url);
    *url = secret_copy(argument);
    mask_password(argument);
    return *url != NULL;
}
