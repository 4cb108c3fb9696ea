/* From what a processor wants to publish to what goes on the wire. */
#ifndef WORKER_PUBLICATION_H
#define WORKER_PUBLICATION_H

#include <base/buffer.h>
#include <whippet/publish.h>

/* False when the broker could not be sent this: names that are too long, headers without a name or value,
 * times that don't fit. */
bool publication_is_valid(const whippet_publication *publication);

/* Appends the encoded properties of a valid publication. 0; MEMORY; INVALID where a table or array among the
 * headers is not sound. */
int publication_write_properties(const whippet_publication *publication, struct buffer *properties);

#endif
