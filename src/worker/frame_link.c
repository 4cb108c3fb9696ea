#include "frame_link.h"
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    READ_SIZE = 64 << 10,   /* at once, in bytes */
    OUT_LIMIT = 256 << 10,  /* beyond which the link is full */
    LENT_FROM = 64 << 10,   /* tails as large as this are lent rather than copied */
    KEPT = 256 << 10,       /* bytes of buffer that an empty one keeps */
    LARGEST_STEP = 4 << 20, /* what is made room for at once when a large frame comes in */
};

/* --- The end --------------------------------------------------------------------------------------------*/

static void end(struct frame_link *link, int error)
{
    if (!frame_link_is_open(link))
        return;
    link->is_over = true;
    watch_set(link->watch, 0);
    posted_cancel(&link->flush);
    link->handlers->closed(link->owner, error);
}

/* --- Coming in ------------------------------------------------------------------------------------------*/

/* What leads the next frame; false while not all of it has come. */
static bool read_head(const struct frame_link *link, struct frame *frame)
{
    const uint8_t *begin = buffer_begin(&link->in);
    if (begin == NULL || buffer_length(&link->in) < sizeof *frame)
        return false;
    memcpy(frame, begin, sizeof *frame);
    return true;
}

/* False when the next frame is not whole yet, or there is none any more. */
static bool take_frame(struct frame_link *link)
{
    struct frame frame;
    size_t length = buffer_length(&link->in);
    if (!read_head(link, &frame))
        return false;
    if (frame.kind == 0 || frame.kind >= FRAME_KINDS || frame.length > FRAME_LENGTH_MAX) {
        end(link, WHIPPET_E_PROTOCOL);
        return false;
    }
    if (length - sizeof frame < frame.length)
        return false;
    link->handlers->frame(link->owner, &frame, buffer_begin(&link->in) + sizeof frame);
    if (link->descriptor < 0)
        return false;
    buffer_consume(&link->in, sizeof frame + frame.length);
    return !link->is_over;
}

/* How much room is to be made: enough for the rest of the frame that has begun, but no more than a step. */
static size_t wanted(const struct frame_link *link)
{
    struct frame frame;
    if (!read_head(link, &frame))
        return READ_SIZE;
    size_t rest = sizeof frame + frame.length - buffer_length(&link->in);
    return rest < READ_SIZE ? READ_SIZE : rest < LARGEST_STEP ? rest : LARGEST_STEP;
}

/* Bytes taken in; 0: nothing there, or the end. */
static size_t receive(struct frame_link *link)
{
    size_t size = wanted(link);
    uint8_t *room = buffer_reserve(&link->in, size);
    if (room == NULL) {
        end(link, WHIPPET_E_MEMORY);
        return 0;
    }
    ssize_t count = recv(link->descriptor, room, size, MSG_DONTWAIT);
    if (count > 0) {
        buffer_commit(&link->in, (size_t)count);
        return (size_t)count;
    }
    if (count == 0 || (errno != EAGAIN && errno != EINTR))
        end(link, WHIPPET_E_CLOSED);
    return 0;
}

static bool receive_and_take(struct frame_link *link)
{
    if (receive(link) == 0)
        return false;
    while (take_frame(link))
        continue;
    if (link->descriptor >= 0)
        buffer_trim(&link->in, KEPT);
    return frame_link_is_open(link);
}

void frame_link_take(struct frame_link *link)
{
    while (frame_link_is_open(link) && receive_and_take(link))
        continue;
}

/* --- Going out ------------------------------------------------------------------------------------------*/

bool frame_link_is_full(const struct frame_link *link)
{
    return link->lent.len > 0 || buffer_length(&link->out) >= OUT_LIMIT;
}

/* Takes off what was sent, from the front. */
static void count_sent(struct frame_link *link, size_t sent)
{
    size_t copied = buffer_length(&link->out) < sent ? buffer_length(&link->out) : sent;
    buffer_consume(&link->out, copied);
    sent -= copied;
    link->lent = bytes_of((const char *)link->lent.data + sent, link->lent.len - sent);
    if (buffer_length(&link->out) > 0 || link->lent.len > 0)
        return;
    buffer_trim(&link->out, KEPT);
    struct buffer emptied = link->out;
    link->out = link->later;
    link->later = emptied;
    link->lent = (whippet_bytes){0};
}

