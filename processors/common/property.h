/* What a message carries beside its body, by name: "@message_id", "@header:tenant". */
#ifndef COMMON_PROPERTY_H
#define COMMON_PROPERTY_H

#include <whippet/processor.h>

/* Whether a key names a property, and is no key of the body. */
bool property_is_named(const char *key);

/* That there is such a property. False with the failure filled: `option` is where the name stands. */
bool property_check(const char *option, const char *name, whippet_failure *failure);

/* TEXT for a property; whatever it is for a header; ABSENT where the message has none. `name` was checked. */
whippet_value property_read(const whippet_message *message, const char *name);

#endif
