/* libcurl, loaded when it is first asked for: with it come some thirty libraries, which a worker never needs.
 */
#ifndef MANAGEMENT_CURL_LIBRARY_H
#define MANAGEMENT_CURL_LIBRARY_H

#include <base/failure.h>
#include <curl/curl.h>

/* What is used of it. X(result, name, parameters): curl_NAME. */
#define CURL_FUNCTIONS(X)                                                                                    \
    X(CURL *, easy_init, (void))                                                                             \
    X(CURLcode, easy_setopt, (CURL *, CURLoption, ...))                                                      \
    X(CURLcode, easy_perform, (CURL *))                                                                      \
    X(CURLcode, easy_getinfo, (CURL *, CURLINFO, ...))                                                       \
    X(const char *, easy_strerror, (CURLcode))                                                               \
    X(char *, easy_escape, (CURL *, const char *, int))                                                      \
    X(void, easy_cleanup, (CURL *))                                                                          \
    X(struct curl_slist *, slist_append, (struct curl_slist *, const char *))                                \
    X(void, slist_free_all, (struct curl_slist *))                                                           \
    X(void, free, (void *))

struct curl_library {
#define CURL_MEMBER(result, name, parameters) result(*name) parameters;
    CURL_FUNCTIONS(CURL_MEMBER)
#undef CURL_MEMBER
};

/* NULL with the failure filled where it is not installed. Static, and never unloaded. From any thread. */
const struct curl_library *curl_library_load(struct whippet_failure *failure);

#endif
