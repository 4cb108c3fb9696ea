/* Channels: requests, their replies, and what the broker says of its own accord. */
#include "session_internal.h"
#include <base/memory.h>
#include <math.h>

struct session_channel *session_channel(const struct session *session, uint16_t number)
{
    return number < session->channel_capacity ? session->channels[number] : NULL;
}

/* Looks anew which channel has been closing for longest. */
static void update_closing_since(struct session *session)
{
    session->closing_since = INFINITY;
    for (size_t number = 0; number < session->channel_capacity; number++) {
        const struct session_channel *channel = session->channels[number];
        if (channel != NULL && channel->state == CHANNEL_STATE_CLOSING)
            session->closing_since = fmin(session->closing_since, channel->closing_since);
    }
}

void channels_excuse_closing(struct session *session, double now)
{
    for (size_t number = 0; number < session->channel_capacity; number++)
        if (session->channels[number] != NULL)
            session->channels[number]->closing_since = now;
    update_closing_since(session);
}

void channel_destroy(struct session *session, struct session_channel *channel)
{
    bool was_closing = channel->state == CHANNEL_STATE_CLOSING;
    content_drop(session, channel);
    session->channels[channel->number] = NULL;
    memory_free(channel);
    if (was_closing)
        update_closing_since(session);
}

/* --- Numbers --------------------------------------------------------------------------------------------*/

static uint8_t *left_byte(struct session *session, uint16_t number)
{
    return &session->left[number / 8];
}

static uint8_t left_bit(uint16_t number)
{
    return (uint8_t)(1u << number % 8);
}

bool session_channel_was_left(const struct session *session, uint16_t number)
{
    return number <= SESSION_CHANNEL_MAX && (session->left[number / 8] & left_bit(number)) != 0;
}

/* One that was left, the longest ago where all were; 0 when all are taken. */
static uint16_t free_number_again(struct session *session)
{
    for (unsigned i = 0; i < session->channel_max; i++) {
        uint16_t number = (uint16_t)((session->taken_again + i) % session->channel_max + 1);
        if (session_channel(session, number) == NULL)
            return session->taken_again = number;
    }
    return 0;
}

/* The lowest free number from 1; 0 when all are taken. Those whose channel the broker has closed come last:
 * the process that served it may still write when the next one's consumer is there. */
static uint16_t free_number(struct session *session)
{
    for (unsigned number = 1; number <= session->channel_max; number++)
        if (session_channel(session, (uint16_t)number) == NULL &&
            !session_channel_was_left(session, (uint16_t)number))
            return (uint16_t)number;
    return free_number_again(session);
}

static bool make_room(struct session *session, uint16_t number)
{
    if (number < session->channel_capacity)
        return true;
    size_t capacity = session->channel_capacity == 0 ? 16 : session->channel_capacity * 2;
    struct session_channel **channels = memory_resize(session->channels, capacity * sizeof *channels);
    if (channels == NULL)
        return false;
    for (size_t i = session->channel_capacity; i < capacity; i++)
        channels[i] = NULL;
    session->channels = channels;
    session->channel_capacity = capacity;
    return true;
}

int session_channel_open(struct session *session, uint16_t *number)
{
    if (session->state != SESSION_OPEN)
        return WHIPPET_E_CLOSED;
    uint16_t chosen = free_number(session);
    if (chosen == 0)
        return WHIPPET_E_LIMIT;
    if (!make_room(session, chosen))
        return WHIPPET_E_MEMORY;
    struct session_channel *channel = memory_allocate_zeroed(sizeof *channel);
    if (channel == NULL)
        return WHIPPET_E_MEMORY;
    amqp_channel_open_t open = {0};
    int error = session_send_method(session, chosen, AMQP_CHANNEL_OPEN_METHOD, &open);
    if (error != 0) {
        memory_free(channel);
        return error;
    }
    channel->number = chosen;
    channel->state = CHANNEL_STATE_OPENING;
    channel->awaited = AMQP_CHANNEL_OPEN_OK_METHOD;
    session->channels[chosen] = channel;
    *number = chosen;
    return 0;
}

/* --- Requests -------------------------------------------------------------------------------------------*/

static struct session_channel *open_channel(const struct session *session, uint16_t number)
{
    struct session_channel *channel =
        session->state == SESSION_OPEN ? session_channel(session, number) : NULL;
    return channel != NULL && channel->state == CHANNEL_STATE_OPEN ? channel : NULL;
}

/* Sends a request whose reply is the method that follows it: in AMQP each …-ok has its request's number plus
 * one. */
