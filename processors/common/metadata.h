/* A message without its body, as JSON for commands. */
#ifndef COMMON_METADATA_H
#define COMMON_METADATA_H

#include "json.h"
#include <whippet/processor.h>

/* The members "properties" and "delivery_info" of an object that is open. */
void metadata_write(struct json *json, const whippet_message *message);

#endif
