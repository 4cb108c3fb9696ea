/* Uploads spans to a collector over HTTP, by libcurl: the tracer's span_upload. */
#ifndef CMD_SPAN_UPLOAD_H
#define CMD_SPAN_UPLOAD_H

#include <trace/tracer.h>

struct span_uploader;

/* Loads libcurl. What is in the settings is borrowed until it is destroyed. NULL with the failure filled. */
struct span_uploader *span_uploader_create(const struct trace_settings *settings,
                                           struct whippet_failure *failure);
void span_uploader_destroy(struct span_uploader *uploader); /* NULL is fine */

/* `owner` is a span_uploader. */
enum upload_result span_uploader_send(void *owner, whippet_bytes body, const _Atomic double *until,
                                      struct upload_answer *answer);

#endif
