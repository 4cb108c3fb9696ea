/* The upload of spans in a build without libcurl: there is none. */
#include "span_upload.h"

struct span_uploader *span_uploader_create(const struct trace_settings *settings,
                                           struct whippet_failure *failure)
{
    (void)settings;
    failure_set(failure, WHIPPET_E_UNAVAILABLE,
                "spans can't be uploaded: this whippet was built without libcurl (on Debian, install "
                "libcurl4-openssl-dev and build it anew)");
    return NULL;
}

void span_uploader_destroy(struct span_uploader *uploader)
{
    (void)uploader;
}

/* Never called: there is no owner. */
enum upload_result span_uploader_send(void *owner, whippet_bytes body, const _Atomic double *until,
                                      struct upload_answer *answer)
{
    (void)body, (void)until;
    span_uploader_create(owner, &answer->failure);
    return UPLOAD_REFUSED;
}
