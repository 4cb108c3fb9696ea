/* Finding a value in JSON, by a path or by a JSON pointer (RFC 6901). */
#ifndef COMMON_POINTER_H
#define COMMON_POINTER_H

#include <whippet/processor.h>

enum {
    POINTER_LENGTH_MOST = 255 /* bytes */
};

/* That `key` is no longer than that. False with the failure filled: `option` is where it stands. */
bool pointer_check(const char *option, const char *key, whippet_failure *failure);

/* "/customer/address/0/city" is a pointer, anything else a path as whippet_json_find takes it; "" is the
 * whole. `key` is at most POINTER_LENGTH_MOST long. ABSENT when there is no such value. */
whippet_json_value pointer_find(whippet_json_value root, const char *key);

#endif
