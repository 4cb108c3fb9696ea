/* The handshake: start, tune, open (section 2.2.4). */
#include "session_internal.h"
#include <stdio.h>

/* What we tell the broker that we can do. https://www.rabbitmq.com/docs/connections#capabilities */
static const char *const CAPABILITIES[] = {
    "consumer_cancel_notify", /* it may send basic.cancel, when a queue is deleted or fails over */
    "connection.blocked",     /* it may tell of its alarms */
    "basic.nack",
    "publisher_confirms",
    "authentication_failure_close", /* it says why a login failed, instead of just hanging up */
    "per_consumer_qos",             /* prefetch counts per consumer (RabbitMQ's reading of `global`) */
};

static bool add_text(struct buffer *table, const char *name, const char *text)
{
    return text == NULL || table_add_text(table, bytes_of_text(name), bytes_of_text(text));
}

static bool write_capabilities(struct buffer *capabilities)
{
    for (size_t i = 0; i < sizeof CAPABILITIES / sizeof CAPABILITIES[0]; i++)
        if (!table_add_boolean(capabilities, bytes_of_text(CAPABILITIES[i]), true))
            return false;
    return true;
}

static bool write_client_properties(const struct session *session, struct buffer *table)
{
    struct buffer capabilities;
    buffer_init(&capabilities);
    bool written = write_capabilities(&capabilities) && add_text(table, "product", "Whippet") &&
                   add_text(table, "version", session->version) && add_text(table, "platform", "C") &&
                   add_text(table, "connection_name", session->connection_name) &&
                   table_add_nested(table, bytes_of_text("capabilities"), 'F',
                                    bytes_of(buffer_begin(&capabilities), buffer_length(&capabilities)));
    buffer_destroy(&capabilities);
    return written;
}

/* SASL PLAIN (RFC 4616): an empty authorization identity, then user and password. */
static bool write_plain_response(const struct session *session, struct buffer *response)
{
    const char *user = session->user != NULL ? session->user : "";
    const char *password = session->password != NULL ? session->password : "";
    return buffer_append(response, "", 1) && buffer_append(response, user, strlen(user)) &&
           buffer_append(response, "", 1) && buffer_append(response, password, strlen(password));
}

/* SASL EXTERNAL (RFC 4422, appendix A): with an empty response, the server takes who we are from the TLS
 * layer. */
static const char *mechanism_of(const struct session *session)
{
    return session->external ? "EXTERNAL" : "PLAIN";
}

/* Before tuning, no peer need take more than the least frame size (section 4.2.3). RabbitMQ from 4.1 on takes
 * more (initial_frame_max), for the sake of OAuth 2 tokens as passwords. */
static int encode_start_ok(struct session *session, struct buffer *properties, struct buffer *response)
{
    size_t before = buffer_length(&session->output);
    if (!write_client_properties(session, properties) ||
        (!session->external && !write_plain_response(session, response)))
        return WHIPPET_E_MEMORY;
    amqp_connection_start_ok_t start_ok = {
        .mechanism = amqp_of_text(mechanism_of(session)),
        .response = amqp_of(bytes_of(buffer_begin(response), buffer_length(response))),
        .locale = amqp_of_text("en_US"),
    };
    int error =
        codec_decode_table(&session->codec, bytes_of(buffer_begin(properties), buffer_length(properties)),
                           &start_ok.client_properties);
    /* At once, since what a buffer leaves behind when it grows is not wiped. */
    if (error == 0 && buffer_reserve(&session->output, SESSION_LOGIN_MAX) == NULL)
        error = WHIPPET_E_MEMORY;
    if (error == 0)
        error = codec_write_method(&session->output, 0, AMQP_CONNECTION_START_OK_METHOD, &start_ok,
                                   SESSION_LOGIN_MAX);
    session->login_size = buffer_length(&session->output) - before;
    return error;
}

static void send_start_ok(struct session *session)
{
    struct buffer properties, response;
    buffer_init(&properties);
    buffer_init(&response);
    int error = encode_start_ok(session, &properties, &response);
    if (buffer_length(&response) > 0)
        explicit_bzero(buffer_begin(&response), buffer_length(&response));
    buffer_destroy(&properties);
    buffer_destroy(&response);
    session_forget_password(session);
    if (error == WHIPPET_E_LIMIT)
        session_abort(session, "user name, password (or token) and connection name are too long together: no "
                               "RabbitMQ takes a login of more than 8192 bytes");
    else if (error != 0)
        session_out_of_memory(session);
    else
        session->state = SESSION_TUNING;
}

/* True when `word` stands in the space-separated `list`. */
static bool list_has_word(whippet_bytes list, const char *word)
{
    size_t length = strlen(word);
    const char *at = list.data;
    const char *end = at + list.len;
    while (at < end) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        const char *stop = space != NULL ? space : end;
        if ((size_t)(stop - at) == length && memcmp(at, word, length) == 0)
            return true;
        at = stop + 1;
    }
    return false;
}

static void refuse_mechanisms(struct session *session, whippet_bytes offered)
{
    char text[512];
    snprintf(text, sizeof text, "the server offers no login by %s, only by: %.*s%s", mechanism_of(session),
             (int)(offered.len < 200 ? offered.len : 200), (const char *)offered.data,
             session->external
                 ? ". Have it take client certificates (rabbitmq_auth_mechanism_ssl, and EXTERNAL in "
                   "auth_mechanisms), or name a password"
                 : "");
    session_abort(session, text);
}

