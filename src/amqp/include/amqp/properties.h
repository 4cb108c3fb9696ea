/* The basic class's properties (section 1.8.1) as they are on the wire: flags, then the values that the flags
 * name.
 *
 * Like tables they stay encoded: checked once on arrival, read in place, and copied with changes. */
#ifndef AMQP_PROPERTIES_H
#define AMQP_PROPERTIES_H

#include <amqp/table.h>
#include <base/bytes.h>

/* In their order on the wire; the flag of a property is bit 15 - its number. */
enum property {
    PROPERTY_CONTENT_TYPE,
    PROPERTY_CONTENT_ENCODING,
    PROPERTY_HEADERS,
    PROPERTY_DELIVERY_MODE,
    PROPERTY_PRIORITY,
    PROPERTY_CORRELATION_ID,
    PROPERTY_REPLY_TO,
    PROPERTY_EXPIRATION,
    PROPERTY_MESSAGE_ID,
    PROPERTY_TIMESTAMP,
    PROPERTY_TYPE,
    PROPERTY_USER_ID,
    PROPERTY_APP_ID,
    PROPERTY_CLUSTER_ID,
    PROPERTY_COUNT,
};

enum {
    DELIVERY_MODE_TRANSIENT = 1,
    DELIVERY_MODE_PERSISTENT = 2
};

enum properties_check {
    PROPERTIES_SOUND,
    PROPERTIES_HEADERS_TOO_DEEP,  /* all else is sound */
    PROPERTIES_HEADERS_MALFORMED, /* the table's length fits, its contents do not; all else is sound */
    PROPERTIES_HEADERS_LEFT_OUT,  /* they were too large to be held; of what was checked, it never is */
    PROPERTIES_MALFORMED,
};

enum properties_check properties_check(whippet_bytes properties);

/* Whether the property is there; the same as asking properties_get for its data, and cheaper where it is not.
 */
static inline bool properties_have(whippet_bytes properties, enum property property)
{
    return properties.len >= 2 && (read_u16(properties.data) & (0x8000u >> property)) != 0;
}

/* The value's bytes: text without its length, headers without theirs, numbers big-endian. data is NULL when
 * absent. For properties that were checked and are not MALFORMED. */
whippet_bytes properties_get(whippet_bytes properties, enum property property);

/* Properties to be made from scratch. Zeroed members are left out. */
struct properties_draft {
    whippet_bytes content_type;
    whippet_bytes content_encoding;
    whippet_bytes header_entries; /* encoded */
    uint8_t delivery_mode;
    uint8_t priority;
    whippet_bytes correlation_id;
    whippet_bytes reply_to;
    whippet_bytes expiration;
    whippet_bytes message_id;
    uint64_t timestamp;
    whippet_bytes type;
    whippet_bytes user_id;
    whippet_bytes app_id;
};

/* Appends the encoded properties to `out`. 0; MEMORY; INVALID for a text over 255 bytes. */
int properties_write(struct buffer *out, const struct properties_draft *draft);

/* Appends a copy of `properties` to `out` in which the headers are `header_entries`, and the properties in
 * `leave_out` (a sum of 1 << enum property) are missing. 0, or MEMORY. */
int properties_copy(struct buffer *out, whippet_bytes properties, whippet_bytes header_entries,
                    unsigned leave_out);

/* Appends a copy of `properties` to `out` in which `property`, one whose value is text, has the value `text`.
 * 0; MEMORY; INVALID for a text over 255 bytes. */
int properties_copy_with(struct buffer *out, whippet_bytes properties, enum property property,
                         whippet_bytes text);

#endif
