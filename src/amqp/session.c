/* The session: frames in, heartbeats, and how it ends. */
#include "session_internal.h"
#include <base/memory.h>
#include <base/secret.h>
#include <base/utf8.h>
#include <math.h>
#include <stdio.h>

/* A silent peer is given up after one and a half of the negotiated timeout. RabbitMQ looks each half timeout
 * whether it has sent anything and only then sends a heartbeat (rabbit_heartbeat.erl), so up to a whole one
 * can pass between two signs of life on a healthy connection. */
static const double SILENCE_LIMIT = 1.5;

/* Every byte is a sign of life, but a frame that does not come to its end within three timeouts never will:
 * its size was damaged on the way, and what the heartbeats bring is taken for the rest of it. */
static const double UNFINISHED_LIMIT = 3;

void short_text_set(struct short_text *to, whippet_bytes from)
{
    to->length = (uint8_t)(from.len < sizeof to->text ? from.len : sizeof to->text - 1);
    if (to->length > 0)
        memcpy(to->text, from.data, to->length);
    to->text[to->length] = '\0';
}

static bool copy_option(char **to, const char *from)
{
    *to = from != NULL ? memory_copy_text(from) : NULL;
    return from == NULL || *to != NULL;
}

struct session *session_create(const struct session_options *options, const struct session_events *events,
                               void *owner)
{
    struct session *session = memory_allocate_zeroed(sizeof *session);
    if (session == NULL)
        return NULL;
    codec_init(&session->codec);
    buffer_init(&session->output);
    buffer_init(&session->long_header.held);
    session->heartbeat_offered = options->heartbeat;
    session->close_limit = options->close_limit > 0 ? options->close_limit : SESSION_CLOSE_LIMIT;
    session->closing_since = INFINITY;
    session->external = options->external;
    session->frame_max = SESSION_FRAME_MAX;
    session->channel_max = SESSION_CHANNEL_MAX;
    session->events = events;
    session->owner = owner;
    session->password = options->password != NULL ? secret_copy(options->password) : NULL;
    if ((session->password == NULL && options->password != NULL) ||
        !copy_option(&session->user, options->user) || !copy_option(&session->vhost, options->vhost) ||
        !copy_option(&session->connection_name, options->connection_name) ||
        !copy_option(&session->version, options->version)) {
        session_destroy(session);
        return NULL;
    }
    return session;
}

void session_forget_password(struct session *session)
{
    secret_destroy(session->password);
    session->password = NULL;
}

void session_destroy(struct session *session)
{
    if (session == NULL)
        return;
    session->state = SESSION_CLOSED;
    for (size_t number = 0; number < session->channel_capacity; number++)
        if (session->channels[number] != NULL) {
            content_forget(session->channels[number]);
            channel_destroy(session, session->channels[number]);
        }
    memory_free(session->channels);
    session_forget_password(session);
    memory_free(session->user);
    memory_free(session->vhost);
    memory_free(session->connection_name);
    memory_free(session->version);
    buffer_destroy(&session->output);
    buffer_destroy(&session->long_header.held);
    codec_destroy(&session->codec);
    memory_free(session);
}

void session_start(struct session *session, double now)
{
    static const char PROTOCOL_HEADER[8] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};
    session->now = session->received_at = session->sent_at = now;
    session->unfinished_since = INFINITY;
    if (session->state != SESSION_IDLE)
        return;
    session->state = SESSION_STARTING;
    if (!buffer_append(&session->output, PROTOCOL_HEADER, sizeof PROTOCOL_HEADER))
        session_out_of_memory(session);
}

/* --- The end --------------------------------------------------------------------------------------------*/

void session_end(struct session *session, enum session_end end, int code, whippet_bytes text)
{
    if (session->state == SESSION_CLOSED)
        return;
    struct session_closing closing = {.end = end, .code = code, .text = text, .during = session->state};
    session->state = SESSION_CLOSED;
    session->blocked = false;
    for (size_t number = 0; number < session->channel_capacity; number++)
        if (session->channels[number] != NULL)
            content_drop(session, session->channels[number]);
    session->events->closed(session->owner, &closing);
}

