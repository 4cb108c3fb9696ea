#include "client.h"

#include "patience.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHANNEL_LOOK = 1, /* declares and gets; a passive declare of a missing queue closes it */
    CHANNEL_PUBLISH,  /* in confirm mode */
    CHANNEL_CALL,     /* opened by client_call */
    FRAME_MAX = 131072,
    URL_SIZE = 512,
};

struct client {
    amqp_connection_state_t connection;
    uint64_t published; /* messages sent on CHANNEL_PUBLISH so far, and so the last one's delivery tag */
    uint64_t ahead;     /* the first of those that went ahead of their confirms; 0: none */
};

static void check(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        return;
    }
    cr_assert_neq(reply.reply_type, AMQP_RESPONSE_LIBRARY_EXCEPTION, "test client: %s: %s", what,
                  amqp_error_string2(reply.library_error));
    if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        amqp_channel_close_t *closed = reply.reply.decoded;
        cr_assert_fail("test client: %s: %.*s", what, (int)closed->reply_text.len,
                       (char *)closed->reply_text.bytes);
    }
    cr_assert_fail("test client: %s: the broker closed the connection", what);
}

struct client *client_open(const char *url)
{
    struct client *client = calloc(1, sizeof(*client));
    struct amqp_connection_info address;
    char text[URL_SIZE];
    amqp_socket_t *socket;

    snprintf(text, sizeof(text), "%s", url);
    cr_assert_eq(amqp_parse_url(text, &address), AMQP_STATUS_OK, "test client: cannot read the URL %s", url);
    client->connection = amqp_new_connection();
    socket = amqp_tcp_socket_new(client->connection);
    cr_assert_eq(amqp_socket_open(socket, address.host, address.port), AMQP_STATUS_OK,
                 "test client: no connection to %s", url);
    amqp_set_handshake_timeout(client->connection,
                               &(struct timeval){.tv_sec = (time_t)patience_stretched(12)});
    check(amqp_login(client->connection, "/", 0, FRAME_MAX, 0, AMQP_SASL_METHOD_PLAIN, address.user,
                     address.password),
          "login");
    amqp_channel_open(client->connection, CHANNEL_LOOK);
    check(amqp_get_rpc_reply(client->connection), "channel.open");
    amqp_channel_open(client->connection, CHANNEL_PUBLISH);
    check(amqp_get_rpc_reply(client->connection), "channel.open");
    amqp_confirm_select(client->connection, CHANNEL_PUBLISH);
    check(amqp_get_rpc_reply(client->connection), "confirm.select");
    return client;
}

void client_close(struct client *client)
{
    amqp_connection_close(client->connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(client->connection);
    free(client);
}

void client_declare(struct client *client, const char *queue, const char *type)
{
    amqp_table_entry_t entry = {.key = amqp_cstring_bytes("x-queue-type"),
                                .value = {.kind = AMQP_FIELD_KIND_UTF8}};
    amqp_table_t arguments = {.num_entries = 1, .entries = &entry};

    entry.value.value.bytes = amqp_cstring_bytes(type);
    amqp_queue_declare(client->connection, CHANNEL_LOOK, amqp_cstring_bytes(queue), false, true, false, false,
                       arguments);
    check(amqp_get_rpc_reply(client->connection), queue);
}

void client_declare_full(struct client *client, const char *queue)
{
    amqp_table_entry_t entries[] = {
        {.key = amqp_cstring_bytes("x-max-length"), .value = {.kind = AMQP_FIELD_KIND_I32, .value.i32 = 0}},
        {.key = amqp_cstring_bytes("x-overflow"),
         .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("reject-publish")}},
    };

    amqp_queue_declare(client->connection, CHANNEL_LOOK, amqp_cstring_bytes(queue), false, true, false, false,
                       (amqp_table_t){.num_entries = 2, .entries = entries});
    check(amqp_get_rpc_reply(client->connection), queue);
}

unsigned client_delete(struct client *client, const char *queue)
{
    amqp_queue_delete_ok_t *deleted =
        amqp_queue_delete(client->connection, CHANNEL_LOOK, amqp_cstring_bytes(queue), false, false);

    check(amqp_get_rpc_reply(client->connection), queue);
    return deleted->message_count;
}

void client_purge(struct client *client, const char *queue)
{
    amqp_queue_purge(client->connection, CHANNEL_LOOK, amqp_cstring_bytes(queue));
    check(amqp_get_rpc_reply(client->connection), queue);
}

static bool closed_as_missing(const amqp_rpc_reply_t *reply)
{
    return reply->reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
           reply->reply.id == AMQP_CHANNEL_CLOSE_METHOD &&
           ((amqp_channel_close_t *)reply->reply.decoded)->reply_code == AMQP_NOT_FOUND;
}

