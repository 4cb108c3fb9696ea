/* From what a processor wants to publish to what goes on the wire. */
#ifndef WORKER_PUBLICATION_H
#define WORKER_PUBLICATION_H

#include <amqp/message.h>
#include <base/buffer.h>
#include <whippet/publish.h>

/* False when the broker could not be sent this: names that are too long, headers without a name or value,
 * times that don't fit. */
bool publication_is_valid(const whippet_publication *publication);

/* Appends the encoded properties of a valid publication. 0; MEMORY; INVALID where a table or array among the
 * headers is not sound. */
int publication_write_properties(const whippet_publication *publication, struct buffer *properties);

/* A valid publication as the message that a consumer would get: for `whippet try` and tests. `*message` is to
 * be given to message_destroy. 0; MEMORY, or INVALID as above. */
int publication_deliver(const whippet_publication *publication, struct message **message);

#endif