static int request(struct session *session, uint16_t number, uint32_t method, void *arguments)
{
    struct session_channel *channel = open_channel(session, number);
    if (channel == NULL)
        return WHIPPET_E_CLOSED;
    if (channel->awaited != 0 || channel->body_owed > 0)
        return WHIPPET_E_INVALID;
    int error = session_send_method(session, number, method, arguments);
    if (error == 0)
        channel->awaited = method + 1;
    return error;
}

int session_channel_close(struct session *session, uint16_t number, double now)
{
    struct session_channel *channel =
        session->state == SESSION_OPEN ? session_channel(session, number) : NULL;
    if (channel == NULL || channel->state == CHANNEL_STATE_CLOSING)
        return WHIPPET_E_CLOSED;
    amqp_channel_close_t close = {.reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_of_text("done")};
    int error = session_send_method(session, number, AMQP_CHANNEL_CLOSE_METHOD, &close);
    if (error != 0)
        return error;
    channel->state = CHANNEL_STATE_CLOSING;
    channel->closing_since = now;
    session->closing_since = fmin(session->closing_since, now);
    channel->awaited = AMQP_CHANNEL_CLOSE_OK_METHOD;
    content_drop(session, channel);
    return 0;
}

static bool fits_short_text(const char *text)
{
    return text == NULL || strlen(text) <= 255;
}

int session_exchange_declare(struct session *session, uint16_t channel,
                             const struct exchange_declaration *declaration)
{
    if (!fits_short_text(declaration->exchange) || !fits_short_text(declaration->type))
        return WHIPPET_E_INVALID;
    amqp_exchange_declare_t declare = {
        .exchange = amqp_of_text(declaration->exchange),
        .type = amqp_of_text(declaration->type),
        .passive = declaration->passive,
        .durable = declaration->durable,
    };
    int error = codec_decode_table(&session->codec, declaration->arguments, &declare.arguments);
    return error != 0 ? error : request(session, channel, AMQP_EXCHANGE_DECLARE_METHOD, &declare);
}

int session_queue_declare(struct session *session, uint16_t channel,
                          const struct queue_declaration *declaration)
{
    if (!fits_short_text(declaration->queue))
        return WHIPPET_E_INVALID;
    amqp_queue_declare_t declare = {
        .queue = amqp_of_text(declaration->queue),
        .passive = declaration->passive,
        .durable = declaration->durable,
        .exclusive = declaration->exclusive,
        .auto_delete = declaration->auto_delete,
    };
    int error = codec_decode_table(&session->codec, declaration->arguments, &declare.arguments);
    return error != 0 ? error : request(session, channel, AMQP_QUEUE_DECLARE_METHOD, &declare);
}

int session_queue_bind(struct session *session, uint16_t channel, const char *queue, const char *exchange,
                       const char *routing_key, whippet_bytes arguments)
{
    if (!fits_short_text(queue) || !fits_short_text(exchange) || !fits_short_text(routing_key))
        return WHIPPET_E_INVALID;
    amqp_queue_bind_t bind = {
        .queue = amqp_of_text(queue),
        .exchange = amqp_of_text(exchange),
        .routing_key = amqp_of_text(routing_key),
    };
    int error = codec_decode_table(&session->codec, arguments, &bind.arguments);
    return error != 0 ? error : request(session, channel, AMQP_QUEUE_BIND_METHOD, &bind);
}

int session_queue_unbind(struct session *session, uint16_t channel, const char *queue, const char *exchange,
                         const char *routing_key, whippet_bytes arguments)
{
    if (!fits_short_text(queue) || !fits_short_text(exchange) || !fits_short_text(routing_key))
        return WHIPPET_E_INVALID;
    amqp_queue_unbind_t unbind = {
        .queue = amqp_of_text(queue),
        .exchange = amqp_of_text(exchange),
        .routing_key = amqp_of_text(routing_key),
    };
    int error = codec_decode_table(&session->codec, arguments, &unbind.arguments);
    return error != 0 ? error : request(session, channel, AMQP_QUEUE_UNBIND_METHOD, &unbind);
}

int session_qos(struct session *session, uint16_t channel, uint16_t prefetch)
{
    amqp_basic_qos_t qos = {.prefetch_count = prefetch, .global = 0};
    return request(session, channel, AMQP_BASIC_QOS_METHOD, &qos);
}

int session_consume(struct session *session, uint16_t number, const struct consumption *consumption)
{
    if (!fits_short_text(consumption->queue) || !fits_short_text(consumption->consumer_tag))
        return WHIPPET_E_INVALID;
    struct session_channel *channel = open_channel(session, number);
    if (channel == NULL)
        return WHIPPET_E_CLOSED;
    if (channel->consuming)
        return WHIPPET_E_INVALID;
    amqp_basic_consume_t consume = {
        .queue = amqp_of_text(consumption->queue),
        .consumer_tag = amqp_of_text(consumption->consumer_tag),
        .exclusive = consumption->exclusive,
    };
    int error = codec_decode_table(&session->codec, consumption->arguments, &consume.arguments);
    if (error == 0)
        error = request(session, number, AMQP_BASIC_CONSUME_METHOD, &consume);
    if (error != 0)
        return error;
    short_text_set(&channel->consumer_tag, bytes_of_text(consumption->consumer_tag));
    channel->max_message_size = consumption->max_message_size;
    return 0;
}

