/* The line by which a child gets a message. */
#ifndef PIPE_REQUEST_H
#define PIPE_REQUEST_H

#include <stdint.h>
#include <whippet/processor.h>

/* {"id":17,"body":"…","properties":{…},"delivery_info":{…}} and a newline. A body that is not UTF-8 stands
 * under "body_base64" instead; behind it all come "traceparent" and "tracestate" where the task, which is
 * asked for nothing else, belongs to a trace. To be freed; NULL when memory is short. */
char *request_make(uint64_t id, whippet_task *task, const whippet_message *message, size_t *length);

#endif
