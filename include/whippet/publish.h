/* Publishing from a processor. */
#ifndef WHIPPET_PUBLISH_H
#define WHIPPET_PUBLISH_H

#include <whippet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A header to send along: text only. */
typedef struct whippet_publish_header {
    const char *name;
    const char *value;
} whippet_publish_header;

/* What to publish. Zeroed members are left out; everything is borrowed until whippet_publish returns. */
typedef struct whippet_publication {
    const char *exchange;    /* NULL or "": the default exchange, whose routing keys are queue names */
    const char *routing_key; /* NULL: "" */
    whippet_bytes body;
    const char *content_type;
    const char *message_id;
    const char *correlation_id;
    const char *reply_to;
    const char *type;
    bool transient; /* by default messages are persistent */
    const whippet_publish_header *headers;
    size_t header_count;
} whippet_publication;

/* Publishes and returns once the broker has confirmed that it holds the message; `mandatory` is always set.
 * 0; UNROUTABLE when no queue took it; NACKED when the broker refused it; TIMEOUT, also when the broker
 * blocks publishing past the deadline; CANCELLED; LIMIT when the headers do not fit a frame; INVALID for
 * names over 255 bytes; CLOSED when the connection went before the confirm came: the broker may hold the
 * message or not. */
WHIPPET_API int whippet_publish(whippet_task *task, const whippet_publication *publication);

#ifdef __cplusplus
}
#endif

#endif