/* NULL when there is no such queue. */
static amqp_queue_declare_ok_t *look(struct client *client, const char *queue)
{
    amqp_queue_declare_ok_t *found =
        amqp_queue_declare(client->connection, CHANNEL_LOOK, amqp_cstring_bytes(queue), true, false, false,
                           false, amqp_empty_table);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(client->connection);

    if (!closed_as_missing(&reply)) {
        check(reply, queue);
        return found;
    }
    amqp_channel_close_ok_t confirmation = {0};
    amqp_send_method(client->connection, CHANNEL_LOOK, AMQP_CHANNEL_CLOSE_OK_METHOD, &confirmation);
    amqp_maybe_release_buffers_on_channel(client->connection, CHANNEL_LOOK);
    amqp_channel_open(client->connection, CHANNEL_LOOK);
    check(amqp_get_rpc_reply(client->connection), "channel.open after a missing queue");
    return NULL;
}

long client_ready(struct client *client, const char *queue)
{
    amqp_queue_declare_ok_t *found = look(client, queue);

    return found ? (long)found->message_count : -1;
}

long client_consumers(struct client *client, const char *queue)
{
    amqp_queue_declare_ok_t *found = look(client, queue);

    return found ? (long)found->consumer_count : -1;
}

/* The next basic.ack on CHANNEL_PUBLISH; whatever else comes fails the test, a basic.return too. */
static amqp_basic_ack_t next_confirm(struct client *client)
{
    struct timeval patience = {.tv_sec = (time_t)patience_stretched(30)};
    amqp_frame_t frame;
    int status = amqp_simple_wait_frame_noblock(client->connection, &frame, &patience);

    cr_assert_eq(status, AMQP_STATUS_OK, "test client: waiting for a confirm: %s",
                 amqp_error_string2(status));
    cr_assert(frame.channel == CHANNEL_PUBLISH && frame.frame_type == AMQP_FRAME_METHOD &&
                  frame.payload.method.id == AMQP_BASIC_ACK_METHOD,
              "test client: expected a confirm, found %s on channel %d",
              frame.frame_type == AMQP_FRAME_METHOD ? amqp_method_name(frame.payload.method.id) : "no method",
              frame.channel);
    return *(amqp_basic_ack_t *)frame.payload.method.decoded;
}

/* Waits until everything from delivery tag `first` on is confirmed, in whatever order that comes. */
static void await_confirms(struct client *client, uint64_t first)
{
    uint64_t missing = client->published - first + 1;
    bool *confirmed = calloc(missing, sizeof(*confirmed));

    while (missing > 0) {
        amqp_basic_ack_t ack = next_confirm(client);
        for (uint64_t tag = ack.multiple ? first : ack.delivery_tag; tag <= ack.delivery_tag; tag++) {
            missing -= !confirmed[tag - first];
            confirmed[tag - first] = true;
        }
    }
    free(confirmed);
    amqp_maybe_release_buffers(client->connection);
}

static void publish(struct client *client, const char *exchange, const char *routing_key,
                    const amqp_basic_properties_t *properties, amqp_bytes_t body)
{
    int status = amqp_basic_publish(client->connection, CHANNEL_PUBLISH, amqp_cstring_bytes(exchange),
                                    amqp_cstring_bytes(routing_key), true, false, properties, body);

    cr_assert_eq(status, AMQP_STATUS_OK, "test client: basic.publish: %s", amqp_error_string2(status));
    client->published++;
}

void client_publish(struct client *client, const char *exchange, const char *routing_key,
                    const amqp_basic_properties_t *properties, amqp_bytes_t body)
{
    publish(client, exchange, routing_key, properties, body);
    await_confirms(client, client->published);
}

void client_publish_ahead(struct client *client, const char *exchange, const char *routing_key,
                          const amqp_basic_properties_t *properties, amqp_bytes_t body)
{
    publish(client, exchange, routing_key, properties, body);
    client->ahead = client->ahead ? client->ahead : client->published;
}

void client_await_confirms(struct client *client)
{
    if (client->ahead) {
        await_confirms(client, client->ahead);
    }
    client->ahead = 0;
}

static amqp_basic_properties_t persistent(const char *id)
{
    return (amqp_basic_properties_t){
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG,
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .message_id = amqp_cstring_bytes(id),
    };
}

void client_send(struct client *client, const char *queue, const char *id, const char *body)
{
    amqp_basic_properties_t properties = persistent(id);

    client_publish(client, "", queue, &properties, amqp_cstring_bytes(body));
}

void client_send_many(struct client *client, const char *queue, unsigned count)
{
    client_send_numbered(client, queue, 0, count, 0);
}