int session_cancel(struct session *session, uint16_t number)
{
    struct session_channel *channel = open_channel(session, number);
    if (channel == NULL)
        return WHIPPET_E_CLOSED;
    if (!channel->consuming)
        return WHIPPET_E_INVALID;
    amqp_basic_cancel_t cancel = {.consumer_tag = amqp_of(short_text_bytes(&channel->consumer_tag))};
    return request(session, number, AMQP_BASIC_CANCEL_METHOD, &cancel);
}

int session_confirm_select(struct session *session, uint16_t channel)
{
    amqp_confirm_select_t select = {0};
    return request(session, channel, AMQP_CONFIRM_SELECT_METHOD, &select);
}

/* Sends what has no reply. */
static int tell(struct session *session, uint16_t number, uint32_t method, void *arguments)
{
    struct session_channel *channel = open_channel(session, number);
    if (channel == NULL)
        return WHIPPET_E_CLOSED;
    return channel->body_owed == 0 ? session_send_method(session, number, method, arguments)
                                   : WHIPPET_E_INVALID;
}

int session_ack(struct session *session, uint16_t channel, uint64_t delivery_tag, bool multiple)
{
    amqp_basic_ack_t ack = {.delivery_tag = delivery_tag, .multiple = multiple};
    return tell(session, channel, AMQP_BASIC_ACK_METHOD, &ack);
}

int session_nack(struct session *session, uint16_t channel, uint64_t delivery_tag, bool multiple,
                 bool requeue)
{
    amqp_basic_nack_t nack = {.delivery_tag = delivery_tag, .multiple = multiple, .requeue = requeue};
    return tell(session, channel, AMQP_BASIC_NACK_METHOD, &nack);
}

/* --- Replies --------------------------------------------------------------------------------------------*/

/* Turns the method into a reply; false when it is none of those that a request can have, or made no sense. */
static bool reply_of_method(struct session *session, uint32_t method, whippet_bytes arguments,
                            struct channel_reply *reply)
{
    switch (method) {
    case AMQP_CHANNEL_OPEN_OK_METHOD: reply->kind = CHANNEL_OPENED; return true;
    case AMQP_CHANNEL_CLOSE_OK_METHOD: reply->kind = CHANNEL_CLOSED; return true;
    case AMQP_EXCHANGE_DECLARE_OK_METHOD: reply->kind = CHANNEL_EXCHANGE_DECLARED; return true;
    case AMQP_QUEUE_BIND_OK_METHOD: reply->kind = CHANNEL_QUEUE_BOUND; return true;
    case AMQP_QUEUE_UNBIND_OK_METHOD: reply->kind = CHANNEL_QUEUE_UNBOUND; return true;
    case AMQP_BASIC_QOS_OK_METHOD: reply->kind = CHANNEL_QOS_SET; return true;
    case AMQP_BASIC_CONSUME_OK_METHOD: reply->kind = CHANNEL_CONSUMING; return true;
    case AMQP_BASIC_CANCEL_OK_METHOD: reply->kind = CHANNEL_CONSUMER_CANCELLED; return true;
    case AMQP_CONFIRM_SELECT_OK_METHOD: reply->kind = CHANNEL_CONFIRMING; return true;
    default: break;
    }
    amqp_queue_declare_ok_t *declared = session_decode(session, method, arguments);
    if (declared == NULL)
        return false;
    reply->kind = CHANNEL_QUEUE_DECLARED;
    reply->queue = bytes_of_amqp(declared->queue);
    reply->message_count = declared->message_count;
    reply->consumer_count = declared->consumer_count;
    return true;
}

static void channel_replied(struct session *session, struct session_channel *channel, uint32_t method,
                            whippet_bytes arguments)
{
    struct channel_reply reply = {0};
    uint16_t number = channel->number;
    if (!reply_of_method(session, method, arguments, &reply))
        return;
    channel->awaited = 0;
    switch (reply.kind) {
    case CHANNEL_OPENED:
        channel->state = CHANNEL_STATE_OPEN;
        *left_byte(session, number) &= (uint8_t)~left_bit(number);
        break;
    case CHANNEL_CLOSED: channel_destroy(session, channel); break;
    case CHANNEL_CONSUMING: channel->consuming = true; break;
    case CHANNEL_CONSUMER_CANCELLED: channel->consuming = false; break;
    case CHANNEL_CONFIRMING: channel->confirming = true; break;
    default: break;
    }
    session->events->replied(session->owner, number, &reply);
}