static bool send_close(struct session *session, int code, const char *text)
{
    size_t length = text != NULL ? utf8_cut(text, strlen(text), 255) : 0;
    amqp_connection_close_t close = {.reply_code = (uint16_t)code,
                                     .reply_text = amqp_of(bytes_of(text, length))};
    return session_send_method(session, 0, AMQP_CONNECTION_CLOSE_METHOD, &close) == 0;
}

/* The broker is told why, as far as the owner still can send it, but not waited for: after a violation
 * nothing that it sends can be relied on. Before Open was sent, section 2.2.4 forbids a further word. */
void session_violation(struct session *session, int code, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (session->state == SESSION_CLOSED)
        return;
    if (session->state == SESSION_OPENING || session->state == SESSION_OPEN)
        send_close(session, code, text);
    session_end(session, SESSION_END_VIOLATION, code, bytes_of_text(text));
}

void session_out_of_memory(struct session *session)
{
    session_end(session, SESSION_END_LOCAL, 0, bytes_of_text("out of memory"));
}

/* An older RabbitMQ resets the connection over a login of more than the least frame, without a word. */
void session_abort(struct session *session, const char *text)
{
    char explained[512];
    if (session->state == SESSION_TUNING && session->login_size > SESSION_FRAME_MIN) {
        snprintf(
            explained, sizeof explained,
            "%s (the login is %zu bytes long with its password or token; RabbitMQ before 4.1 hangs up on "
            "more than %d)",
            text, session->login_size, SESSION_FRAME_MIN);
        text = explained;
    }
    session_end(session, SESSION_END_LOCAL, 0, bytes_of_text(text));
}

void session_close(struct session *session, int code, const char *text)
{
    switch (session->state) {
    case SESSION_IDLE:
    case SESSION_STARTING: session_end(session, SESSION_END_ASKED, code, bytes_of_text(text)); break;
    case SESSION_TUNING:
    case SESSION_OPENING:
    case SESSION_OPEN:
        if (send_close(session, code, text))
            session->state = SESSION_CLOSING;
        else
            session_out_of_memory(session);
        break;
    case SESSION_CLOSING:
    case SESSION_CLOSED: break;
    }
}

/* --- Methods --------------------------------------------------------------------------------------------*/

int session_send_method(struct session *session, uint16_t channel, uint32_t method, void *decoded)
{
    return codec_write_method(&session->output, channel, method, decoded, session->frame_max);
}

void *session_decode(struct session *session, uint32_t method, whippet_bytes arguments)
{
    void *decoded = NULL;
    switch (codec_decode(&session->codec, method, arguments, &decoded)) {
    case 0: return decoded;
    case WHIPPET_E_MEMORY: session_out_of_memory(session); return NULL;
    default: break;
    }
    const char *name = amqp_method_name(method);
    session_violation(session, AMQP_SYNTAX_ERROR, "%s (%u.%u) with arguments that can't be decoded",
                      name != NULL ? name : "a method", method >> 16, method & 0xFFFF);
    return NULL;
}

static void connection_closed_by_broker(struct session *session, whippet_bytes arguments)
{
    amqp_connection_close_t *close = session_decode(session, AMQP_CONNECTION_CLOSE_METHOD, arguments);
    if (close == NULL)
        return;
    amqp_connection_close_ok_t close_ok = {0};
    session_send_method(session, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &close_ok);
    session_end(session, SESSION_END_BROKER, close->reply_code, bytes_of_amqp(close->reply_text));
}

static void connection_blocked(struct session *session, whippet_bytes arguments)
{
    amqp_connection_blocked_t *blocked = session_decode(session, AMQP_CONNECTION_BLOCKED_METHOD, arguments);
    if (blocked == NULL)
        return;
    session->blocked = true;
    session->events->blocked(session->owner, bytes_of_amqp(blocked->reason));
}

static void connection_unblocked(struct session *session)
{
    session->blocked = false;
    channels_excuse_closing(session, session->now);
    session->events->unblocked(session->owner);
}

void session_method_out_of_place(struct session *session, uint16_t channel, uint32_t method)
{
    const char *name = amqp_method_name(method);
    session_violation(session, AMQP_COMMAND_INVALID, "%s (%u.%u) on channel %u does not belong here",
                      name != NULL ? name : "unknown method", method >> 16, method & 0xFFFF, channel);
}

