/* Messages: put together from method, content header and body frames (section 4.2.6), and taken apart into
 * them. */
#include "session_internal.h"
#include <base/memory.h>

/* --- In -------------------------------------------------------------------------------------------------*/

static void content_begin(struct content *content, bool is_return, whippet_bytes exchange,
                          whippet_bytes routing_key)
{
    content->stage = CONTENT_AWAITS_HEADER;
    content->is_return = is_return;
    content->is_oversized = false;
    content->is_bodiless = false;
    content->received = 0;
    short_text_set(&content->exchange, exchange);
    short_text_set(&content->routing_key, routing_key);
}

void content_begin_delivery(struct session *session, struct session_channel *channel, whippet_bytes arguments)
{
    amqp_basic_deliver_t *deliver = session_decode(session, AMQP_BASIC_DELIVER_METHOD, arguments);
    if (deliver == NULL)
        return;
    whippet_bytes consumer_tag = bytes_of_amqp(deliver->consumer_tag);
    if (!channel->consuming || !bytes_equal(consumer_tag, short_text_bytes(&channel->consumer_tag))) {
        session_violation(session, AMQP_COMMAND_INVALID,
                          "a delivery on channel %u for the unknown consumer tag \"%.*s\"", channel->number,
                          (int)consumer_tag.len, (const char *)consumer_tag.data);
        return;
    }
    channel->content.delivery_tag = deliver->delivery_tag;
    channel->content.redelivered = deliver->redelivered;
    content_begin(&channel->content, false, bytes_of_amqp(deliver->exchange),
                  bytes_of_amqp(deliver->routing_key));
}

void content_begin_return(struct session *session, struct session_channel *channel, whippet_bytes arguments)
{
    amqp_basic_return_t *returned = session_decode(session, AMQP_BASIC_RETURN_METHOD, arguments);
    if (returned == NULL)
        return;
    channel->content.reply_code = returned->reply_code;
    short_text_set(&channel->content.reply_text, bytes_of_amqp(returned->reply_text));
    content_begin(&channel->content, true, bytes_of_amqp(returned->exchange),
                  bytes_of_amqp(returned->routing_key));
}

static struct oversized oversized_of(const struct content *content)
{
    return (struct oversized){.message = content->message,
                              .body_size = content->body_size,
                              .headless_size = content->headless_size};
}

static void content_complete(struct session *session, struct session_channel *channel)
{
    struct content *content = &channel->content;
    struct message *message = content->message;
    uint16_t number = channel->number;
    content->stage = CONTENT_NONE;
    content->message = NULL;
    if (content->is_oversized) {
        struct oversized oversized = oversized_of(content);
        oversized.message = message;
        session->events->oversized_end(session->owner, number, &oversized, true);
        message_destroy(message);
    } else if (content->is_return) {
        struct channel_reason reason = {.code = content->reply_code,
                                        .text = short_text_bytes(&content->reply_text)};
        session->events->returned(session->owner, number, &reason, message);
        message_destroy(message);
    } else {
        session->events->delivered(session->owner, number, message);
    }
}

/* What a return brings is at most what was published, and without its body where that was published in parts
 * and is larger than any that was not; what a delivery brings beyond the limit is never held. */
static inline bool size_is_sound(struct session *session, const struct session_channel *channel, size_t held,
                                 size_t length)
{
    const struct content *content = &channel->content;
    if (!content->is_return || (content->body_size <= channel->largest_published && length <= held))
        return true;
    session_violation(session, AMQP_UNEXPECTED_FRAME,
                      "a return of %llu bytes with a header of %zu on channel %u, where no such message was "
                      "published",
                      (unsigned long long)content->body_size, length, channel->number);
    return false;
}

static whippet_bytes properties_in(whippet_bytes payload)
{
    return bytes_of((const char *)payload.data + CONTENT_HEADER_SIZE, payload.len - CONTENT_HEADER_SIZE);
}

static struct message *message_begin(const struct content *content, whippet_bytes properties,
                                     enum properties_check headers, size_t body_size)
{
    struct message *message = message_create(short_text_bytes(&content->exchange),
                                             short_text_bytes(&content->routing_key), properties, body_size);
    if (message == NULL)
        return NULL;
    message->delivery_tag = content->delivery_tag;
    message->redelivered = content->redelivered;
    message->headers = headers;
    return message;
}

