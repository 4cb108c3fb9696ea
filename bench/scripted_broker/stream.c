#include "stream.h"

#include "../measure.h"
#include "wire.h"

#include <endian.h>

enum {
    BATCH = 512,               /* deliveries in one write, at most */
    BATCH_BYTES = 1024 * 1024, /* and bytes, about */
    DELIVERY_OVERHEAD = 1024,  /* bytes around a body, at most: three names of 255 and three frames */
};

void stream_init(struct stream *stream, uint64_t count, size_t size)
{
    *stream = (struct stream){.count = count, .size = size};
}

void stream_destroy(struct stream *stream)
{
    free(stream->batch);
    free(stream->is_settled);
}

static void delivery_write(struct stream *stream, struct writer *writer, unsigned channel, const char *tag,
                           const char *queue)
{
    unsigned char *start = writer->at;
    frame_begin(writer, FRAME_METHOD, channel);
    put_number(writer, 60, 2);
    put_number(writer, 60, 2);
    put_short_string(writer, tag);
    stream->tag_offset = (size_t)(writer->at - start);
    put_number(writer, 0, 8); /* delivery tag: filled in for each write */
    put_number(writer, 0, 1); /* redelivered */
    put_short_string(writer, "");
    put_short_string(writer, queue);
    frame_end(writer);
    frame_begin(writer, FRAME_HEADER, channel);
    put_number(writer, 60, 2);
    put_number(writer, 0, 2);
    put_number(writer, stream->size, 8);
    put_number(writer, 0x1000, 2); /* delivery-mode alone: */
    put_number(writer, 1, 1);      /* transient */
    frame_end(writer);
    if (stream->size > 0) {
        frame_begin(writer, FRAME_BODY, channel);
        memset(writer->at, 'x', stream->size);
        writer->at += stream->size;
        frame_end(writer);
    }
    stream->delivery_size = (size_t)(writer->at - start);
}

void stream_begin(struct stream *stream, unsigned channel, const char *tag, const char *queue)
{
    size_t most = stream->size + DELIVERY_OVERHEAD;
    stream->batch_count = BATCH_BYTES / most > BATCH ? BATCH : BATCH_BYTES / most;
    stream->batch = malloc(stream->batch_count * most);
    stream->is_settled = calloc(stream->count + 1, sizeof *stream->is_settled);
    if (stream->batch == NULL || stream->is_settled == NULL)
        fail("out of memory");
    struct writer writer = {.at = stream->batch};
    for (size_t index = 0; index < stream->batch_count; index++)
        delivery_write(stream, &writer, channel, tag, queue);
    stream->subscribed = measure_now();
}

bool stream_prepare(struct stream *stream)
{
    uint64_t ready = stream->count - stream->delivered;
    uint64_t credit = stream->prefetch - (stream->delivered - stream->settled);
    if (stream->prefetch > 0 && ready > credit)
        ready = credit;
    if (ready > stream->batch_count)
        ready = stream->batch_count;
    for (uint64_t index = 0; index < ready; index++) {
        uint64_t tag = htobe64(++stream->delivered);
        memcpy(stream->batch + index * stream->delivery_size + stream->tag_offset, &tag, sizeof tag);
    }
    stream->pending = stream->pending_end = (size_t)ready * stream->delivery_size;
    return ready > 0;
}

static bool stream_knows(const struct stream *stream, uint64_t tag, bool multiple)
{
    return tag > stream->low && tag <= stream->delivered && (multiple || !stream->is_settled[tag]);
}

static void stream_settle_one(struct stream *stream, uint64_t tag)
{
    stream->is_settled[tag] = true;
    stream->ahead++;
    stream->settled++;
}

static void stream_settle_up_to(struct stream *stream, uint64_t tag)
{
    stream->settled += tag - stream->low;
    for (uint64_t each = stream->low + 1; each <= tag && stream->ahead > 0; each++) {
        if (stream->is_settled[each]) {
            stream->ahead--;
            stream->settled--;
        }
    }
    stream->low = tag;
    while (stream->ahead > 0 && stream->is_settled[stream->low + 1]) {
        stream->low++;
        stream->ahead--;
    }
}

void stream_settle(struct stream *stream, uint64_t tag, bool multiple)
{
    if (multiple && tag == 0)
        tag = stream->delivered;
    if (!stream_knows(stream, tag, multiple))
        fail("delivery tag %" PRIu64 " is unknown: 1 to %" PRIu64 " are delivered, 1 to %" PRIu64 " settled",
             tag, stream->delivered, stream->low);
    if (multiple || tag == stream->low + 1)
        stream_settle_up_to(stream, tag);
    else
        stream_settle_one(stream, tag);
    if (stream->settled == stream->count)
        stream->last = measure_now();
}