static void remember_server(struct session *session, whippet_bytes properties)
{
    whippet_value product = table_find(properties, bytes_of_text("product"));
    whippet_value version = table_find(properties, bytes_of_text("version"));
    whippet_value cluster = table_find(properties, bytes_of_text("cluster_name"));
    if (product.kind == WHIPPET_VALUE_TEXT && version.kind == WHIPPET_VALUE_TEXT) {
        char text[256];
        snprintf(text, sizeof text, "%.*s %.*s", (int)product.bytes.len, (const char *)product.bytes.data,
                 (int)version.bytes.len, (const char *)version.bytes.data);
        short_text_set(&session->server, bytes_of_text(text));
    }
    if (cluster.kind == WHIPPET_VALUE_TEXT)
        short_text_set(&session->cluster, cluster.bytes);
}

/* The server's properties, still encoded: they follow the two version octets. They are checked before
 * rabbitmq-c, whose decoder recurses without a limit, sees them. False when there is no sound table. */
static bool server_properties(whippet_bytes arguments, whippet_bytes *properties)
{
    const char *at = arguments.data;
    if (arguments.len < 6)
        return false;
    size_t length = read_u32(at + 2);
    if (length > arguments.len - 6)
        return false;
    *properties = bytes_of(at + 6, length);
    return table_check(*properties) == TABLE_SOUND;
}

static void handshake_start(struct session *session, whippet_bytes arguments)
{
    whippet_bytes properties;
    if (!server_properties(arguments, &properties)) {
        session_violation(session, AMQP_SYNTAX_ERROR,
                          "connection.start with server properties that can't be decoded");
        return;
    }
    amqp_connection_start_t *start = session_decode(session, AMQP_CONNECTION_START_METHOD, arguments);
    if (start == NULL)
        return;
    if (start->version_major != 0 || start->version_minor != 9) {
        session_violation(session, AMQP_COMMAND_INVALID, "the server speaks AMQP %u-%u, not 0-9-1",
                          start->version_major, start->version_minor);
        return;
    }
    whippet_bytes mechanisms = bytes_of_amqp(start->mechanisms);
    if (!list_has_word(mechanisms, mechanism_of(session))) {
        refuse_mechanisms(session, mechanisms);
        return;
    }
    remember_server(session, properties);
    send_start_ok(session);
}

/* Each side may name a limit, 0 for none: the lower one counts (section 2.2.4.1). */
static uint32_t lower_limit(uint32_t ours, uint32_t theirs)
{
    return theirs != 0 && theirs < ours ? theirs : ours;
}

/* Either side may do without heartbeats by 0 (https://www.rabbitmq.com/docs/heartbeats): then there are none
 * here only if we asked for none; a broker that leaves it to us gets what we asked for. */
static uint16_t negotiate_heartbeat(const struct session *session, uint16_t theirs)
{
    double ours = session->heartbeat_offered;
    uint16_t offered = ours <= 0 ? 0 : ours < 1 ? 1 : ours > UINT16_MAX ? UINT16_MAX : (uint16_t)ours;
    return (uint16_t)lower_limit(offered, theirs);
}

static void handshake_tune(struct session *session, whippet_bytes arguments)
{
    amqp_connection_tune_t *tune = session_decode(session, AMQP_CONNECTION_TUNE_METHOD, arguments);
    if (tune == NULL)
        return;
    if (tune->frame_max != 0 && tune->frame_max < SESSION_FRAME_MIN) {
        session_violation(session, AMQP_SYNTAX_ERROR,
                          "connection.tune with a frame_max of %u; at least %d is a must", tune->frame_max,
                          SESSION_FRAME_MIN);
        return;
    }
    uint16_t heartbeat = negotiate_heartbeat(session, tune->heartbeat);
    session->frame_max = lower_limit(SESSION_FRAME_MAX, tune->frame_max);
    session->channel_max = (uint16_t)lower_limit(SESSION_CHANNEL_MAX, tune->channel_max);
    session->heartbeat = heartbeat;

    amqp_connection_tune_ok_t tune_ok = {
        .channel_max = session->channel_max, .frame_max = session->frame_max, .heartbeat = heartbeat};
    amqp_connection_open_t open = {.virtual_host = amqp_of_text(session->vhost), .insist = 1};
    int error = session_send_method(session, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &tune_ok);
    if (error == 0)
        error = session_send_method(session, 0, AMQP_CONNECTION_OPEN_METHOD, &open);
    if (error == WHIPPET_E_LIMIT)
        session_abort(session, "the virtual host's name is over 255 bytes");
    else if (error != 0)
        session_out_of_memory(session);
    else
        session->state = SESSION_OPENING;
}

void handshake_method(struct session *session, uint32_t method, whippet_bytes arguments)
{
    if (session->state == SESSION_STARTING && method == AMQP_CONNECTION_START_METHOD) {
        handshake_start(session, arguments);
    } else if (session->state == SESSION_TUNING && method == AMQP_CONNECTION_TUNE_METHOD) {
        handshake_tune(session, arguments);
    } else if (session->state == SESSION_TUNING && method == AMQP_CONNECTION_SECURE_METHOD) {
        session_abort(session,
                      "the server asks for a further login step, which neither PLAIN nor EXTERNAL has");
    } else if (session->state == SESSION_OPENING && method == AMQP_CONNECTION_OPEN_OK_METHOD) {
        session->state = SESSION_OPEN;
        session->events->opened(session->owner);
    } else {
        session_method_out_of_place(session, 0, method);
    }
}