/* Leaves in `headers` what is wrong with those alone. */
static inline bool content_header_is_sound(struct session *session, const struct session_channel *channel,
                                           whippet_bytes payload, enum properties_check *headers)
{
    if (channel->content.stage != CONTENT_AWAITS_HEADER) {
        session_violation(session, AMQP_UNEXPECTED_FRAME,
                          "a content header on channel %u that follows no method", channel->number);
        return false;
    }
    if (payload.len >= 2 && read_u16(payload.data) != AMQP_BASIC_CLASS) {
        session_violation(session, AMQP_UNEXPECTED_FRAME, "a content header of class %u on channel %u",
                          read_u16(payload.data), channel->number);
        return false;
    }
    *headers =
        payload.len < CONTENT_HEADER_SIZE ? PROPERTIES_MALFORMED : properties_check(properties_in(payload));
    if (*headers == PROPERTIES_MALFORMED) {
        session_violation(session, AMQP_SYNTAX_ERROR, "a content header on channel %u that can't be decoded",
                          channel->number);
        return false;
    }
    return true;
}

/* Whether headers are left out, of a message that is oversized for them: what they have beyond a frame counts
 * as body, so that no message takes more memory than it may. */
static inline bool is_headless(const struct session_channel *channel, size_t held, size_t length)
{
    const struct content *content = &channel->content;
    uint64_t limit = channel->max_message_size;
    if (length <= SESSION_FRAME_MAX || content->is_return)
        return false;
    return length > held || content->body_size > limit ||
           length - SESSION_FRAME_MAX > limit - content->body_size;
}

static struct message *message_begin_headless(const struct content *content, whippet_bytes properties)
{
    struct buffer kept;
    struct message *message = NULL;
    buffer_init(&kept);
    if (properties_copy(&kept, properties, (whippet_bytes){0}, 1u << PROPERTY_HEADERS) == 0)
        message = message_begin(content, bytes_of(buffer_begin(&kept), buffer_length(&kept)),
                                PROPERTIES_HEADERS_LEFT_OUT, 0);
    buffer_destroy(&kept);
    return message;
}

/* What is held of a message whose header has come. */
static inline struct message *message_of_header(const struct session_channel *channel,
                                                whippet_bytes properties, enum properties_check headers)
{
    const struct content *content = &channel->content;
    if (content->headless_size > 0)
        return message_begin_headless(content, properties);
    bool without_body = content->is_oversized || content->is_bodiless;
    return message_begin(content, properties, headers, without_body ? 0 : (size_t)content->body_size);
}

static inline void content_begun(struct session *session, struct session_channel *channel)
{
    struct content *content = &channel->content;
    content->stage = CONTENT_AWAITS_BODY;
    if (content->is_oversized) {
        struct oversized oversized = oversized_of(content);
        session->events->oversized_begin(session->owner, channel->number, &oversized);
        if (content->message == NULL)
            return; /* the handler closed the channel, or the session */
    }
    if (content->body_size == 0)
        content_complete(session, channel);
}

/* `length`: of the header as it came. Once for those that fit a frame, and once for the few that do not,
 * whose price the others are not to pay. */
static inline __attribute__((always_inline)) void
take_header(struct session *session, struct session_channel *channel, whippet_bytes payload, size_t length)
{
    enum properties_check headers;
    if (channel->state == CHANNEL_STATE_CLOSING ||
        !content_header_is_sound(session, channel, payload, &headers))
        return;
    struct content *content = &channel->content;
    content->body_size = read_u64((const uint8_t *)payload.data + 4);
    if (!size_is_sound(session, channel, payload.len, length))
        return;
    bool headless = is_headless(channel, payload.len, length);
    content->is_oversized =
        headless || (!content->is_return && content->body_size > channel->max_message_size);
    content->headless_size = headless ? length : 0;
    content->is_bodiless = content->is_return && content->body_size > channel->largest_whole;
    content->message = message_of_header(channel, properties_in(payload), headers);
    if (content->message == NULL)
        session_out_of_memory(session);
    else
        content_begun(session, channel);
}

void content_header(struct session *session, struct session_channel *channel, whippet_bytes payload)
{
    take_header(session, channel, payload, payload.len);
}

void content_long_header(struct session *session, struct session_channel *channel, whippet_bytes payload,
                         size_t length)
{
    take_header(session, channel, payload, length);
}

