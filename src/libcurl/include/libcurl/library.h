/* libcurl, loaded when it is first asked for: with it come some thirty libraries, which most workers never
 * need. */
#ifndef LIBCURL_LIBRARY_H
#define LIBCURL_LIBRARY_H

#include <base/failure.h>
#include <curl/curl.h>
#include <stdbool.h>

/* What is used of it. X(result, name, parameters): curl_NAME. */
#define CURL_FUNCTIONS(X)                                                                                    \
    X(CURLcode, global_init_mem,                                                                             \
      (long, curl_malloc_callback, curl_free_callback, curl_realloc_callback, curl_strdup_callback,          \
       curl_calloc_callback))                                                                                \
    X(void, free, (void *))                                                                                  \
    X(CURL *, easy_init, (void))                                                                             \
    X(CURLcode, easy_setopt, (CURL *, CURLoption, ...))                                                      \
    X(CURLcode, easy_perform, (CURL *))                                                                      \
    X(CURLcode, easy_getinfo, (CURL *, CURLINFO, ...))                                                       \
    X(const char *, easy_strerror, (CURLcode))                                                               \
    X(char *, easy_escape, (CURL *, const char *, int))                                                      \
    X(void, easy_reset, (CURL *))                                                                            \
    X(void, easy_cleanup, (CURL *))                                                                          \
    X(CURLM *, multi_init, (void))                                                                           \
    X(CURLMcode, multi_setopt, (CURLM *, CURLMoption, ...))                                                  \
    X(CURLMcode, multi_add_handle, (CURLM *, CURL *))                                                        \
    X(CURLMcode, multi_remove_handle, (CURLM *, CURL *))                                                     \
    X(CURLMcode, multi_assign, (CURLM *, curl_socket_t, void *))                                             \
    X(CURLMcode, multi_socket_action, (CURLM *, curl_socket_t, int, int *))                                  \
    X(CURLMcode, multi_timeout, (CURLM *, long *))                                                           \
    X(CURLMsg *, multi_info_read, (CURLM *, int *))                                                          \
    X(CURLMcode, multi_cleanup, (CURLM *))                                                                   \
    X(struct curl_slist *, slist_append, (struct curl_slist *, const char *))                                \
    X(void, slist_free_all, (struct curl_slist *))                                                           \
    X(CURLU *, url, (void))                                                                                  \
    X(CURLUcode, url_set, (CURLU *, CURLUPart, const char *, unsigned))                                      \
    X(CURLUcode, url_get, (const CURLU *, CURLUPart, char **, unsigned))                                     \
    X(const char *, url_strerror, (CURLUcode))                                                               \
    X(void, url_cleanup, (CURLU *))

struct curl_library {
#define CURL_MEMBER(result, name, parameters) result(*name) parameters;
    CURL_FUNCTIONS(CURL_MEMBER)
#undef CURL_MEMBER
};

/* NULL with the failure filled where it is not installed, or has no memory. Static, and never unloaded; it
 * takes its memory through <base/memory.h>. From any thread. Blocks the first time, for some milliseconds. */
const struct curl_library *curl_library_load(struct whippet_failure *failure);

/* Whether that has succeeded, and so would not block. */
bool curl_library_is_loaded(void);

#endif
