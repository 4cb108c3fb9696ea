#include "session.h"

#include "../measure.h"

enum {
    PROTOCOL_HEADER = 8,
    LARGEST_REPLY = 700, /* more than any of them takes */
};

void session_init(struct session *session, struct stream *stream)
{
    session->stream = stream;
    session->greeted = session->consuming = session->closing = false;
    session->published = session->body_left = 0;
    session->filled = session->reply_length = 0;
}

static struct writer frame_in_replies(struct session *session, unsigned type, unsigned channel)
{
    struct writer writer = {.at = session->replies + session->reply_length};
    if (session->reply_length > REPLIES_SIZE - LARGEST_REPLY)
        fail("the client asks much and reads nothing");
    frame_begin(&writer, type, channel);
    return writer;
}

static struct writer reply_begin(struct session *session, unsigned channel, unsigned class, unsigned method)
{
    struct writer writer = frame_in_replies(session, FRAME_METHOD, channel);
    put_number(&writer, class, 2);
    put_number(&writer, method, 2);
    return writer;
}

static void reply_end(struct session *session, struct writer *writer)
{
    frame_end(writer);
    session->reply_length = (size_t)(writer->at - session->replies);
}

static void reply_plain(struct session *session, unsigned channel, unsigned class, unsigned method)
{
    struct writer writer = reply_begin(session, channel, class, method);
    reply_end(session, &writer);
}

void session_beat(struct session *session)
{
    struct writer writer = frame_in_replies(session, FRAME_HEARTBEAT, 0);
    reply_end(session, &writer);
}

static void put_flag(struct writer *writer, const char *name)
{
    put_short_string(writer, name);
    put_bytes(writer, "t\1", 2);
}

static void greet(struct session *session)
{
    struct writer writer = reply_begin(session, 0, 10, 10);
    put_bytes(&writer, "\0\t", 2); /* version 0-9 */
    unsigned char *properties = writer.at;
    put_number(&writer, 0, 4);
    put_short_string(&writer, "product");
    put_bytes(&writer, "S", 1);
    put_long_string(&writer, "scripted_broker");
    put_short_string(&writer, "capabilities");
    put_bytes(&writer, "F", 1);
    unsigned char *capabilities = writer.at;
    put_number(&writer, 0, 4);
    put_flag(&writer, "publisher_confirms");
    put_flag(&writer, "basic.nack");
    put_flag(&writer, "consumer_cancel_notify");
    put_flag(&writer, "connection.blocked");
    put_flag(&writer, "authentication_failure_close");
    put_flag(&writer, "per_consumer_qos");
    struct writer size = {.at = capabilities};
    put_number(&size, (uint64_t)(writer.at - capabilities - 4), 4);
    size.at = properties;
    put_number(&size, (uint64_t)(writer.at - properties - 4), 4);
    put_long_string(&writer, "PLAIN AMQPLAIN");
    put_long_string(&writer, "en_US");
    reply_end(session, &writer);
    session->greeted = true;
}

static void answer_connection(struct session *session, unsigned method)
{
    struct writer writer;
    switch (method) {
    case 11: /* start-ok */
        writer = reply_begin(session, 0, 10, 30);
        put_number(&writer, 2047, 2);
        put_number(&writer, FRAME_MAX, 4);
        put_number(&writer, HEARTBEAT, 2);
        reply_end(session, &writer);
        break;
    case 31: /* tune-ok */ break;
    case 40: /* open */
        writer = reply_begin(session, 0, 10, 41);
        put_short_string(&writer, "");
        reply_end(session, &writer);
        break;
    case 50: /* close */
        reply_plain(session, 0, 10, 51);
        session->closing = true;
        break;
    default: fail("connection method %u is not spoken here", method);
    }
}

static void answer_channel(struct session *session, unsigned channel, unsigned method)
{
    struct writer writer;
    switch (method) {
    case 10: /* open */
        writer = reply_begin(session, channel, 20, 11);
        put_number(&writer, 0, 4);
        reply_end(session, &writer);
        break;
    case 40: /* close */ reply_plain(session, channel, 20, 41); break;
    default: fail("channel method %u is not spoken here", method);
    }
}

static void answer_queue(struct session *session, unsigned channel, unsigned method, struct reader *reader)
{
    char queue[NAME_SIZE];
    struct writer writer;
    switch (method) {
    case 10: /* declare, passive or not: every queue is there */
        take_number(reader, 2);
        take_short_string(reader, queue);
        writer = reply_begin(session, channel, 50, 11);
        put_short_string(&writer, queue);
        put_number(&writer, session->stream->count, 4);
        put_number(&writer, 0, 4);
        reply_end(session, &writer);
        break;
    case 20: /* bind */ reply_plain(session, channel, 50, 21); break;
    default: fail("queue method %u is not spoken here", method);
    }
}