void content_body(struct session *session, struct session_channel *channel, whippet_bytes payload)
{
    struct content *content = &channel->content;
    if (channel->state == CHANNEL_STATE_CLOSING)
        return;
    if (content->stage != CONTENT_AWAITS_BODY) {
        session_violation(session, AMQP_UNEXPECTED_FRAME,
                          "a body frame on channel %u that follows no content header", channel->number);
        return;
    }
    if (payload.len > content->body_size - content->received) {
        session_violation(session, AMQP_UNEXPECTED_FRAME,
                          "a body on channel %u longer than the %llu bytes announced", channel->number,
                          (unsigned long long)content->body_size);
        return;
    }
    if (content->is_oversized) {
        struct oversized oversized = oversized_of(content);
        session->events->oversized_part(session->owner, channel->number, &oversized, payload);
        if (content->message == NULL)
            return; /* the handler closed the channel, or the session */
    } else if (payload.len > 0 && !content->is_bodiless) {
        memcpy(message_body_storage(content->message) + content->received, payload.data, payload.len);
    }
    content->received += payload.len;
    if (content->received == content->body_size)
        content_complete(session, channel);
}

void content_drop(struct session *session, struct session_channel *channel)
{
    struct content *content = &channel->content;
    struct message *message = content->message;
    struct oversized oversized = oversized_of(content);
    content->stage = CONTENT_NONE;
    content->message = NULL;
    if (message != NULL && content->is_oversized)
        session->events->oversized_end(session->owner, channel->number, &oversized, false);
    message_destroy(message);
}

void content_forget(struct session_channel *channel)
{
    message_destroy(channel->content.message);
    channel->content.message = NULL;
}

/* --- Out ------------------------------------------------------------------------------------------------*/

static int content_frames(struct session *session, uint16_t channel, whippet_bytes body)
{
    size_t part_max = session->frame_max - SESSION_FRAME_OVERHEAD;
    while (body.len > 0) {
        whippet_bytes part = bytes_of(body.data, body.len < part_max ? body.len : part_max);
        if (!codec_write_frame(&session->output, FRAME_BODY, channel, (whippet_bytes){0}, part))
            return WHIPPET_E_MEMORY;
        body = bytes_of((const char *)body.data + part.len, body.len - part.len);
    }
    return 0;
}

int session_publish_begin(struct session *session, uint16_t number, const char *exchange,
                          const char *routing_key, whippet_bytes properties, uint64_t body_size)
{
    struct session_channel *channel =
        session->state == SESSION_OPEN ? session_channel(session, number) : NULL;
    if (channel == NULL || channel->state != CHANNEL_STATE_OPEN)
        return WHIPPET_E_CLOSED;
    if (strlen(exchange) > 255 || strlen(routing_key) > 255 || channel->body_owed > 0)
        return WHIPPET_E_INVALID;
    if (CONTENT_HEADER_SIZE + properties.len > session->frame_max - SESSION_FRAME_OVERHEAD)
        return WHIPPET_E_LIMIT;

    size_t before = buffer_length(&session->output);
    amqp_basic_publish_t publish = {
        .exchange = amqp_of_text(exchange), .routing_key = amqp_of_text(routing_key), .mandatory = 1};
    uint8_t head[CONTENT_HEADER_SIZE] = {0};
    write_u16(head, AMQP_BASIC_CLASS);
    write_u64(head + 4, body_size);
    int error = session_send_method(session, number, AMQP_BASIC_PUBLISH_METHOD, &publish);
    if (error == 0 && !codec_write_frame(&session->output, FRAME_CONTENT_HEADER, number,
                                         bytes_of(head, sizeof head), properties))
        error = WHIPPET_E_MEMORY;
    if (error != 0) {
        /* Half a message must not go out: the channel would be out of step for ever. */
        buffer_shorten(&session->output, before);
        return error;
    }
    channel->body_owed = body_size;
    if (body_size > channel->largest_published)
        channel->largest_published = body_size;
    return 0;
}

int session_publish_part(struct session *session, uint16_t number, whippet_bytes part)
{
    struct session_channel *channel =
        session->state == SESSION_OPEN ? session_channel(session, number) : NULL;
    if (channel == NULL || channel->state != CHANNEL_STATE_OPEN)
        return WHIPPET_E_CLOSED;
    if (part.len > channel->body_owed)
        return WHIPPET_E_INVALID;
    size_t before = buffer_length(&session->output);
    int error = content_frames(session, number, part);
    if (error != 0)
        buffer_shorten(&session->output, before);
    else
        channel->body_owed -= part.len;
    return error;
}

int session_publish(struct session *session, uint16_t number, const char *exchange, const char *routing_key,
                    whippet_bytes properties, whippet_bytes body)
{
    size_t before = buffer_length(&session->output);
    int error = session_publish_begin(session, number, exchange, routing_key, properties, body.len);
    if (error != 0)
        return error;
    struct session_channel *channel = session_channel(session, number);
    error = session_publish_part(session, number, body);
    if (error != 0) {
        buffer_shorten(&session->output, before);
        channel->body_owed = 0;
    } else if (body.len > channel->largest_whole) {
        channel->largest_whole = body.len;
    }
    return error;
}
