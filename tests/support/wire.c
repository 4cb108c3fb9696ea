#include "wire.h"
#include <stdlib.h>
#include <string.h>

void wire_destroy(struct wire *wire)
{
    free(wire->data);
    *wire = (struct wire){0};
}

void wire_clear(struct wire *wire)
{
    wire->length = 0;
}

static uint8_t *wire_room(struct wire *wire, size_t size)
{
    if (wire->capacity - wire->length < size) {
        wire->capacity = 2 * wire->capacity + size + 64;
        wire->data = realloc(wire->data, wire->capacity);
        if (wire->data == NULL)
            abort();
    }
    wire->length += size;
    return wire->data + wire->length - size;
}

void wire_raw(struct wire *wire, const void *data, size_t size)
{
    if (size > 0)
        memcpy(wire_room(wire, size), data, size);
}

void wire_octet(struct wire *wire, unsigned value)
{
    *wire_room(wire, 1) = (uint8_t)value;
}

void wire_short(struct wire *wire, unsigned value)
{
    wire_octet(wire, value >> 8);
    wire_octet(wire, value);
}

void wire_long(struct wire *wire, uint32_t value)
{
    wire_short(wire, value >> 16);
    wire_short(wire, value & 0xFFFF);
}

void wire_longlong(struct wire *wire, uint64_t value)
{
    wire_long(wire, (uint32_t)(value >> 32));
    wire_long(wire, (uint32_t)value);
}

void wire_fill(struct wire *wire, unsigned octet, size_t count)
{
    if (count > 0)
        memset(wire_room(wire, count), (int)octet, count);
}

void wire_short_text(struct wire *wire, const char *text)
{
    size_t length = strlen(text);
    if (length > 255)
        abort();
    wire_octet(wire, (unsigned)length);
    wire_raw(wire, text, length);
}

void wire_long_text(struct wire *wire, const char *text)
{
    wire_long(wire, (uint32_t)strlen(text));
    wire_raw(wire, text, strlen(text));
}

size_t wire_begin_long(struct wire *wire)
{
    wire_long(wire, 0);
    return wire->length;
}

static void patch_long(struct wire *wire, size_t at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        wire->data[at + (size_t)i] = (uint8_t)(value >> (24 - 8 * i));
}

void wire_end_long(struct wire *wire, size_t begun)
{
    patch_long(wire, begun - 4, (uint32_t)(wire->length - begun));
}

void wire_entry(struct wire *wire, const char *name, char type)
{
    if (name != NULL)
        wire_short_text(wire, name);
    wire_octet(wire, (unsigned char)type);
}

void wire_entry_text(struct wire *wire, const char *name, const char *text)
{
    wire_entry(wire, name, 'S');
    wire_long_text(wire, text);
}

void wire_entry_boolean(struct wire *wire, const char *name, bool value)
{
    wire_entry(wire, name, 't');
    wire_octet(wire, value);
}

/* Each level holds one entry, whose value is the next level; the last one is empty. Every length is known
 * beforehand, so they are written from the outside in. Names are empty, which makes 21,000 levels fit a
 * frame. */
static void wire_nested(struct wire *wire, size_t levels, char type)
{
    size_t entry_size = type == 'F' ? 6 : 5;
    for (size_t level = 1; level < levels; level++) {
        /* Only the outermost level of nested arrays is a table, whose entry has a name. */
        wire_entry(wire, type == 'F' || level == 1 ? "" : NULL, type);
        wire_long(wire, (uint32_t)((levels - level - 1) * entry_size));
    }
}

void wire_nested_tables(struct wire *wire, size_t levels)
{
    wire_nested(wire, levels, 'F');
}

void wire_nested_arrays(struct wire *wire, size_t levels)
{
    wire_nested(wire, levels, 'A');
}

void wire_frame(struct wire *wire, unsigned type, unsigned channel, const void *payload, size_t size)
{
    wire_octet(wire, type);
    wire_short(wire, channel);
    wire_long(wire, (uint32_t)size);
    wire_raw(wire, payload, size);
    wire_octet(wire, WIRE_FRAME_END);
}