static void connection_method(struct session *session, uint32_t method, whippet_bytes arguments)
{
    if (method == AMQP_CONNECTION_CLOSE_METHOD)
        connection_closed_by_broker(session, arguments);
    else if (session->state == SESSION_CLOSING && method == AMQP_CONNECTION_CLOSE_OK_METHOD)
        session_end(session, SESSION_END_ASKED, 0, bytes_of_text("closed"));
    else if (session->state == SESSION_CLOSING)
        return; /* section 1.4.2.6: everything but close and close-ok is to be discarded */
    else if (session->state < SESSION_OPEN)
        handshake_method(session, method, arguments);
    else if (method == AMQP_CONNECTION_BLOCKED_METHOD)
        connection_blocked(session, arguments);
    else if (method == AMQP_CONNECTION_UNBLOCKED_METHOD)
        connection_unblocked(session);
    else
        session_method_out_of_place(session, 0, method);
}

/* --- Frames ---------------------------------------------------------------------------------------------*/

static void frame_on_connection(struct session *session, enum frame_type type, whippet_bytes payload)
{
    if (type == FRAME_HEARTBEAT) {
        if (payload.len > 0)
            session_violation(session, AMQP_FRAME_ERROR, "a heartbeat frame with %zu bytes in it",
                              payload.len);
        return;
    }
    if (type != FRAME_METHOD) {
        session_violation(session, AMQP_COMMAND_INVALID, "a content frame on channel 0");
        return;
    }
    if (payload.len < 4) {
        session_violation(session, AMQP_FRAME_ERROR, "a method frame of %zu bytes", payload.len);
        return;
    }
    connection_method(session, read_u32(payload.data),
                      bytes_of((const char *)payload.data + 4, payload.len - 4));
}

static void frame_on_no_channel(struct session *session, uint16_t number)
{
    session_violation(session, AMQP_CHANNEL_ERROR, "a frame on channel %u, which is not open", number);
}

/* Whether it is the former channel's of that number. Of one that is being opened, the answer to that is not.
 */
static bool is_late(const struct session *session, uint16_t number, const struct session_channel *channel,
                    enum frame_type type, whippet_bytes payload)
{
    if (channel != NULL && channel->state != CHANNEL_STATE_OPENING)
        return false;
    if (!session_channel_was_left(session, number))
        return false;
    uint32_t method = type == FRAME_METHOD && payload.len >= 4 ? read_u32(payload.data) : 0;
    return channel == NULL || (method != AMQP_CHANNEL_OPEN_OK_METHOD && method != AMQP_CHANNEL_CLOSE_METHOD);
}

static void frame_on_channel(struct session *session, enum frame_type type, uint16_t number,
                             whippet_bytes payload)
{
    if (type == FRAME_HEARTBEAT) {
        session_violation(session, AMQP_FRAME_ERROR, "a heartbeat frame on channel %u", number);
        return;
    }
    if (session->state == SESSION_CLOSING)
        return;
    struct session_channel *channel = session_channel(session, number);
    if (is_late(session, number, channel, type, payload))
        return;
    if (channel == NULL) {
        frame_on_no_channel(session, number);
        return;
    }
    switch (type) {
    case FRAME_METHOD:
        if (payload.len < 4)
            session_violation(session, AMQP_FRAME_ERROR, "a method frame of %zu bytes", payload.len);
        else
            channel_method(session, channel, read_u32(payload.data),
                           bytes_of((const char *)payload.data + 4, payload.len - 4));
        break;
    case FRAME_CONTENT_HEADER: content_header(session, channel, payload); break;
    default: content_body(session, channel, payload); break;
    }
}

void session_long_header(struct session *session, uint16_t number, whippet_bytes payload, size_t length)
{
    if (session->state == SESSION_CLOSING)
        return;
    struct session_channel *channel = session_channel(session, number);
    if (is_late(session, number, channel, FRAME_CONTENT_HEADER, payload))
        return;
    if (channel == NULL)
        frame_on_no_channel(session, number);
    else
        content_long_header(session, channel, payload, length);
}

/* What stands where the first frame should: another protocol, or another version of this one (section 4.2.2).
 */
