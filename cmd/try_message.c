#include "body.h"
#include "try.h"
#include <base/buffer.h>
#include <base/bytes.h>
#include <base/memory.h>
#include <stdio.h>
#include <string.h>

/* NULL when memory is short. */
static struct message *put_together(const struct try_request *request, whippet_bytes properties,
                                    whippet_bytes body)
{
    struct message *message = message_create(bytes_of_text(request->exchange),
                                             bytes_of_text(request->routing_key), properties, body.len);
    if (message != NULL && body.len > 0)
        memcpy(message_body_storage(message), body.data, body.len);
    return message;
}

static whippet_bytes contents(const struct buffer *buffer)
{
    size_t length = buffer_length(buffer);
    return bytes_of(length > 0 ? buffer_begin(buffer) : NULL, length);
}

static struct message *out_of_memory(void)
{
    fprintf(stderr, "whippet try: out of memory\n");
    return NULL;
}

struct message *try_message_create(const struct try_request *request)
{
    struct buffer properties;
    struct properties_draft draft = request->properties;
    struct message *message = NULL;
    whippet_bytes body = {0};
    draft.header_entries = contents(&request->headers);
    if (request->body_file != NULL && !body_read(request->body_file, &body))
        return NULL;
    buffer_init(&properties);
    if (properties_write(&properties, &draft) == 0)
        message = put_together(request, contents(&properties), body);
    buffer_destroy(&properties);
    memory_free((void *)body.data);
    return message != NULL ? message : out_of_memory();
}