void client_send_numbered(struct client *client, const char *queue, unsigned first, unsigned count,
                          size_t size)
{
    uint64_t first_tag = client->published + 1;
    char id[16];
    char *body = malloc(size + sizeof(id));

    for (unsigned i = first; i < first + count; i++) {
        size_t length = (size_t)snprintf(id, sizeof(id), "%u", i);
        amqp_basic_properties_t properties = persistent(id);
        memset(body, '.', size + sizeof(id));
        memcpy(body, id, length);
        publish(client, "", queue, &properties,
                (amqp_bytes_t){.len = size > length ? size : length, .bytes = body});
    }
    free(body);
    await_confirms(client, first_tag);
}

void client_send_copies(struct client *client, const char *queue, unsigned count, const char *body)
{
    uint64_t first_tag = client->published + 1;
    char id[16];

    for (unsigned i = 0; i < count; i++) {
        snprintf(id, sizeof(id), "%u", i);
        amqp_basic_properties_t properties = persistent(id);
        publish(client, "", queue, &properties, amqp_cstring_bytes(body));
    }
    await_confirms(client, first_tag);
}

struct client_message *client_get(struct client *client, const char *queue)
{
    amqp_rpc_reply_t reply =
        amqp_basic_get(client->connection, CHANNEL_LOOK, amqp_cstring_bytes(queue), true);
    struct client_message *message;

    check(reply, "basic.get");
    if (reply.reply.id == AMQP_BASIC_GET_EMPTY_METHOD) {
        return NULL;
    }
    message = calloc(1, sizeof(*message));
    message->redelivered = ((amqp_basic_get_ok_t *)reply.reply.decoded)->redelivered;
    check(amqp_read_message(client->connection, CHANNEL_LOOK, &message->content, 0), "reading a message");
    return message;
}

struct client_message *client_call(struct client *client, const char *queue, const char *body, double seconds)
{
    amqp_bytes_t replies = amqp_cstring_bytes("amq.rabbitmq.reply-to");
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_REPLY_TO_FLAG | AMQP_BASIC_CORRELATION_ID_FLAG,
                                          .reply_to = replies,
                                          .correlation_id = amqp_cstring_bytes("call")};
    struct timeval limit = {.tv_sec = (time_t)patience_stretched(seconds)};
    amqp_envelope_t envelope;

    amqp_channel_open(client->connection, CHANNEL_CALL);
    check(amqp_get_rpc_reply(client->connection), "channel.open");
    amqp_basic_consume(client->connection, CHANNEL_CALL, replies, amqp_empty_bytes, false, true, false,
                       amqp_empty_table);
    check(amqp_get_rpc_reply(client->connection), "basic.consume");
    amqp_basic_publish(client->connection, CHANNEL_CALL, amqp_empty_bytes, amqp_cstring_bytes(queue), true,
                       false, &properties, amqp_cstring_bytes(body));
    check(amqp_consume_message(client->connection, &envelope, &limit, 0), "awaiting the answer");
    struct client_message *message = calloc(1, sizeof(*message));
    message->content = envelope.message;
    amqp_bytes_free(envelope.routing_key);
    amqp_bytes_free(envelope.exchange);
    amqp_bytes_free(envelope.consumer_tag);
    return message;
}

void client_message_destroy(struct client_message *message)
{
    amqp_destroy_message(&message->content);
    free(message);
}

const amqp_field_value_t *client_header(const struct client_message *message, const char *name)
{
    const amqp_table_t *headers = &message->content.properties.headers;

    if (!(message->content.properties._flags & AMQP_BASIC_HEADERS_FLAG)) {
        return NULL;
    }
    for (int i = 0; i < headers->num_entries; i++) {
        const amqp_bytes_t *key = &headers->entries[i].key;
        if (key->len == strlen(name) && memcmp(key->bytes, name, key->len) == 0) {
            return &headers->entries[i].value;
        }
    }
    return NULL;
}

char *client_header_text(const struct client_message *message, const char *name)
{
    const amqp_field_value_t *value = client_header(message, name);
    char *text = NULL;
    int length;

    if (!value) {
        return strdup("(absent)");
    }
    switch (value->kind) {
    case AMQP_FIELD_KIND_UTF8:
        length = asprintf(&text, "%.*s", (int)value->value.bytes.len, (char *)value->value.bytes.bytes);
        break;
    case AMQP_FIELD_KIND_I64: length = asprintf(&text, "%lld", (long long)value->value.i64); break;
    case AMQP_FIELD_KIND_I32: length = asprintf(&text, "%d", value->value.i32); break;
    case AMQP_FIELD_KIND_I16: length = asprintf(&text, "%d", value->value.i16); break;
    case AMQP_FIELD_KIND_I8: length = asprintf(&text, "%d", value->value.i8); break;
    default: length = asprintf(&text, "(type %c)", value->kind); break;
    }
    cr_assert_geq(length, 0, "out of memory");
    return text;
}