static bool is_foreign(const struct session *session, const uint8_t *data)
{
    return session->state == SESSION_STARTING && data[0] != FRAME_METHOD && data[0] != FRAME_HEARTBEAT;
}

static void foreign_peer(struct session *session, const uint8_t *data, size_t size)
{
    if (size >= 8 && memcmp(data, "AMQP", 4) == 0) {
        session_violation(session, AMQP_COMMAND_INVALID,
                          "the server speaks AMQP %u-%u-%u, not 0-9-1: is it a RabbitMQ AMQP 0-9-1 port?",
                          data[5], data[6], data[7]);
        return;
    }
    enum {
        TLS_ALERT = 21
    };
    if (data[0] == TLS_ALERT && data[1] == 3) {
        session_violation(
            session, AMQP_FRAME_ERROR,
            "the server speaks TLS at this port: use amqps:// in the URL, or name its port without TLS "
            "(usually 5672)");
        return;
    }
    char shown[17];
    size_t length = size < sizeof shown - 1 ? size : sizeof shown - 1;
    for (size_t i = 0; i < length; i++)
        shown[i] = data[i] >= ' ' && data[i] <= '~' ? (char)data[i] : '.';
    shown[length] = '\0';
    session_violation(session, AMQP_FRAME_ERROR,
                      "the server does not speak AMQP: it answered \"%s\"; is it the right port?", shown);
}

/* False after it ended the session. */
static bool frame_type_is_known(struct session *session, uint8_t type)
{
    if (type == FRAME_METHOD || type == FRAME_CONTENT_HEADER || type == FRAME_BODY || type == FRAME_HEARTBEAT)
        return true;
    session_violation(session, AMQP_FRAME_ERROR, "a frame of the unknown type %u", type);
    return false;
}

bool session_frame_ends(struct session *session, uint16_t channel, uint8_t octet)
{
    if (octet == FRAME_END)
        return true;
    session_violation(session, AMQP_FRAME_ERROR, "a frame on channel %u ends in 0x%02X, not in 0xCE", channel,
                      octet);
    return false;
}

/* Takes of a frame over frame_max what is there; 0 after it ended the session. Only a content header may be
 * one. */
static size_t take_long_frame(struct session *session, const uint8_t *frame, size_t available)
{
    size_t length = read_u32(frame + 3);
    if (frame[0] == FRAME_CONTENT_HEADER && read_u16(frame + 1) != 0 && session->state >= SESSION_OPEN &&
        length <= SESSION_HEADER_MAX)
        return long_header_begin(session, frame, available);
    session_violation(session, AMQP_FRAME_ERROR, "a frame of %zu bytes where %u were agreed on (frame_max)",
                      length + SESSION_FRAME_OVERHEAD, session->frame_max);
    return 0;
}

/* Takes one frame; returns its bytes, or 0 when it is not all there or the session has ended. Of a long
 * header it takes what is there. */
static size_t take_frame(struct session *session, const uint8_t *frame, size_t available)
{
    if (available < FRAME_HEADER_SIZE)
        return 0;
    if (is_foreign(session, frame)) {
        if (available >= 8 || memcmp(frame, "AMQP", 4) != 0)
            foreign_peer(session, frame, available);
        return 0;
    }
    uint16_t channel = read_u16(frame + 1);
    size_t length = read_u32(frame + 3);
    size_t size = FRAME_HEADER_SIZE + length + FRAME_END_SIZE;
    if (!frame_type_is_known(session, frame[0]))
        return 0;
    if (length > session->frame_max - SESSION_FRAME_OVERHEAD)
        return take_long_frame(session, frame, available);
    if (available < size || !session_frame_ends(session, channel, frame[size - 1]))
        return 0;
    whippet_bytes payload = bytes_of(frame + FRAME_HEADER_SIZE, length);
    if (channel == 0)
        frame_on_connection(session, (enum frame_type)frame[0], payload);
    else
        frame_on_channel(session, (enum frame_type)frame[0], channel, payload);
    return size;
}