static void answer_consume(struct session *session, unsigned channel, struct reader *reader)
{
    char queue[NAME_SIZE], tag[NAME_SIZE];
    take_number(reader, 2);
    take_short_string(reader, queue);
    take_short_string(reader, tag);
    if (tag[0] == '\0')
        strcpy(tag, "amq.ctag-scripted-broker");
    if (take_number(reader, 1) & 0x0A)
        fail("no-ack and no-wait are not spoken here");
    if (session->stream->subscribed > 0)
        fail("there is a consumer already");
    struct writer writer = reply_begin(session, channel, 60, 21);
    put_short_string(&writer, tag);
    reply_end(session, &writer);
    session->consuming = true;
    stream_begin(session->stream, channel, tag, queue);
}

static void answer_cancel(struct session *session, unsigned channel, struct reader *reader)
{
    char tag[NAME_SIZE];
    take_short_string(reader, tag);
    struct writer writer = reply_begin(session, channel, 60, 31);
    put_short_string(&writer, tag);
    reply_end(session, &writer);
    session->stream->count = session->stream->delivered;
}

static void answer_basic(struct session *session, unsigned channel, unsigned method, struct reader *reader)
{
    struct stream *stream = session->stream;
    uint64_t tag;
    switch (method) {
    case 10: /* qos */
        take_number(reader, 4);
        stream->prefetch = take_number(reader, 2);
        reply_plain(session, channel, 60, 11);
        break;
    case 20: /* consume */ answer_consume(session, channel, reader); break;
    case 30: /* cancel */ answer_cancel(session, channel, reader); break;
    case 40: /* publish: its confirm follows the body */ break;
    case 80: /* ack */
        tag = take_number(reader, 8);
        stream->acks++;
        stream_settle(stream, tag, take_number(reader, 1) & 1);
        break;
    case 90:  /* reject */
    case 120: /* nack */
        tag = take_number(reader, 8);
        stream->returned -= stream->settled;
        stream_settle(stream, tag, method == 120 && (take_number(reader, 1) & 1));
        stream->returned += stream->settled;
        break;
    default: fail("basic method %u is not spoken here", method);
    }
}

static void answer_method(struct session *session, unsigned channel, struct reader *reader)
{
    unsigned class = (unsigned)take_number(reader, 2), method = (unsigned)take_number(reader, 2);
    switch (class) {
    case 10: answer_connection(session, method); break;
    case 20: answer_channel(session, channel, method); break;
    case 50: answer_queue(session, channel, method, reader); break;
    case 60: answer_basic(session, channel, method, reader); break;
    case 85: /* confirm.select */ reply_plain(session, channel, 85, 11); break;
    default: fail("method %u.%u is not spoken here", class, method);
    }
}

/* Confirms a publishing once the last byte of its body is there. */
static void answer_content(struct session *session, unsigned channel, unsigned type, struct reader *reader)
{
    if (type == FRAME_HEADER) {
        take_number(reader, 4);
        session->body_left = take_number(reader, 8);
    } else {
        session->body_left -= (uint64_t)(reader->end - reader->at);
    }
    if (session->body_left > 0)
        return;
    struct writer writer = reply_begin(session, channel, 60, 80);
    put_number(&writer, ++session->published, 8);
    put_number(&writer, 0, 1);
    reply_end(session, &writer);
}

static void answer_frame(struct session *session, const unsigned char *frame, size_t payload)
{
    unsigned channel = (unsigned)(frame[1] << 8 | frame[2]);
    struct reader reader = {.at = frame + 7, .end = frame + 7 + payload};
    if (*reader.end != FRAME_END)
        fail("a frame of type %u does not end where it should", frame[0]);
    if (frame[0] == FRAME_METHOD)
        answer_method(session, channel, &reader);
    else if (frame[0] == FRAME_HEADER || frame[0] == FRAME_BODY)
        answer_content(session, channel, frame[0], &reader);
    else if (frame[0] != FRAME_HEARTBEAT)
        fail("frame type %u is not spoken here", frame[0]);
}

void session_answer(struct session *session)
{
    size_t at = 0;
    if (!session->greeted && session->filled >= PROTOCOL_HEADER) {
        if (memcmp(session->input, "AMQP\0\0\t\1", PROTOCOL_HEADER) != 0)
            fail("the protocol header is not that of AMQP 0-9-1");
        greet(session);
        at = PROTOCOL_HEADER;
    }
    while (session->greeted && session->filled - at >= FRAME_OVERHEAD) {
        struct reader size = {.at = session->input + at + 3, .end = session->input + at + 7};
        size_t payload = take_number(&size, 4);
        if (payload > FRAME_MAX - FRAME_OVERHEAD)
            fail("a frame announces %zu bytes", payload);
        if (session->filled - at < payload + FRAME_OVERHEAD)
            break;
        answer_frame(session, session->input + at, payload);
        at += payload + FRAME_OVERHEAD;
    }
    memmove(session->input, session->input + at, session->filled - at);
    session->filled -= at;
}