/* --- What the broker says of its own accord -------------------------------------------------------------*/

static void send_close_ok(struct session *session, uint16_t number)
{
    amqp_channel_close_ok_t close_ok = {0};
    if (session_send_method(session, number, AMQP_CHANNEL_CLOSE_OK_METHOD, &close_ok) != 0)
        session_out_of_memory(session);
}

static void channel_closed_by_broker(struct session *session, struct session_channel *channel,
                                     whippet_bytes arguments)
{
    amqp_channel_close_t *close = session_decode(session, AMQP_CHANNEL_CLOSE_METHOD, arguments);
    if (close == NULL)
        return;
    struct channel_reason reason = {.code = close->reply_code, .text = bytes_of_amqp(close->reply_text)};
    uint16_t number = channel->number;
    bool crossed = channel->state == CHANNEL_STATE_CLOSING;
    *left_byte(session, number) |= left_bit(number);
    send_close_ok(session, number);
    /* When both sides close at once, the answer to our own close is still to come. */
    if (crossed || session->state == SESSION_CLOSED)
        return;
    /* For the handler of what is dropped, it is closed already. */
    channel->state = CHANNEL_STATE_CLOSING;
    channel_destroy(session, channel);
    if (session->state != SESSION_CLOSED)
        session->events->channel_closed(session->owner, number, &reason);
}

static void consumer_cancelled_by_broker(struct session *session, struct session_channel *channel,
                                         whippet_bytes arguments)
{
    amqp_basic_cancel_t *cancel = session_decode(session, AMQP_BASIC_CANCEL_METHOD, arguments);
    if (cancel == NULL)
        return;
    if (!cancel->nowait) {
        amqp_basic_cancel_ok_t cancel_ok = {.consumer_tag = cancel->consumer_tag};
        if (session_send_method(session, channel->number, AMQP_BASIC_CANCEL_OK_METHOD, &cancel_ok) != 0) {
            session_out_of_memory(session);
            return;
        }
    }
    if (!channel->consuming ||
        !bytes_equal(bytes_of_amqp(cancel->consumer_tag), short_text_bytes(&channel->consumer_tag)))
        return;
    channel->consuming = false;
    session->events->consumer_cancelled(session->owner, channel->number);
}

static void confirmed(struct session *session, struct session_channel *channel, uint32_t method,
                      whippet_bytes arguments)
{
    if (!channel->confirming) {
        session_method_out_of_place(session, channel->number, method);
        return;
    }
    void *decoded = session_decode(session, method, arguments);
    if (decoded == NULL)
        return;
    if (method == AMQP_BASIC_ACK_METHOD) {
        amqp_basic_ack_t *ack = decoded;
        session->events->confirmed(session->owner, channel->number, ack->delivery_tag, ack->multiple, false);
    } else {
        amqp_basic_nack_t *nack = decoded;
        session->events->confirmed(session->owner, channel->number, nack->delivery_tag, nack->multiple, true);
    }
}

void channel_method(struct session *session, struct session_channel *channel, uint32_t method,
                    whippet_bytes arguments)
{
    /* A channel may be closed at any moment; any other method says that the body came too short. */
    if (channel->content.stage != CONTENT_NONE && method != AMQP_CHANNEL_CLOSE_METHOD) {
        session_violation(session, AMQP_UNEXPECTED_FRAME, "a method on channel %u in the middle of a message",
                          channel->number);
        return;
    }
    if (channel->state == CHANNEL_STATE_CLOSING && method != AMQP_CHANNEL_CLOSE_OK_METHOD &&
        method != AMQP_CHANNEL_CLOSE_METHOD)
        return;
    switch (method) {
    case AMQP_BASIC_DELIVER_METHOD: content_begin_delivery(session, channel, arguments); break;
    case AMQP_BASIC_RETURN_METHOD: content_begin_return(session, channel, arguments); break;
    case AMQP_BASIC_ACK_METHOD:
    case AMQP_BASIC_NACK_METHOD: confirmed(session, channel, method, arguments); break;
    case AMQP_BASIC_CANCEL_METHOD: consumer_cancelled_by_broker(session, channel, arguments); break;
    case AMQP_CHANNEL_CLOSE_METHOD: channel_closed_by_broker(session, channel, arguments); break;
    default:
        if (method == channel->awaited)
            channel_replied(session, channel, method, arguments);
        else
            session_method_out_of_place(session, channel->number, method);
    }
}
