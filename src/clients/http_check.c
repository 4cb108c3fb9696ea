/* Whether a request could be sent, before there is one to send. */
#include "http_fields.h"
#include "http_words.h"
#include <base/secret.h>
#include <string.h>

static bool is_http(const struct curl_library *library, CURLU *parts)
{
    char *scheme = NULL;
    bool is = library->url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    library->free(scheme);
    return is;
}

static int check_url(const struct curl_library *library, const char *url, struct whippet_failure *failure)
{
    char place[HTTP_PLACE_SIZE];
    if (url == NULL)
        return failure_set(failure, WHIPPET_E_INVALID, "there is no URL");
    CURLU *parts = library->url();
    if (parts == NULL)
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
    http_place(url, place);
    CURLUcode code = library->url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
    int error = 0;
    if (code != CURLUE_OK)
        error = failure_set(failure, code == CURLUE_OUT_OF_MEMORY ? WHIPPET_E_MEMORY : WHIPPET_E_INVALID,
                            "\"%s\" is no URL: %s", place, library->url_strerror(code));
    else if (!is_http(library, parts))
        error = failure_set(failure, WHIPPET_E_INVALID,
                            "\"%s\" is no URL of a web server: expected http:// or https:// in front", place);
    library->url_cleanup(parts);
    return error;
}

int whippet_http_check(const whippet_http_request *request, whippet_failure *failure)
{
    const struct curl_library *library = curl_library_load(failure);
    if (library == NULL)
        return failure->error;
    if (request == NULL)
        return 0;
    int error = check_url(library, request->url, failure);
    if (error == 0)
        error = http_fields_check(request, failure);
    if (error == 0 && request->ca_file != NULL)
        error = file_check_readable(request->ca_file, failure);
    return error;
}