void wire_method(struct wire *wire, unsigned channel, amqp_method_number_t id, const void *decoded)
{
    static uint8_t arguments[262144];
    union {
        const void *borrowed;
        void *encoder_wants;
    } cast = {.borrowed = decoded};
    int size = amqp_encode_method(id, cast.encoder_wants,
                                  (amqp_bytes_t){.len = sizeof arguments, .bytes = arguments});
    if (size < 0)
        abort();
    struct wire payload = {0};
    wire_long(&payload, id);
    wire_raw(&payload, arguments, (size_t)size);
    wire_frame(wire, WIRE_METHOD, channel, payload.data, payload.length);
    wire_destroy(&payload);
}

void wire_header(struct wire *wire, unsigned channel, uint64_t body_size, const void *properties, size_t size)
{
    struct wire payload = {0};
    wire_short(&payload, WIRE_BASIC_CLASS);
    wire_short(&payload, 0);
    wire_longlong(&payload, body_size);
    if (size > 0)
        wire_raw(&payload, properties, size);
    else
        wire_short(&payload, 0);
    wire_frame(wire, WIRE_HEADER, channel, payload.data, payload.length);
    wire_destroy(&payload);
}

void wire_body(struct wire *wire, unsigned channel, const void *data, size_t size)
{
    wire_frame(wire, WIRE_BODY, channel, data, size);
}

void wire_heartbeat(struct wire *wire)
{
    wire_frame(wire, WIRE_HEARTBEAT, 0, NULL, 0);
}

void wire_properties_with_headers(struct wire *wire, const struct wire *entries)
{
    wire_short(wire, 0x2000);
    wire_long(wire, (uint32_t)entries->length);
    wire_raw(wire, entries->data, entries->length);
}

void wire_start(struct wire *wire, const char *mechanisms)
{
    struct wire payload = {0};
    wire_long(&payload, AMQP_CONNECTION_START_METHOD);
    wire_octet(&payload, 0);
    wire_octet(&payload, 9);
    size_t properties = wire_begin_long(&payload);
    wire_entry(&payload, "capabilities", 'F');
    size_t capabilities = wire_begin_long(&payload);
    wire_entry_boolean(&payload, "publisher_confirms", true);
    wire_entry_boolean(&payload, "basic.nack", true);
    wire_end_long(&payload, capabilities);
    wire_entry_text(&payload, "cluster_name", "rabbit@test");
    wire_entry_text(&payload, "product", "RabbitMQ");
    wire_entry_text(&payload, "version", "3.10.8");
    wire_end_long(&payload, properties);
    wire_long_text(&payload, mechanisms);
    wire_long_text(&payload, "en_US");
    wire_frame(wire, WIRE_METHOD, 0, payload.data, payload.length);
    wire_destroy(&payload);
}

void wire_tune(struct wire *wire, unsigned channel_max, uint32_t frame_max, unsigned heartbeat)
{
    amqp_connection_tune_t tune = {
        .channel_max = (uint16_t)channel_max, .frame_max = frame_max, .heartbeat = (uint16_t)heartbeat};
    wire_method(wire, 0, AMQP_CONNECTION_TUNE_METHOD, &tune);
}

void wire_open_ok(struct wire *wire)
{
    amqp_connection_open_ok_t open_ok = {.known_hosts = amqp_empty_bytes};
    wire_method(wire, 0, AMQP_CONNECTION_OPEN_OK_METHOD, &open_ok);
}

void wire_connection_close(struct wire *wire, unsigned code, const char *text)
{
    amqp_connection_close_t close = {.reply_code = (uint16_t)code, .reply_text = amqp_cstring_bytes(text)};
    wire_method(wire, 0, AMQP_CONNECTION_CLOSE_METHOD, &close);
}

void wire_connection_close_ok(struct wire *wire)
{
    amqp_connection_close_ok_t close_ok = {0};
    wire_method(wire, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &close_ok);
}

void wire_channel_open_ok(struct wire *wire, unsigned channel)
{
    amqp_channel_open_ok_t open_ok = {.channel_id = amqp_empty_bytes};
    wire_method(wire, channel, AMQP_CHANNEL_OPEN_OK_METHOD, &open_ok);
}

