/* Frames and methods: our framing around rabbitmq-c's method codec. */
#ifndef AMQP_CODEC_H
#define AMQP_CODEC_H

#include "rabbitmq.h"
#include <base/buffer.h>
#include <base/bytes.h>

enum {
    FRAME_HEADER_SIZE = 7,
    FRAME_END_SIZE = 1,
    FRAME_END = 0xCE
};

enum frame_type {
    FRAME_METHOD = 1,
    FRAME_CONTENT_HEADER = 2,
    FRAME_BODY = 3,
    FRAME_HEARTBEAT = 8
};

struct codec {
    amqp_pool_t pool;      /* what was decoded last lives here, until the next codec_decode */
    struct buffer scratch; /* an encoded table that is being decoded */
};

void codec_init(struct codec *codec);
void codec_destroy(struct codec *codec);

/* A method's arguments → the struct of rabbitmq-c for that method, valid until the next call. 0, MEMORY, or
 * INVALID. */
int codec_decode(struct codec *codec, uint32_t method, whippet_bytes arguments, void **decoded);

/* Encoded entries → rabbitmq-c's table, valid until the next call of either. 0, MEMORY, or INVALID. */
int codec_decode_table(struct codec *codec, whippet_bytes entries, amqp_table_t *table);

/* Appends one method frame. 0; MEMORY; LIMIT when it does not fit `frame_max`. */
int codec_write_method(struct buffer *out, uint16_t channel, uint32_t method, void *decoded,
                       size_t frame_max);

/* Appends one frame whose payload is head followed by body (either may be empty). False when memory is short.
 */
bool codec_write_frame(struct buffer *out, enum frame_type type, uint16_t channel, whippet_bytes head,
                       whippet_bytes body);

#endif
