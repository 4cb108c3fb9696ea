/**
 * @file
 * What a message carries. Everything here is borrowed from the message: valid until process() returns. None
 * suspends. */
#ifndef WHIPPET_MESSAGE_H
#define WHIPPET_MESSAGE_H

#include <whippet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The body, byte for byte as it was published. */
WHIPPET_API whippet_bytes whippet_body(const whippet_message *message);

/** The exchange it was published to; empty for the default one. */
WHIPPET_API whippet_bytes whippet_exchange(const whippet_message *message);

/** Its routing key. */
WHIPPET_API whippet_bytes whippet_routing_key(const whippet_message *message);

/** The queue it was consumed from. */
WHIPPET_API whippet_bytes whippet_queue(const whippet_message *message);

/* AMQP 0-9-1 basic properties (section 1.8.1 of the specification): whatever the publisher wrote, unchecked.
 */

/** The property content-type, such as "application/json"; data is NULL when absent. */
WHIPPET_API whippet_bytes whippet_content_type(const whippet_message *message);

/** The property content-encoding: how the body is packed, such as "gzip"; data is NULL when absent. */
WHIPPET_API whippet_bytes whippet_content_encoding(const whippet_message *message);

/** The property message-id: the publisher's name for the message; data is NULL when absent. */
WHIPPET_API whippet_bytes whippet_message_id(const whippet_message *message);

/** The property correlation-id: what the message answers, or wants in its answer; data is NULL when absent.
 */
WHIPPET_API whippet_bytes whippet_correlation_id(const whippet_message *message);

/** The property reply-to: the queue that an answer goes to; data is NULL when absent. */
WHIPPET_API whippet_bytes whippet_reply_to(const whippet_message *message);

/** The property type: the kind of message; data is NULL when absent. */
WHIPPET_API whippet_bytes whippet_type(const whippet_message *message);

/** The property user-id: the user it was published as, which the broker has checked; data is NULL when
 * absent. */
WHIPPET_API whippet_bytes whippet_user_id(const whippet_message *message);

/** The property app-id: the application that published it; data is NULL when absent. */
WHIPPET_API whippet_bytes whippet_app_id(const whippet_message *message);

/** The per-message TTL as the publisher wrote it: milliseconds, in decimal digits. */
WHIPPET_API whippet_bytes whippet_expiration(const whippet_message *message);

/** Seconds since 1970 as the publisher wrote it; 0 when absent. */
WHIPPET_API uint64_t whippet_timestamp(const whippet_message *message);

/** 0 to 255; 0 when absent. */
WHIPPET_API unsigned whippet_priority(const whippet_message *message);

/** True when the publisher asked for it to be kept on disk (delivery-mode 2). */
WHIPPET_API bool whippet_persistent(const whippet_message *message);

/** True when the broker has delivered this message before, to anyone. */
WHIPPET_API bool whippet_redelivered(const whippet_message *message);

/** How often the broker delivered it before (x-delivery-count; quorum queues only); 0 when it does not say.
 */
WHIPPET_API uint64_t whippet_delivery_count(const whippet_message *message);

/** Which attempt this is, counted from 1. */
WHIPPET_API unsigned whippet_attempt(const whippet_message *message);

/** How many attempts there will be at most. */
WHIPPET_API unsigned whippet_attempts(const whippet_message *message);

/** Headers: names and typed values (AMQP 0-9-1 section 4.2.5, with RabbitMQ's errata). */
enum whippet_value_kind {
    WHIPPET_VALUE_ABSENT = 0, /**< there is no such header */
    WHIPPET_VALUE_NULL,       /**< V */
    WHIPPET_VALUE_BOOLEAN,    /**< t: boolean */
    WHIPPET_VALUE_INTEGER,    /**< b s I l, and the unsigned B u i: integer */
    WHIPPET_VALUE_REAL,       /**< f d: real */
    WHIPPET_VALUE_DECIMAL,    /**< D: decimal.unscaled / 10^decimal.scale */
    WHIPPET_VALUE_TEXT,       /**< S: bytes, UTF-8 by custom, unchecked */
    WHIPPET_VALUE_BINARY,     /**< x: bytes */
    WHIPPET_VALUE_TIMESTAMP,  /**< T: timestamp, seconds since 1970 */
    WHIPPET_VALUE_ARRAY,      /**< A: entries, iterated with whippet_value_next */
    WHIPPET_VALUE_TABLE,      /**< F: entries, iterated with whippet_value_next */
};

/** unscaled / 10^scale. */
typedef struct whippet_decimal {
    uint32_t unscaled; /**< all of its digits */
    uint8_t scale;     /**< how many of them stand behind the point */
} whippet_decimal;

/** A header's value. Which member of the union counts is said by `kind`. */
typedef struct whippet_value {
    enum whippet_value_kind kind; /**< ABSENT: there is none */
    char type;                    /**< the AMQP type letter it was sent with */
    union {
        bool boolean;
        int64_t integer;
        double real;
        whippet_decimal decimal;
        whippet_bytes bytes; /**< text, binary */
        uint64_t timestamp;
        whippet_bytes entries; /**< array, table: encoded; opaque */
    };
} whippet_value;

/** The header called `name` (exact case; of several, the first). kind is ABSENT when there is none. */
WHIPPET_API whippet_value whippet_header(const whippet_message *message, const char *name);

/** All headers as one table, to iterate over; kind is TABLE even when there are none. */
WHIPPET_API whippet_value whippet_headers(const whippet_message *message);

/** Takes the next entry from a table or an array: advances `*container`, which is a cursor of the
 * caller's, and fills `*name` (empty for arrays; may be NULL) and `*value`. False at the end, and for any
 * other kind. */
WHIPPET_API bool whippet_value_next(whippet_value *container, whippet_bytes *name, whippet_value *value);

#ifdef __cplusplus
}
#endif

#endif
