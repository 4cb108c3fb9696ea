#include <async/task.h>
#include <base/bytes.h>
#include <base/memory.h>
#include <whippet/message.h>
#include <worker/publication.h>
#include <worker/publishing.h>

static struct {
    publish_function *function;
    void *owner;
} publisher;

void publishing_install(publish_function *function, void *owner)
{
    publisher.function = function;
    publisher.owner = owner;
}

static bool has_header(const whippet_publication *publication, const char *name)
{
    for (size_t i = 0; i < publication->header_count; i++)
        if (strcmp(publication->headers[i].name, name) == 0)
            return true;
    return false;
}

/* Publishes it with the trace of the message that is being processed. */
static int publish_traced(whippet_task *task, const whippet_publication *publication, whippet_value parent,
                          whippet_value state)
{
    size_t count = publication->header_count;
    whippet_publish_header *headers = memory_allocate((count + 2) * sizeof *headers);
    if (headers == NULL)
        return WHIPPET_E_MEMORY;
    if (count > 0)
        memcpy(headers, publication->headers, count * sizeof *headers);
    headers[count++] = (whippet_publish_header){"traceparent", parent};
    if (state.kind == WHIPPET_VALUE_TEXT && !has_header(publication, "tracestate"))
        headers[count++] = (whippet_publish_header){"tracestate", state};
    whippet_publication traced = *publication;
    traced.headers = headers;
    traced.header_count = count;
    int result = publisher.function(publisher.owner, task, &traced);
    memory_free(headers);
    return result;
}

int whippet_publish(whippet_task *task, const whippet_publication *publication)
{
    if (!publication_is_valid(publication))
        return WHIPPET_E_INVALID;
    if (publisher.function == NULL)
        return WHIPPET_E_UNAVAILABLE;
    const whippet_message *message = task_message(task);
    whippet_value parent = {0}, state = {0};
    if (message != NULL && !has_header(publication, "traceparent")) {
        parent = whippet_header(message, "traceparent");
        state = whippet_header(message, "tracestate");
    }
    if (parent.kind == WHIPPET_VALUE_TEXT)
        return publish_traced(task, publication, parent, state);
    return publisher.function(publisher.owner, task, publication);
}
