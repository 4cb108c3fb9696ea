/**
 * @file
 * Publishing from a processor.
 */
#ifndef WHIPPET_PUBLISH_H
#define WHIPPET_PUBLISH_H

#include <string.h>
#include <whippet/message.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A header to send along. Its value may be made with the functions below, or be one that was read from a
 * message, of any kind but ABSENT: it keeps its AMQP type, while that holds the number. */
typedef struct whippet_publish_header {
    const char *name;    /**< up to 255 bytes */
    whippet_value value; /**< what it points to is borrowed */
} whippet_publish_header;

/** A header's value: this text (borrowed). NULL can't be sent: publishing it returns INVALID. */
static inline whippet_value whippet_text_value(const char *text)
{
    whippet_value value = {WHIPPET_VALUE_TEXT, 'S', {0}};
    value.bytes.data = text;
    value.bytes.len = text != NULL ? strlen(text) : 0;
    return value;
}

/** A header's value: this whole number, as 64 bits. */
static inline whippet_value whippet_integer_value(int64_t integer)
{
    whippet_value value = {WHIPPET_VALUE_INTEGER, 'l', {0}};
    value.integer = integer;
    return value;
}

/** A header's value: this number, as a double. */
static inline whippet_value whippet_real_value(double real)
{
    whippet_value value = {WHIPPET_VALUE_REAL, 'd', {0}};
    value.real = real;
    return value;
}

/** A header's value: true or false. */
static inline whippet_value whippet_boolean_value(bool boolean)
{
    whippet_value value = {WHIPPET_VALUE_BOOLEAN, 't', {0}};
    value.boolean = boolean;
    return value;
}

/** What to publish. Zeroed members are left out; everything is borrowed until whippet_publish returns. */
typedef struct whippet_publication {
    const char *exchange;     /**< NULL or "": the default exchange, whose routing keys are queue names */
    const char *routing_key;  /**< NULL: "" */
    whippet_bytes body;       /**< sent byte for byte; may be empty */
    const char *content_type; /**< e.g. "application/json"; a property, up to 255 bytes, as are those below */
    const char *content_encoding; /**< e.g. "gzip" */
    const char *message_id;       /**< a name for the message, by which its consumers may know it again */
    const char *correlation_id;   /**< what it answers, or wants in its answer */
    const char *reply_to;         /**< the queue that an answer goes to */
    const char *type;             /**< the kind of message */
    const char *app_id;           /**< the application that publishes it */
    uint64_t timestamp;           /**< seconds since 1970 */
    double expiration; /**< seconds that it may lie in a queue, up to 49 days; rounded up to milliseconds */
    uint8_t priority;  /**< 0 to 255, for queues that know priorities */
    bool transient;    /**< by default messages are persistent */
    const whippet_publish_header *headers; /**< NULL for none */
    size_t header_count;                   /**< how many there are */
} whippet_publication;

/** Publishes and returns once the broker has confirmed that it holds the message; `mandatory` is always set.
 * The headers traceparent and tracestate of the message that is being processed go along, unless the
 * publication has a traceparent of its own (https://www.w3.org/TR/trace-context/).
 *
 * 0; UNROUTABLE when no queue took it; NACKED when the broker refused it; TIMEOUT, also when the broker
 * blocks publishing past the deadline; CANCELLED; LIMIT when the headers do not fit a frame; INVALID for
 * names over 255 bytes and values that can't be sent, a header CC or BCC that is no list, and the reply-to
 * "amq.rabbitmq.reply-to", whose answers nobody would hear; MEMORY; CLOSED when the connection went before
 * the confirm came: the broker may hold the message or not. */
WHIPPET_API int whippet_publish(whippet_task *task, const whippet_publication *publication);

/** Answers `message`: publishes to the queue that it names in reply-to, through the default exchange,
 * RabbitMQ's direct reply-to (amq.rabbitmq.reply-to.…) included. The correlation id is the message's, or else
 * its message id; a message id is made where `reply` has none. All else is taken from `reply`, which must
 * name neither exchange nor routing key nor correlation id.
 *
 * Returns what whippet_publish does; UNROUTABLE when the queue is gone (of a direct reply-to RabbitMQ does
 * not say); INVALID when the message has no reply-to. At least once: where an attempt that has answered is
 * made again, so is the answer. */
WHIPPET_API int whippet_reply(whippet_task *task, const whippet_message *message,
                              const whippet_publication *reply);

#ifdef __cplusplus
}
#endif

#endif