void wire_channel_close(struct wire *wire, unsigned channel, unsigned code, const char *text)
{
    amqp_channel_close_t close = {.reply_code = (uint16_t)code, .reply_text = amqp_cstring_bytes(text)};
    wire_method(wire, channel, AMQP_CHANNEL_CLOSE_METHOD, &close);
}

void wire_channel_close_ok(struct wire *wire, unsigned channel)
{
    amqp_channel_close_ok_t close_ok = {0};
    wire_method(wire, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &close_ok);
}

void wire_declare_ok(struct wire *wire, unsigned channel, const char *queue, uint32_t messages,
                     uint32_t consumers)
{
    amqp_queue_declare_ok_t declare_ok = {
        .queue = amqp_cstring_bytes(queue), .message_count = messages, .consumer_count = consumers};
    wire_method(wire, channel, AMQP_QUEUE_DECLARE_OK_METHOD, &declare_ok);
}

void wire_consume_ok(struct wire *wire, unsigned channel, const char *consumer_tag)
{
    amqp_basic_consume_ok_t consume_ok = {.consumer_tag = amqp_cstring_bytes(consumer_tag)};
    wire_method(wire, channel, AMQP_BASIC_CONSUME_OK_METHOD, &consume_ok);
}

void wire_cancel(struct wire *wire, unsigned channel, const char *consumer_tag, bool nowait)
{
    amqp_basic_cancel_t cancel = {.consumer_tag = amqp_cstring_bytes(consumer_tag), .nowait = nowait};
    wire_method(wire, channel, AMQP_BASIC_CANCEL_METHOD, &cancel);
}

void wire_cancel_ok(struct wire *wire, unsigned channel, const char *consumer_tag)
{
    amqp_basic_cancel_ok_t cancel_ok = {.consumer_tag = amqp_cstring_bytes(consumer_tag)};
    wire_method(wire, channel, AMQP_BASIC_CANCEL_OK_METHOD, &cancel_ok);
}

void wire_ack(struct wire *wire, unsigned channel, uint64_t delivery_tag, bool multiple)
{
    amqp_basic_ack_t ack = {.delivery_tag = delivery_tag, .multiple = multiple};
    wire_method(wire, channel, AMQP_BASIC_ACK_METHOD, &ack);
}

void wire_nack(struct wire *wire, unsigned channel, uint64_t delivery_tag, bool multiple)
{
    amqp_basic_nack_t nack = {.delivery_tag = delivery_tag, .multiple = multiple};
    wire_method(wire, channel, AMQP_BASIC_NACK_METHOD, &nack);
}

void wire_deliver(struct wire *wire, unsigned channel, const char *consumer_tag, uint64_t delivery_tag)
{
    amqp_basic_deliver_t deliver = {.consumer_tag = amqp_cstring_bytes(consumer_tag),
                                    .delivery_tag = delivery_tag,
                                    .exchange = amqp_cstring_bytes("events"),
                                    .routing_key = amqp_cstring_bytes("order.new")};
    wire_method(wire, channel, AMQP_BASIC_DELIVER_METHOD, &deliver);
}

void wire_return(struct wire *wire, unsigned channel, const char *exchange, const char *routing_key)
{
    amqp_basic_return_t returned = {.reply_code = 312,
                                    .reply_text = amqp_cstring_bytes("NO_ROUTE"),
                                    .exchange = amqp_cstring_bytes(exchange),
                                    .routing_key = amqp_cstring_bytes(routing_key)};
    wire_method(wire, channel, AMQP_BASIC_RETURN_METHOD, &returned);
}

void wire_content(struct wire *wire, unsigned channel, const struct wire *properties, const void *body,
                  size_t size, uint32_t frame_max)
{
    wire_header(wire, channel, size, properties != NULL ? properties->data : NULL,
                properties != NULL ? properties->length : 0);
    const uint8_t *rest = body;
    while (size > 0) {
        size_t part = size < frame_max - WIRE_FRAME_OVERHEAD ? size : frame_max - WIRE_FRAME_OVERHEAD;
        wire_body(wire, channel, rest, part);
        rest += part;
        size -= part;
    }
}