size_t session_receive(struct session *session, const void *data, size_t size, double now)
{
    size_t used = 0, taken = 0;
    session->now = now;
    if (size > 0)
        session->received_at = now;
    if (session->long_header.owed > 0)
        used = long_header_take(session, data, size);
    while (session->state != SESSION_CLOSED &&
           (taken = take_frame(session, (const uint8_t *)data + used, size - used)) > 0)
        used += taken;
    if (session->long_header.owed > 0)
        return session->state == SESSION_CLOSED ? size : used; /* it knows since when */
    if (used == size)
        session->unfinished_since = INFINITY;
    else if (used > 0 || isinf(session->unfinished_since))
        session->unfinished_since = now;
    return session->state == SESSION_CLOSED ? size : used;
}

/* --- Heartbeats (section 4.2.7, https://www.rabbitmq.com/docs/heartbeats) -------------------------------*/

static double next_heartbeat_tick(const struct session *session)
{
    if (session->heartbeat <= 0)
        return INFINITY;
    return fmin(fmin(session->sent_at + session->heartbeat / 2,
                     session->received_at + session->heartbeat * SILENCE_LIMIT),
                session->unfinished_since + session->heartbeat * UNFINISHED_LIMIT);
}

double session_next_tick(const struct session *session)
{
    if (session->state != SESSION_OPEN && session->state != SESSION_CLOSING)
        return INFINITY;
    return fmin(next_heartbeat_tick(session), session->closing_since + session->close_limit);
}

void session_excuse_silence(struct session *session, double now)
{
    session->received_at = now;
    if (!isinf(session->unfinished_since))
        session->unfinished_since = now;
    channels_excuse_closing(session, now);
}

/* True after it ended the session. A broker that has raised an alarm reads nothing of those that publish. */
static bool give_up_closing(struct session *session, double now)
{
    char text[128];
    if (session->blocked)
        channels_excuse_closing(session, now);
    if (now < session->closing_since + session->close_limit)
        return false;
    snprintf(text, sizeof text, "the broker did not answer channel.close within %g s", session->close_limit);
    session_end(session, SESSION_END_SILENT, 0, bytes_of_text(text));
    return true;
}

/* The same for what the heartbeats tell. */
static bool give_up_silent(struct session *session, double now)
{
    if (now - session->received_at >= session->heartbeat * SILENCE_LIMIT) {
        char text[128];
        snprintf(text, sizeof text, "nothing was heard of the broker for %.1f s (heartbeat %.0f s)",
                 now - session->received_at, session->heartbeat);
        session_end(session, SESSION_END_SILENT, 0, bytes_of_text(text));
        return true;
    }
    if (now >= session->unfinished_since + session->heartbeat * UNFINISHED_LIMIT) {
        session_violation(session, AMQP_FRAME_ERROR, "a frame did not come to its end within %.1f s",
                          now - session->unfinished_since);
        return true;
    }
    return false;
}

void session_tick(struct session *session, double now)
{
    session->now = now;
    if (session_next_tick(session) > now || give_up_closing(session, now))
        return;
    if (session->heartbeat <= 0 || give_up_silent(session, now))
        return;
    if (now - session->sent_at < session->heartbeat / 2)
        return;
    /* With bytes still waiting to go, one more heartbeat behind them tells the broker nothing. */
    if (buffer_length(&session->output) == 0 &&
        !codec_write_frame(&session->output, FRAME_HEARTBEAT, 0, (whippet_bytes){0}, (whippet_bytes){0})) {
        session_out_of_memory(session);
        return;
    }
    session->sent_at = now;
}

/* --- What the owner asks --------------------------------------------------------------------------------*/

struct buffer *session_output(struct session *session)
{
    return &session->output;
}

void session_sent(struct session *session, double now)
{
    session->sent_at = now;
}

enum session_state session_state(const struct session *session)
{
    return session->state;
}

uint32_t session_frame_max(const struct session *session)
{
    return session->frame_max;
}

uint16_t session_channel_max(const struct session *session)
{
    return session->channel_max;
}

double session_heartbeat(const struct session *session)
{
    return session->heartbeat;
}

bool session_is_blocked(const struct session *session)
{
    return session->blocked;
}

const char *session_server(const struct session *session)
{
    return session->server.text;
}

const char *session_cluster(const struct session *session)
{
    return session->cluster.text;
}
