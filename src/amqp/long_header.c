/* A content header that does not fit a frame. RabbitMQ cuts only bodies into frames, and sends a header in
 * one, however long it is (rabbit_binary_generator.erl, build_simple_content_frames). Such ones come of
 * publishers with a larger frame_max, of the management API and of other protocols; and of the broker itself,
 * which adds x-delivery-count and x-death to what just fitted. It is put together here as its bytes come; of
 * one that is too long to be held only the beginning is kept. */
#include "session_internal.h"

/* Stand in for the properties that are not held: persistent, as the copy in the dead-letter queue is to be.
 */
static const uint8_t PROPERTIES_INSTEAD[] = {0x80 >> PROPERTY_DELIVERY_MODE, 0, DELIVERY_MODE_PERSISTENT};

/* Bytes. What brings as many is no heartbeat that is taken for a part of it: session.c gives such up. */
enum {
    PROGRESS = 1 << 20
};

static bool is_held(const struct long_header *header)
{
    return header->length <= SESSION_HEADER_HELD;
}

static void keep(struct session *session, const uint8_t *data, size_t size)
{
    struct long_header *header = &session->long_header;
    size_t room = (is_held(header) ? header->length : CONTENT_HEADER_SIZE) - buffer_length(&header->held);
    if (!buffer_append(&header->held, data, size < room ? size : room))
        session_out_of_memory(session);
}

static void complete(struct session *session, uint8_t end)
{
    struct long_header *header = &session->long_header;
    if (!is_held(header) && !buffer_append(&header->held, PROPERTIES_INSTEAD, sizeof PROPERTIES_INSTEAD))
        session_out_of_memory(session);
    else if (session_frame_ends(session, header->channel, end))
        session_long_header(session, header->channel,
                            bytes_of(buffer_begin(&header->held), buffer_length(&header->held)),
                            header->length);
    buffer_destroy(&header->held);
}

size_t long_header_take(struct session *session, const uint8_t *data, size_t size)
{
    struct long_header *header = &session->long_header;
    size_t taken = size < header->owed ? size : header->owed;
    size_t owed = header->owed - taken;
    keep(session, data, taken);
    if (owed / PROGRESS != header->owed / PROGRESS)
        session->unfinished_since = session->now;
    header->owed = owed;
    if (owed == 0 && session->state != SESSION_CLOSED)
        complete(session, data[taken - 1]);
    return taken;
}

size_t long_header_begin(struct session *session, const uint8_t *frame, size_t available)
{
    struct long_header *header = &session->long_header;
    header->channel = read_u16(frame + 1);
    header->length = read_u32(frame + 3);
    header->owed = header->length + FRAME_END_SIZE;
    session->unfinished_since = session->now;
    return FRAME_HEADER_SIZE +
           long_header_take(session, frame + FRAME_HEADER_SIZE, available - FRAME_HEADER_SIZE);
}
