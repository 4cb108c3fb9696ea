/* The HTTP client of a build without libcurl: says so. */
#include <base/failure.h>
#include <whippet/http.h>

static const char WORDS[] =
    "this whippet was built without its HTTP client: install libcurl's headers (Debian's "
    "libcurl4-openssl-dev) and build it anew";

int whippet_http(whippet_task *task, const whippet_http_request *request, whippet_http_response *response)
{
    (void)task, (void)request;
    *response = (whippet_http_response){.error = WORDS};
    return WHIPPET_E_UNAVAILABLE;
}

int whippet_http_check(const whippet_http_request *request, whippet_failure *failure)
{
    (void)request;
    return failure_set(failure, WHIPPET_E_UNAVAILABLE, "%s", WORDS);
}
