/* The header Retry-After (RFC 9110, section 10.2.3). */
#ifndef COMMON_RETRY_AFTER_H
#define COMMON_RETRY_AFTER_H

#include <time.h>
#include <whippet/types.h>

/* How long the server wants to be left alone, from the moment `now` on: in whole seconds, or until a date. 0
 * when the value is absent, past or neither. */
double retry_after_seconds(whippet_bytes value, time_t now);

#endif
