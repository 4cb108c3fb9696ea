/* Arguments from the configuration (JSON) as an AMQP table. */
#ifndef WORKER_ARGUMENTS_H
#define WORKER_ARGUMENTS_H

#include <amqp/table.h>

struct cJSON;

/* Appends the members of `object` (NULL: none) as encoded entries. Whole numbers become 'l', others 'd'. 0;
 * MEMORY; INVALID for a name over 255 bytes; LIMIT for nesting beyond TABLE_DEPTH_LIMIT. */
int arguments_write(struct buffer *entries, const struct cJSON *object);

#endif
