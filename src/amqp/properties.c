/* The basic class's properties in place. */
#include "rabbitmq.h"
#include <amqp/properties.h>
#include <base/failure.h>

enum property_shape {
    SHAPE_TEXT,
    SHAPE_TABLE,
    SHAPE_OCTET,
    SHAPE_U64
};

static enum property_shape property_shape(enum property property)
{
    switch (property) {
    case PROPERTY_HEADERS: return SHAPE_TABLE;
    case PROPERTY_DELIVERY_MODE:
    case PROPERTY_PRIORITY: return SHAPE_OCTET;
    case PROPERTY_TIMESTAMP: return SHAPE_U64;
    default: return SHAPE_TEXT;
    }
}

static bool property_flagged(uint16_t flags, enum property property)
{
    return (flags & (0x8000u >> property)) != 0;
}

/* The two lowest bits name no property: bit 1 is unused, bit 0 announces more flags, which the basic class
 * has not. */
enum {
    FLAGS_UNKNOWN = 0x0003
};

/* Takes one value off `*rest`: the whole of it into `*whole`, and what is inside its length into `*content`.
 */
static bool take_property(whippet_bytes *rest, enum property_shape shape, whippet_bytes *whole,
                          whippet_bytes *content)
{
    const uint8_t *at = rest->data;
    size_t before = 0;
    size_t length;
    switch (shape) {
    case SHAPE_OCTET: length = 1; break;
    case SHAPE_U64: length = 8; break;
    case SHAPE_TEXT:
        if (rest->len < 1)
            return false;
        before = 1;
        length = at[0];
        break;
    default:
        if (rest->len < 4)
            return false;
        before = 4;
        length = read_u32(at);
        break;
    }
    if (length > rest->len - before)
        return false;
    *whole = bytes_of(at, before + length);
    *content = bytes_of(at + before, length);
    *rest = bytes_of(at + before + length, rest->len - before - length);
    return true;
}

static bool take_flags(whippet_bytes *rest, uint16_t *flags)
{
    if (rest->len < 2)
        return false;
    *flags = read_u16(rest->data);
    *rest = bytes_of((const char *)rest->data + 2, rest->len - 2);
    return true;
}

/* Takes the property that comes first on the wire out of `*flags`, which must not be empty. */
static enum property take_first(uint16_t *flags)
{
    enum property first = (enum property)__builtin_clz((unsigned)*flags << 16);
    *flags &= (uint16_t) ~(0x8000u >> first);
    return first;
}

enum properties_check properties_check(whippet_bytes properties)
{
    whippet_bytes rest = properties;
    uint16_t flags;
    enum properties_check found = PROPERTIES_SOUND;
    if (!take_flags(&rest, &flags) || (flags & FLAGS_UNKNOWN) != 0)
        return PROPERTIES_MALFORMED;
    while (flags != 0) {
        whippet_bytes whole = {0}, content = {0};
        enum property property = take_first(&flags);
        if (!take_property(&rest, property_shape(property), &whole, &content))
            return PROPERTIES_MALFORMED;
        if (property != PROPERTY_HEADERS)
            continue;
        switch (table_check(content)) {
        case TABLE_SOUND: break;
        case TABLE_TOO_DEEP: found = PROPERTIES_HEADERS_TOO_DEEP; break;
        case TABLE_MALFORMED: found = PROPERTIES_HEADERS_MALFORMED; break;
        }
    }
    return rest.len == 0 ? found : PROPERTIES_MALFORMED;
}

whippet_bytes properties_get(whippet_bytes properties, enum property wanted)
{
    whippet_bytes rest = properties, whole = {0}, content = {0};
    uint16_t flags;
    if (!take_flags(&rest, &flags) || !property_flagged(flags, wanted))
        return (whippet_bytes){0};
    enum property property;
    do {
        property = take_first(&flags);
        if (!take_property(&rest, property_shape(property), &whole, &content))
            return (whippet_bytes){0};
    } while (property != wanted);
    return content;
}

static bool write_headers(struct buffer *out, whippet_bytes entries)
{
    uint8_t *at = buffer_reserve(out, 4 + entries.len);
    if (at == NULL)
        return false;
    write_u32(at, (uint32_t)entries.len);
    if (entries.len > 0)
        memcpy(at + 4, entries.data, entries.len);
    buffer_commit(out, 4 + entries.len);
    return true;
}

int properties_copy(struct buffer *out, whippet_bytes properties, whippet_bytes header_entries,
                    unsigned leave_out)
{
    whippet_bytes rest = properties;
    uint16_t flags;
    if (!take_flags(&rest, &flags))
        return WHIPPET_E_INVALID;
    uint16_t kept = (uint16_t)(flags | (0x8000u >> PROPERTY_HEADERS));
    for (enum property property = 0; property < PROPERTY_COUNT; property++)
        if ((leave_out & (1u << property)) != 0)
            kept &= (uint16_t) ~(0x8000u >> property);

    uint8_t encoded_flags[2];
    write_u16(encoded_flags, kept);
    if (!buffer_append(out, encoded_flags, sizeof encoded_flags))
        return WHIPPET_E_MEMORY;
    for (enum property property = 0; property < PROPERTY_COUNT; property++) {
        whippet_bytes whole = {0}, content = {0};
        if (property_flagged(flags, property) &&
            !take_property(&rest, property_shape(property), &whole, &content))
            return WHIPPET_E_INVALID;
        if (!property_flagged(kept, property))
            continue;
        bool written = property == PROPERTY_HEADERS ? write_headers(out, header_entries)
                                                    : buffer_append(out, whole.data, whole.len);
        if (!written)
            return WHIPPET_E_MEMORY;
    }
    return 0;
}

