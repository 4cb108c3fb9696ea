/* A message's signature: HMAC-SHA256 of its body (RFC 2104), by which the endpoint knows whom it comes from.
 */
#ifndef HTTP_SIGNATURE_H
#define HTTP_SIGNATURE_H

#include <whippet/processor.h>

enum {
    SIGNATURE_SIZE = sizeof "sha256=" + 64 /* with the NUL */
};

/* "sha256=" and 64 hexadecimal digits. Suspends for a large body, which is signed in a thread. 0; MEMORY, or
 * the error of an await. */
int signature_make(whippet_task *task, const char *secret, whippet_bytes body,
                   char signature[SIGNATURE_SIZE]);

#endif
