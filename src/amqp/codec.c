#include "codec.h"
#include <base/failure.h>

/* The largest struct that a method decodes to is far smaller; tables take further pages. */
enum {
    POOL_PAGE_SIZE = 4096
};

/* Holds every method but those with long tables, which are tried again with all of a frame. */
enum {
    METHOD_SIZE_USUAL = 1024
};

void codec_init(struct codec *codec)
{
    init_amqp_pool(&codec->pool, POOL_PAGE_SIZE);
    buffer_init(&codec->scratch);
}

void codec_destroy(struct codec *codec)
{
    empty_amqp_pool(&codec->pool);
    buffer_destroy(&codec->scratch);
}

static int error_of_status(int status)
{
    return status == AMQP_STATUS_NO_MEMORY ? WHIPPET_E_MEMORY : WHIPPET_E_INVALID;
}

int codec_decode(struct codec *codec, uint32_t method, whippet_bytes arguments, void **decoded)
{
    recycle_amqp_pool(&codec->pool);
    int status = amqp_decode_method(method, &codec->pool, amqp_of(arguments), decoded);
    return status == AMQP_STATUS_OK ? 0 : error_of_status(status);
}

int codec_decode_table(struct codec *codec, whippet_bytes entries, amqp_table_t *table)
{
    uint8_t length[4];
    write_u32(length, (uint32_t)entries.len);
    buffer_clear(&codec->scratch);
    if (!buffer_append(&codec->scratch, length, sizeof length) ||
        !buffer_append(&codec->scratch, entries.data, entries.len))
        return WHIPPET_E_MEMORY;
    recycle_amqp_pool(&codec->pool);
    size_t offset = 0;
    amqp_bytes_t encoded = {.len = buffer_length(&codec->scratch), .bytes = buffer_begin(&codec->scratch)};
    int status = amqp_decode_table(encoded, &codec->pool, table, &offset);
    return status == AMQP_STATUS_OK ? 0 : error_of_status(status);
}

static void write_frame_header(uint8_t *at, enum frame_type type, uint16_t channel, size_t payload_size)
{
    at[0] = (uint8_t)type;
    write_u16(at + 1, channel);
    write_u32(at + 3, (uint32_t)payload_size);
}

int codec_write_method(struct buffer *out, uint16_t channel, uint32_t method, void *decoded, size_t frame_max)
{
    enum {
        METHOD_ID_SIZE = 4,
        AROUND = FRAME_HEADER_SIZE + METHOD_ID_SIZE + FRAME_END_SIZE
    };
    size_t room = METHOD_SIZE_USUAL;
    for (;;) {
        uint8_t *at = buffer_reserve(out, room);
        if (at == NULL)
            return WHIPPET_E_MEMORY;
        amqp_bytes_t arguments = {.len = room - AROUND, .bytes = at + FRAME_HEADER_SIZE + METHOD_ID_SIZE};
        int written = amqp_encode_method(method, decoded, arguments);
        if (written >= 0) {
            size_t payload = METHOD_ID_SIZE + (size_t)written;
            write_frame_header(at, FRAME_METHOD, channel, payload);
            write_u32(at + FRAME_HEADER_SIZE, method);
            at[FRAME_HEADER_SIZE + payload] = FRAME_END;
            buffer_commit(out, FRAME_HEADER_SIZE + payload + FRAME_END_SIZE);
            return 0;
        }
        if (room >= frame_max)
            return WHIPPET_E_LIMIT;
        room = frame_max;
    }
}

bool codec_write_frame(struct buffer *out, enum frame_type type, uint16_t channel, whippet_bytes head,
                       whippet_bytes body)
{
    size_t payload = head.len + body.len;
    uint8_t *at = buffer_reserve(out, FRAME_HEADER_SIZE + payload + FRAME_END_SIZE);
    if (at == NULL)
        return false;
    write_frame_header(at, type, channel, payload);
    if (head.len > 0)
        memcpy(at + FRAME_HEADER_SIZE, head.data, head.len);
    if (body.len > 0)
        memcpy(at + FRAME_HEADER_SIZE + head.len, body.data, body.len);
    at[FRAME_HEADER_SIZE + payload] = FRAME_END;
    buffer_commit(out, FRAME_HEADER_SIZE + payload + FRAME_END_SIZE);
    return true;
}