static bool write_text(struct buffer *out, whippet_bytes text)
{
    uint8_t length = (uint8_t)text.len;
    return buffer_append(out, &length, 1) && buffer_append(out, text.data, text.len);
}

int properties_copy_with(struct buffer *out, whippet_bytes properties, enum property changed,
                         whippet_bytes text)
{
    whippet_bytes rest = properties;
    uint16_t flags;
    uint8_t encoded_flags[2];
    if (text.len > 255 || !take_flags(&rest, &flags))
        return WHIPPET_E_INVALID;
    write_u16(encoded_flags, (uint16_t)(flags | (0x8000u >> changed)));
    if (!buffer_append(out, encoded_flags, sizeof encoded_flags))
        return WHIPPET_E_MEMORY;
    for (enum property property = 0; property < PROPERTY_COUNT; property++) {
        whippet_bytes whole = {0}, content = {0};
        if (property_flagged(flags, property) &&
            !take_property(&rest, property_shape(property), &whole, &content))
            return WHIPPET_E_INVALID;
        bool written =
            property == changed ? write_text(out, text) : buffer_append(out, whole.data, whole.len);
        if (!written)
            return WHIPPET_E_MEMORY;
    }
    return 0;
}

/* --- From scratch, with rabbitmq-c's encoder ------------------------------------------------------------*/

static void set_text(amqp_basic_properties_t *properties, amqp_flags_t flag, amqp_bytes_t *to,
                     whippet_bytes text)
{
    if (text.data == NULL)
        return;
    *to = amqp_of(text);
    properties->_flags |= flag;
}

static bool texts_fit(const struct properties_draft *draft)
{
    const whippet_bytes texts[] = {draft->content_type, draft->content_encoding, draft->correlation_id,
                                   draft->reply_to,     draft->expiration,       draft->message_id,
                                   draft->type,         draft->user_id,          draft->app_id};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].len > 255)
            return false;
    return true;
}

static amqp_basic_properties_t draft_encodable(const struct properties_draft *draft)
{
    amqp_basic_properties_t properties = {0};
    set_text(&properties, AMQP_BASIC_CONTENT_TYPE_FLAG, &properties.content_type, draft->content_type);
    set_text(&properties, AMQP_BASIC_CONTENT_ENCODING_FLAG, &properties.content_encoding,
             draft->content_encoding);
    set_text(&properties, AMQP_BASIC_CORRELATION_ID_FLAG, &properties.correlation_id, draft->correlation_id);
    set_text(&properties, AMQP_BASIC_REPLY_TO_FLAG, &properties.reply_to, draft->reply_to);
    set_text(&properties, AMQP_BASIC_EXPIRATION_FLAG, &properties.expiration, draft->expiration);
    set_text(&properties, AMQP_BASIC_MESSAGE_ID_FLAG, &properties.message_id, draft->message_id);
    set_text(&properties, AMQP_BASIC_TYPE_FLAG, &properties.type, draft->type);
    set_text(&properties, AMQP_BASIC_USER_ID_FLAG, &properties.user_id, draft->user_id);
    set_text(&properties, AMQP_BASIC_APP_ID_FLAG, &properties.app_id, draft->app_id);
    if (draft->delivery_mode != 0) {
        properties.delivery_mode = draft->delivery_mode;
        properties._flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
    }
    if (draft->priority != 0) {
        properties.priority = draft->priority;
        properties._flags |= AMQP_BASIC_PRIORITY_FLAG;
    }
    if (draft->timestamp != 0) {
        properties.timestamp = draft->timestamp;
        properties._flags |= AMQP_BASIC_TIMESTAMP_FLAG;
    }
    return properties;
}

int properties_write(struct buffer *out, const struct properties_draft *draft)
{
    /* flags, nine short texts, two octets, a timestamp; the headers come in by properties_copy */
    enum {
        SIZE_WITHOUT_HEADERS = 2 + 9 * 256 + 2 + 8
    };
    if (!texts_fit(draft))
        return WHIPPET_E_INVALID;
    amqp_basic_properties_t properties = draft_encodable(draft);
    struct buffer encoded;
    buffer_init(&encoded);
    uint8_t *at = buffer_reserve(&encoded, SIZE_WITHOUT_HEADERS);
    if (at == NULL)
        return WHIPPET_E_MEMORY;
    int size = amqp_encode_properties(AMQP_BASIC_CLASS, &properties,
                                      (amqp_bytes_t){.bytes = at, .len = SIZE_WITHOUT_HEADERS});
    int error = WHIPPET_E_INVALID;
    if (size >= 0 && draft->header_entries.data != NULL)
        error = properties_copy(out, bytes_of(at, (size_t)size), draft->header_entries, 0);
    else if (size >= 0)
        error = buffer_append(out, at, (size_t)size) ? 0 : WHIPPET_E_MEMORY;
    buffer_destroy(&encoded);
    return error;
}
