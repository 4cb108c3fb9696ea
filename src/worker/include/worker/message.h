/* A message as a processor sees it: what was delivered, and which attempt this is. */
#ifndef WORKER_MESSAGE_H
#define WORKER_MESSAGE_H

#include <amqp/message.h>
#include <trace/context.h>
#include <whippet/message.h>

struct whippet_message {
    struct message *content; /* owned by whoever owns this */
    const char *queue;
    bool is_retry;     /* it came back from a delay queue: headers of ours keep what it had at first */
    unsigned attempt;  /* from 1 */
    unsigned attempts; /* at most */
    struct trace_context
        trace; /* of the attempt's span, which what it sends belongs to; none: nobody traces */
    enum {
        JSON_UNCHECKED = 0,
        JSON_SOUND,
        JSON_UNSOUND
    } json; /* what whippet_json found of the body */
};

/* The context that came in its headers. False when there was none, or none that counts. */
bool message_trace_parent(const whippet_message *message, struct trace_context *parent);

/* The tracestate to send along with it: all that came, in one text, in `text`. Returns its length; 0: none.
 */
size_t message_trace_state(const whippet_message *message, char text[TRACE_STATE_MAX]);

/* The traceparent to send along: in `text`. False when there is none. */
bool message_trace_write(const whippet_message *message, char text[TRACE_PARENT_SIZE]);

#endif