/* False when the socket takes no more for now, or for ever. */
static bool send_some(struct frame_link *link)
{
    struct iovec parts[] = {
        {buffer_begin(&link->out), buffer_length(&link->out)},
        {(void *)(uintptr_t)link->lent.data, link->lent.len},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = link->lent.len > 0 ? 2 : 1};
    ssize_t count = sendmsg(link->descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
            end(link, WHIPPET_E_CLOSED);
        return false;
    }
    count_sent(link, (size_t)count);
    return true;
}

void frame_link_flush(struct frame_link *link)
{
    bool goes_on = true;
    posted_cancel(&link->flush);
    while (goes_on && frame_link_is_open(link) && buffer_length(&link->out) + link->lent.len > 0)
        goes_on = send_some(link);
    if (!frame_link_is_open(link))
        return;
    watch_set(link->watch, goes_on ? WHIPPET_READABLE : WHIPPET_READABLE | WHIPPET_WRITABLE);
    if (link->was_full && !frame_link_is_full(link)) {
        link->was_full = false;
        if (link->handlers->drained != NULL)
            link->handlers->drained(link->owner);
    }
}

static void flush_posted(struct posted *posted)
{
    frame_link_flush(list_entry(posted, struct frame_link, flush));
}

uint8_t *frame_link_begin(struct frame_link *link, enum frame_kind kind, uint32_t slot, uint32_t serial,
                          size_t head, whippet_bytes tail)
{
    struct frame frame = {
        .length = (uint32_t)(head + tail.len), .kind = kind, .slot = slot, .serial = serial};
    bool lend = tail.len >= LENT_FROM && link->lent.len == 0;
    struct buffer *buffer = link->lent.len > 0 ? &link->later : &link->out;
    size_t size = sizeof frame + head + (lend ? 0 : tail.len);
    uint8_t *at = frame_link_is_open(link) ? buffer_reserve(buffer, size) : NULL;
    if (at == NULL)
        return NULL;
    memcpy(at, &frame, sizeof frame);
    if (lend)
        link->lent = tail;
    else if (tail.len > 0)
        memcpy(at + sizeof frame + head, tail.data, tail.len);
    buffer_commit(buffer, size);
    link->was_full = link->was_full || frame_link_is_full(link);
    scheduler_post(loop_scheduler(link->loop), &link->flush);
    return at + sizeof frame;
}

bool frame_link_send(struct frame_link *link, enum frame_kind kind, uint32_t slot, uint32_t serial,
                     const void *payload, size_t length)
{
    uint8_t *at = frame_link_begin(link, kind, slot, serial, length, (whippet_bytes){0});
    if (at != NULL && length > 0)
        memcpy(at, payload, length);
    return at != NULL;
}

/* --- Coming and going -----------------------------------------------------------------------------------*/

static void on_event(void *owner, int events)
{
    struct frame_link *link = owner;
    if ((events & WHIPPET_WRITABLE) != 0)
        frame_link_flush(link);
    if ((events & WHIPPET_READABLE) != 0 && frame_link_is_open(link))
        receive_and_take(link);
}

bool frame_link_open(struct frame_link *link, struct loop *loop, int descriptor,
                     const struct frame_handlers *handlers, void *owner)
{
    *link = (struct frame_link){
        .loop = loop, .descriptor = -1, .flush.function = flush_posted, .handlers = handlers, .owner = owner};
    buffer_init(&link->in);
    buffer_init(&link->out);
    buffer_init(&link->later);
    link->watch = watch_create(loop, descriptor, on_event, link);
    if (link->watch == NULL)
        return false;
    link->descriptor = descriptor;
    watch_set(link->watch, WHIPPET_READABLE);
    return true;
}

void frame_link_close(struct frame_link *link)
{
    if (link->descriptor < 0)
        return;
    watch_destroy(link->watch);
    posted_cancel(&link->flush);
    close(link->descriptor);
    link->descriptor = -1;
    buffer_destroy(&link->in);
    buffer_destroy(&link->out);
    buffer_destroy(&link->later);
    link->lent = (whippet_bytes){0};
}
