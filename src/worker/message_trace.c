/* The trace that came with a message, and what of it goes on: <whippet/trace.h>. */
#include <async/task.h>
#include <base/bytes.h>
#include <whippet/task.h>
#include <whippet/trace.h>
#include <worker/message.h>

bool message_trace_parent(const whippet_message *message, struct trace_context *parent)
{
    whippet_value value = whippet_header(message, "traceparent");
    return value.kind == WHIPPET_VALUE_TEXT && trace_parent_read(value.bytes, parent);
}

bool message_trace_write(const whippet_message *message, char text[TRACE_PARENT_SIZE])
{
    struct trace_context parent;
    if (trace_context_is_set(&message->trace)) {
        trace_parent_write(&message->trace, text);
        return true;
    }
    if (!message_trace_parent(message, &parent))
        return false;
    /* As it came: who does not take part in a trace changes nothing. */
    memcpy(text, whippet_header(message, "traceparent").bytes.data, TRACE_PARENT_LENGTH);
    text[TRACE_PARENT_LENGTH] = '\0';
    return true;
}

/* Several of them are one list (section 3.3.1). */
static bool join(char text[TRACE_STATE_MAX], size_t *length, whippet_bytes more)
{
    size_t comma = *length > 0 ? 1 : 0;
    if (more.len == 0)
        return true;
    if (*length + comma + more.len > TRACE_STATE_MAX)
        return false;
    if (comma > 0)
        text[(*length)++] = ',';
    memcpy(text + *length, more.data, more.len);
    *length += more.len;
    return true;
}

size_t message_trace_state(const whippet_message *message, char text[TRACE_STATE_MAX])
{
    struct trace_context parent;
    whippet_value headers = whippet_headers(message), value;
    whippet_bytes name;
    size_t length = 0;
    if (!message_trace_parent(message, &parent))
        return 0;
    while (whippet_value_next(&headers, &name, &value))
        if (bytes_equal_text(name, "tracestate") &&
            (value.kind != WHIPPET_VALUE_TEXT || !join(text, &length, value.bytes)))
            return 0;
    return trace_state_is_sound(bytes_of(text, length)) ? length : 0;
}

const char *whippet_trace_parent(whippet_task *task)
{
    const whippet_message *message = task_message(task);
    char text[TRACE_PARENT_SIZE];
    if (message == NULL || !message_trace_write(message, text))
        return NULL;
    char *kept = whippet_alloc(task, TRACE_PARENT_SIZE);
    return kept != NULL ? memcpy(kept, text, TRACE_PARENT_SIZE) : NULL;
}

const char *whippet_trace_state(whippet_task *task)
{
    const whippet_message *message = task_message(task);
    char text[TRACE_STATE_MAX];
    size_t length = message != NULL ? message_trace_state(message, text) : 0;
    char *kept = length > 0 ? whippet_alloc(task, length + 1) : NULL;
    if (kept == NULL)
        return NULL;
    memcpy(kept, text, length);
    kept[length] = '\0';
    return kept;
}
