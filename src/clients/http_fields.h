/* A request's method and header fields: whether they can be sent, and as libcurl wants them. */
#ifndef CLIENTS_HTTP_FIELDS_H
#define CLIENTS_HTTP_FIELDS_H

#include <libcurl/library.h>
#include <whippet/http.h>

/* The method, the default filled in. */
const char *http_method(const whippet_http_request *request);

/* 0; INVALID with the failure filled when method or headers can't be sent as they are. */
int http_fields_check(const whippet_http_request *request, struct whippet_failure *failure);

/* The request's headers and the trace (both may be NULL), with what libcurl would add by itself taken back;
 * given back with slist_free_all. NULL when memory is short. */
struct curl_slist *http_fields_create(const struct curl_library *library, const whippet_http_request *request,
                                      const char *trace_parent, const char *trace_state);

#endif
