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

static struct message *make_message(const struct try_request *request, whippet_bytes body)
{
    struct buffer properties;
    struct properties_draft draft = request->properties;
    struct message *message = NULL;
    draft.header_entries = contents(&request->headers);
    buffer_init(&properties);
    if (properties_write(&properties, &draft) == 0)
        message = put_together(request, contents(&properties), body);
    buffer_destroy(&properties);
    return message;
}

/* --- All of them ----------------------------------------------------------------------------------------*/

struct messages {
    struct message **items; /* owned */
    size_t count;
};

static bool complain(void)
{
    fprintf(stderr, "whippet try: out of memory\n");
    return false;
}

/* These are false after they said on standard error what is wrong. */

static bool add(struct messages *messages, const struct try_request *request, whippet_bytes body)
{
    struct message **grown = memory_resize(messages->items, (messages->count + 1) * sizeof(struct message *));
    if (grown != NULL)
        messages->items = grown;
    struct message *message = grown != NULL ? make_message(request, body) : NULL;
    if (message == NULL)
        return complain();
    messages->items[messages->count++] = message;
    return true;
}

static bool add_file(struct messages *messages, const struct try_request *request, const char *file)
{
    whippet_bytes body;
    if (!body_read(file, &body))
        return false;
    bool added = add(messages, request, body);
    memory_free((void *)body.data);
    return added;
}

static bool add_lines(struct messages *messages, const struct try_request *request, const char *file)
{
    whippet_bytes text;
    bool added = body_read(file, &text);
    if (!added)
        return false;
    const char *at = text.data, *end = text.len > 0 ? at + text.len : at;
    while (added && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline != NULL ? newline : end;
        if (line_end > at)
            added = add(messages, request, bytes_of(at, (size_t)(line_end - at)));
        at = newline != NULL ? newline + 1 : end;
    }
    memory_free((void *)text.data);
    if (added && messages->count == 0)
        fprintf(stderr, "whippet try: --lines: there is no line in %s\n", file);
    return added && messages->count > 0;
}

size_t try_messages_make(const struct try_request *request, struct message ***list)
{
    struct messages messages = {0};
    bool made = true;
    for (size_t i = 0; made && i < request->body_count; i++)
        made = add_file(&messages, request, request->bodies[i]);
    if (made && request->lines != NULL)
        made = add_lines(&messages, request, request->lines);
    if (made && messages.count == 0)
        made = add(&messages, request, (whippet_bytes){0});
    *list = messages.items;
    if (made)
        return messages.count;
    for (size_t i = 0; i < messages.count; i++)
        message_destroy(messages.items[i]);
    return 0;
}
