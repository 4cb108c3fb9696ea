#include "events.h"
#include "status.h"
#include <base/memory.h>
#include <poll.h>
#include <string.h>

static const double STATUS_SECONDS = 1;

enum {
    BLOCK_SIZE = 16 * 1024,
    MOST_TASKS = 100 /* of those in flight: for people, each second */
};

/* One client. Its connection is suspended whenever all it is to get was taken. */
struct stream {
    struct list link;
    struct events *events;
    struct MHD_Connection *connection;
    struct buffer pending;
    bool suspended;
    bool ended;
};

void events_init(struct events *events, struct stats *stats, const struct history *history,
                 const char *commit)
{
    *events = (struct events){.stats = stats, .history = history, .commit = commit};
    list_init(&events->streams);
    text_init(&events->ready);
}

void events_destroy(struct events *events)
{
    text_destroy(&events->ready);
}

/* --- Writing --------------------------------------------------------------------------------------------*/

static void put_event(struct text *frame, const char *name, const struct text *data)
{
    text_put(frame, "event: ");
    text_put(frame, name);
    text_put(frame, "\ndata: ");
    if (!buffer_append(&frame->buffer, buffer_begin(&data->buffer), buffer_length(&data->buffer)))
        frame->failed = true;
    text_put(frame, "\n\n");
    frame->failed |= data->failed;
}

static void put_status(struct events *events, struct text *frame)
{
    struct text status;
    text_init(&status);
    status_write(&status, events->stats, events->commit, MOST_TASKS);
    put_event(frame, "status", &status);
    text_destroy(&status);
}

static void put_history(struct events *events, struct text *frame)
{
    struct text history;
    text_init(&history);
    history_write(&history, events->history);
    put_event(frame, "history", &history);
    text_destroy(&history);
}

static bool same_text(const struct text *a, const struct text *b)
{
    size_t length = buffer_length(&a->buffer);
    return length == buffer_length(&b->buffer) &&
           (length == 0 || memcmp(buffer_begin(&a->buffer), buffer_begin(&b->buffer), length) == 0);
}

static void put_change(struct events *events, struct text *frame)
{
    struct text ready;
    text_init(&ready);
    status_write_ready(&ready, events->stats);
    if (!ready.failed && !same_text(&ready, &events->ready)) {
        bool is_first = buffer_length(&events->ready.buffer) == 0;
        text_destroy(&events->ready);
        events->ready = ready;
        if (!is_first)
            put_event(frame, "change", &ready);
        return;
    }
    text_destroy(&ready);
}

/* --- Streams --------------------------------------------------------------------------------------------*/

static void stream_resume(struct stream *stream)
{
    if (!stream->suspended)
        return;
    stream->suspended = false;
    MHD_resume_connection(stream->connection);
}

/* Whoever has not taken the last one yet goes without this one. */
static void stream_tell(struct stream *stream, const struct text *frame)
{
    if (buffer_length(&stream->pending) > 0)
        return;
    if (buffer_append(&stream->pending, buffer_begin(&frame->buffer), buffer_length(&frame->buffer)))
        stream_resume(stream);
}

static ssize_t stream_read(void *owner, uint64_t position, char *data, size_t size)
{
    struct stream *stream = owner;
    size_t length = buffer_length(&stream->pending);
    (void)position;
    if (stream->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (length == 0) {
        stream->suspended = true;
        MHD_suspend_connection(stream->connection);
        return 0;
    }
    size_t taken = length < size ? length : size;
    memcpy(data, buffer_begin(&stream->pending), taken);
    buffer_consume(&stream->pending, taken);
    return (ssize_t)taken;
}

static void stream_destroy(void *owner)
{
    struct stream *stream = owner;
    list_remove(&stream->link);
    buffer_destroy(&stream->pending);
    memory_free(stream);
}

/* While its connection is suspended, the HTTP library does not see it go. */
static bool has_gone(const struct stream *stream)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(stream->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd polled = {.fd = info->connect_fd, .events = POLLRDHUP};
    return poll(&polled, 1, 0) > 0;
}

static void stream_end(struct stream *stream)
{
    stream->ended = true;
    stream_resume(stream);
}

bool events_have_room(struct events *events)
{
    unsigned listening = 0;
    list_each (link, &events->streams) {
        struct stream *stream = list_entry(link, struct stream, link);
        if (!stream->ended && has_gone(stream))
            stream_end(stream);
        listening += !stream->ended;
    }
    return listening < EVENTS_MOST_STREAMS;
}

struct MHD_Response *events_answer(struct events *events, struct MHD_Connection *connection)
{
    struct text frame;
    struct stream *stream = memory_allocate_zeroed(sizeof *stream);
    if (stream == NULL)
        return NULL;
    stream->events = events;
    stream->connection = connection;
    stream->ended = events->ending;
    buffer_init(&stream->pending);
    if (list_empty(&events->streams))
        buffer_clear(&events->ready.buffer); /* nobody was there to hear of changes */
    list_append(&events->streams, &stream->link);
    text_init(&frame);
    put_status(events, &frame);
    put_history(events, &frame);
    if (!frame.failed)
        stream_tell(stream, &frame);
    text_destroy(&frame);
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, stream_read, stream, stream_destroy);
    if (response == NULL) {
        stream_destroy(stream);
        return NULL;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
    return response;
}

void events_tick(struct events *events, double now, bool stepped)
{
    struct text frame;
    if (list_empty(&events->streams))
        return;
    text_init(&frame);
    put_change(events, &frame);
    if (now >= events->next_status) {
        events->next_status = now + STATUS_SECONDS;
        put_status(events, &frame);
    }
    if (stepped)
        put_history(events, &frame);
    if (!frame.failed && buffer_length(&frame.buffer) > 0) {
        list_each (link, &events->streams)
            stream_tell(list_entry(link, struct stream, link), &frame);
    }
    text_destroy(&frame);
}

void events_end(struct events *events)
{
    events->ending = true;
    list_each (link, &events->streams)
        stream_end(list_entry(link, struct stream, link));
}
